"""DuckDB views over the archive's Parquet parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from polythink.storage import schema
from polythink.storage.schema_table import SQL_TYPES

_SPEND = """
    SELECT job_id, arm_id, model, lane, CAST(finished_at AT TIME ZONE 'UTC' AS DATE) AS day,
        count(*) AS attempts, sum(input_tokens)::BIGINT AS input_tokens,
        sum(cache_read_tokens)::BIGINT AS cache_read_tokens, sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
        sum(output_tokens)::BIGINT AS output_tokens, sum(cost_usd) AS cost_usd
    FROM attempts GROUP BY ALL
"""


def create_views(
    connection: duckdb.DuckDBPyConnection, parts: Mapping[str, Sequence[str]], states: Sequence[str]
) -> None:
    """Create one view per table over `parts` (table name -> paths or URLs) and `jobs` over the state files."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET parquet_metadata_cache = true")  # footers are read twice otherwise
    for table in schema.TABLES:
        connection.execute(f"CREATE VIEW {table.name} AS {_select(table, parts.get(table.name, ()))}")
    connection.execute(f"CREATE VIEW spend AS {_SPEND}")
    connection.execute(f"CREATE VIEW jobs AS {_jobs(states)}")


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


def _jobs(states: Sequence[str]) -> str:
    if not states:
        return _empty(schema.JOBS, tuple(column.name for column in schema.JOBS.columns))
    stored = {c.name: "DOUBLE" if c.type == schema.WHEN else SQL_TYPES[c.type] for c in schema.JOBS.columns}
    types = ", ".join(f"{name}: '{sql_type}'" for name, sql_type in stored.items())
    names = ", ".join(
        f"to_timestamp({c.name}) AS {c.name}" if c.type == schema.WHEN else c.name for c in schema.JOBS.columns
    )
    return f"SELECT {names} FROM read_json({_file_list(states)}, columns = {{{types}}})"


def _empty(table: schema.Table, names: Sequence[str]) -> str:
    types = {column.name: SQL_TYPES[column.type] for column in table.columns}
    nulls = ", ".join(f"NULL::{types.get(name, 'VARCHAR')} AS {name}" for name in names)
    return f"SELECT {nulls} WHERE false"


def _file_list(files: Sequence[str]) -> str:
    quoted = ("'" + file.replace("'", "''") + "'" for file in files)
    return f"[{', '.join(quoted)}]"
