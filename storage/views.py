"""DuckDB views over the archive's Parquet parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from polythink.storage import schema
from polythink.storage.calibration_views import calibration_select, calibration_summary_select
from polythink.storage.frontier_view import frontier_select
from polythink.storage.rows import to_table
from polythink.storage.schema_table import SQL_TYPES
from polythink.storage.spend_view import spend_select
from polythink.storage.state import JobState

READ_BY: Mapping[str, frozenset[str]] = {  # the tables under each computed view
    "spend": frozenset({"attempts"}),
    "frontier": frozenset({"adaptive", "stops", "curves", "traces", "attempts", "selections"}),
    "calibration": frozenset({"selections"}),
    "calibration_summary": frozenset({"selections"}),
}


def create_views(
    connection: duckdb.DuckDBPyConnection, parts: Mapping[str, Sequence[str]], states: Sequence[JobState]
) -> None:
    """Create one view per table over `parts` (table name -> paths or URLs) and `jobs` over the states."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET parquet_metadata_cache = true")  # footers are read twice otherwise
    for table in schema.TABLES:
        connection.execute(f"CREATE VIEW {table.name} AS {_select(table, parts.get(table.name, ()))}")
    for name, select in _COMPUTED.items():
        connection.execute(f"CREATE VIEW {name} AS {select()}")
    connection.register("jobs", _job_rows(states))


_COMPUTED: Mapping[str, Callable[[], str]] = {
    "spend": spend_select,
    "frontier": frontier_select,
    "calibration": calibration_select,
    "calibration_summary": calibration_summary_select,
}


def _select(table: schema.Table, files: Sequence[str]) -> str:
    columns = ("job_id", *(column.name for column in table.columns))
    empty = _empty(table, columns)
    if not files:
        return empty
    return (
        f"SELECT {', '.join(columns)} FROM (SELECT * FROM read_parquet({_file_list(files)}, union_by_name = true, "
        "hive_partitioning = true, hive_types = {'job_id': VARCHAR})"
        f" UNION ALL BY NAME {empty})"  # a column that the files are too old to have is null
    )


def _job_rows(states: Sequence[JobState]) -> pa.Table:
    rows = [{column.name: _value(state, column) for column in schema.JOBS.columns} for state in states]
    return to_table(schema.JOBS, rows)


def _value(state: JobState, column: schema.Column) -> object:
    value = getattr(state, column.name)
    return datetime.fromtimestamp(value, UTC) if column.type == schema.WHEN and value is not None else value


def _empty(table: schema.Table, names: Sequence[str]) -> str:
    types = {column.name: SQL_TYPES[column.type] for column in table.columns}
    nulls = ", ".join(f"NULL::{types.get(name, 'VARCHAR')} AS {name}" for name in names)
    return f"SELECT {nulls} WHERE false"


def _file_list(files: Sequence[str]) -> str:
    quoted = ("'" + file.replace("'", "''") + "'" for file in files)
    return f"[{', '.join(quoted)}]"
