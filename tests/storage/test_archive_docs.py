"""docs/archive.md says what the schema says, and its ways of reading an archive work."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from polythink.storage import landing, schema
from polythink.storage.archive import Archive
from polythink.storage.schema_table import column_tables
from polythink.storage.view_schema import VIEWS
from tests.storage.test_archive import attempt, journal, read

PAGE = (Path(__file__).parents[2] / "docs" / "archive.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_tables_of_columns_are_those_of_the_schema() -> None:
    shown = PAGE.partition("<!-- columns: begin -->\n")[2].partition("\n<!-- columns: end -->")[0]
    assert shown == column_tables(), "run `python -m polythink.storage.schema_table` and paste what it prints"


def test_every_view_and_the_schema_version_are_on_the_page() -> None:
    for table in (*schema.TABLES, *VIEWS):
        assert f"### `{table.name}`" in PAGE
    assert f"(now {schema.SCHEMA_VERSION})" in PAGE


def test_the_archive_reads_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive(tmp_path)
    landing.land(archive, "007", journal(archive, "007", [attempt(0), attempt(1)]), read)
    monkeypatch.chdir(tmp_path)
    assert duckdb.connect().execute(block("sql")).fetchall() == [("007", "a", 2, 1.0, 0.5)]
    columns = re.search(r"columns=\[(.*?)\]", block("python"))
    assert columns is not None
    names = re.findall(r'"(\w+)"', columns[1])
    assert pq.read_table("tables/traces", columns=names).num_rows == 2
