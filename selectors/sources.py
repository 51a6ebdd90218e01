"""Where scores come from: an SQL expression over traces. What is right or wrong is not in its reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa

from polythink.selectors.panel import Reals
from polythink.storage.schema import TRACES

if TYPE_CHECKING:
    from polythink.selectors.samples import Samples
    from polythink.storage.archive import Archive

_SCORED = "SELECT problem_id, arm_id, sample_index, ({})::DOUBLE AS score FROM visible WHERE job_id = ?"
_VISIBLE = "SELECT * EXCLUDE (correct) FROM traces"  # a selector that saw the truth would select nothing
_ELSEWHERE = {'"class":"SUBQUERY"': "a query inside it", '"class":"STAR"': "* or COLUMNS"}  # as DuckDB parses them


def check_expression(expression: str) -> None:
    """Raise ValueError, with what DuckDB says of it, unless it gives a number for a row of traces and reads no more."""
    with duckdb.connect() as connection:
        ((parsed,),) = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT {expression}"]).fetchall()
        for mark, name in _ELSEWHERE.items():
            if mark in parsed:
                raise ValueError(f"by: found {name} in {expression!r}; name the columns of traces that it takes")
        connection.register("traces", TRACES.arrow.empty_table())
        connection.execute(f"CREATE VIEW visible AS SELECT *, '' AS job_id FROM ({_VISIBLE})")
        try:
            connection.execute(_SCORED.format(expression), [""])
        except duckdb.Error as error:
            raise ValueError(f"by: found {expression!r}; wanted SQL over the columns of traces: {error}") from error


def expression_scores(archive: Archive, job_id: str, samples: Samples, expression: str) -> Reals:
    """[S] the value of the expression for each sample; NaN where it has none. Raises ValueError for one that fails."""
    with archive.connect() as connection:
        connection.execute(f"CREATE VIEW visible AS {_VISIBLE}")
        try:
            return aligned(connection, samples, _SCORED.format(expression), [job_id])["score"]
        except duckdb.Error as error:
            raise ValueError(f"by: {expression!r} fails: {error}") from error


def aligned(
    connection: duckdb.DuckDBPyConnection, samples: Samples, query: str, params: Sequence[object]
) -> dict[str, Reals]:
    """[S] the numbers that a query gives for each sample, by column; NaN where it gives none.

    The query gives problem_id, arm_id, sample_index and the numbers. Raises duckdb.Error.
    """
    keys = {"problem_id": samples.problem_id, "arm_id": samples.arm_id, "sample_index": samples.sample_index}
    places = pa.table({**keys, "place": np.arange(len(samples))})
    connection.register("places", places)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE found AS {query}", list(params))
    names = [name for name in connection.table("found").columns if name not in keys]
    numbers = ", ".join(f"max({name}) AS {name}" for name in names)  # a sample may stand in a spoiled archive twice
    joined = connection.sql(
        f"SELECT {numbers} FROM places LEFT JOIN found USING (problem_id, arm_id, sample_index) "
        "GROUP BY place ORDER BY place"
    )
    rows = joined.to_arrow_table()
    return {name: rows[name].to_numpy().astype(np.float64) for name in names}
