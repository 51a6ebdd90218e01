"""The tables of docs/archive.md, made from the schema; `python -m polythink.storage.schema_table` prints them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from polythink.storage import schema
from polythink.storage.view_schema import VIEWS

SQL_TYPES: dict[pa.DataType, str] = {
    schema.TEXT: "VARCHAR",
    schema.COUNT: "BIGINT",
    schema.REAL: "DOUBLE",
    schema.FLAG: "BOOLEAN",
    schema.WHEN: "TIMESTAMPTZ",
    schema.VECTOR: "FLOAT[]",
    pa.date32(): "DATE",
}
_PARTITION = schema.Column("job_id", schema.TEXT, "", "the job; from the folder's name, not stored in the file")


def column_tables() -> str:
    """One section per view: what a row is, and its columns with DuckDB type, unit and meaning."""
    return "\n\n".join("\n".join(_section(table)) for table in (*schema.TABLES, *VIEWS))


def _section(table: schema.Table) -> Iterator[str]:
    stored = table in schema.TABLES
    yield from (f"### `{table.name}`", "", f"{table.meaning[0].upper()}{table.meaning[1:]}.", "")
    yield from ("| column | type | unit | meaning |", "|---|---|---|---|")
    for column in (_PARTITION, *table.columns) if stored else table.columns:
        yield f"| `{column.name}` | {SQL_TYPES[column.type]} | {column.unit} | {column.meaning} |"


if __name__ == "__main__":
    print(column_tables())
