"""Rows as they are read from files of each format."""

from __future__ import annotations

import datetime
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polythink.jobs.problem_files import BadRow, Row, as_text, read_rows

VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


def rows(path: Path) -> list[dict[str, Any]]:
    read = list(read_rows(path))
    assert all(isinstance(row, Row) for row in read), read
    return [row.fields for row in read if isinstance(row, Row)]


def bad(path: Path) -> list[BadRow]:
    return [row for row in read_rows(path) if isinstance(row, BadRow)]


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_byte_order_mark_crlf_and_blank_lines_are_tolerated(tmp_path: Path) -> None:
    path = written(tmp_path, "p.jsonl", b'\xef\xbb\xbf{"id": 1}\r\n\r\n{"id": "\xc3\xa9"}')
    assert [(row.line, row.fields) for row in read_rows(path) if isinstance(row, Row)] == [
        (1, {"id": 1}),
        (3, {"id": "é"}),
    ]


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text(), VALUES), max_size=5))
def test_jsonl_reads_back_what_was_written_gzipped_or_not(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    lines = "".join(json.dumps(row) + "\n" for row in wanted).encode()
    assert rows(written(folder, "p.jsonl", lines)) == wanted
    assert rows(written(folder, "p.jsonl.gz", gzip.compress(lines))) == wanted


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"id": 1', "invalid JSON"),
        (b"[1]", "an array"),
        (b"3", "a number"),
        (b'"x"', "a string"),
        (b"\xff", "not UTF-8"),
        (b'{"x": NaN}', "NaN is not JSON"),
        (b'{"x": "\\ud800"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_is_told_of_and_harms_no_other(tmp_path: Path, line: bytes, found: str) -> None:
    path = written(tmp_path, "p.jsonl", b'{"id": 1}\n' + line + b'\n{"id": 3}\n')
    read = list(read_rows(path))
    assert [row.line for row in read] == [1, 2, 3]
    assert isinstance(read[1], BadRow) and found in read[1].found
    assert isinstance(read[0], Row) and isinstance(read[2], Row)


def test_a_torn_gzip_file_is_a_bad_row(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(json.dumps({"id": n, "x": str(n) * 50}).encode() + b"\n" for n in range(2000)))
    assert "cannot be read" in bad(written(tmp_path, "p.jsonl.gz", whole[: len(whole) // 2]))[0].found


def test_csv_keeps_quoted_lines_and_takes_empty_cells_as_null(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", b'\xef\xbb\xbfid,q,gold\r\n1,"a, ""b""\nc",\r\n')
    assert rows(path) == [{"id": "1", "q": 'a, "b"\nc', "gold": None}]


def test_a_csv_row_of_the_wrong_length_is_bad(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", b"id,q\n1,a\n2\n3,c\n")
    assert [(row.line, row.found, row.wanted) for row in bad(path)] == [
        (3, "1 cells", "2 cells, as in the header"),
    ]


def test_parquet_values_become_json_values(tmp_path: Path) -> None:
    when = datetime.datetime(2026, 1, 2, 3, 4, 5)
    row = {"id": 1, "gold": float("nan"), "t": when, "d": Decimal("7.00"), "b": b"ok", "l": [1.5], "s": {"k": when}}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "p.parquet")
    assert rows(tmp_path / "p.parquet") == [
        {"id": 1, "gold": None, "t": when.isoformat(), "d": 7, "b": "ok", "l": [1.5], "s": {"k": when.isoformat()}}
    ]


@pytest.mark.parametrize(("name", "found"), [("p.parquet", "cannot be read"), ("p.txt", "a file named p.txt")])
def test_a_file_that_is_not_what_it_should_be_is_one_bad_row(tmp_path: Path, name: str, found: str) -> None:
    (row,) = read_rows(written(tmp_path, name, b"not parquet"))
    assert isinstance(row, BadRow) and found in row.found


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_reads_the_same_as_integer_float_or_text(number: int) -> None:
    assert as_text(number) == as_text(float(number)) == as_text(str(number)) == str(number)
