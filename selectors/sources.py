"""Where scores come from: an SQL expression over traces. What is right or wrong is not in its reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import numpy as np

from polythink.selectors.panel import Reals
from polythink.storage.schema import TRACES

if TYPE_CHECKING:
    from polythink.selectors.samples import Samples
    from polythink.storage.archive import Archive

_SCORED = "SELECT problem_id, arm_id, sample_index, ({})::DOUBLE AS score FROM visible WHERE job_id = ?"
_VISIBLE = "SELECT * EXCLUDE (correct) FROM traces"  # a selector that saw the truth would select nothing


def check_expression(expression: str) -> None:
    """Raise ValueError, with what DuckDB says of it, unless it gives a number for a row of traces."""
    with duckdb.connect() as connection:
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
            rows = connection.execute(_SCORED.format(expression), [job_id]).fetchall()
        except duckdb.Error as error:
            raise ValueError(f"by: {expression!r} fails: {error}") from error
    found = {(problem_id, arm_id, index): score for problem_id, arm_id, index, score in rows}
    keys = zip(samples.problem_id, samples.arm_id, samples.sample_index, strict=True)
    return np.array([np.nan if (score := found.get(key)) is None else score for key in keys], dtype=np.float64)
