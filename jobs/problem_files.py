"""Rows of problem files, streamed: JSONL, gzipped JSONL, CSV, Parquet. A bad row is a value, not the end of it."""

from __future__ import annotations

import base64
import codecs
import csv
import gzip
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NoReturn, cast

import pyarrow as pa
import pyarrow.parquet as pq

_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BATCH_ROWS = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as read: JSON values only."""

    line: int  # from 1: the line on which the row ends; for Parquet the number of the row
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row, or a whole file, that cannot be used."""

    line: int | None
    found: str
    wanted: str


def read_rows(path: Path) -> Iterator[Row | BadRow]:
    """The rows of a file in order. Blank lines are passed over; a byte order mark and CRLF are tolerated.

    What cannot be read comes out as BadRow: one for each bad row, or one for the file.
    """
    reader = next((reader for suffix, reader in _READERS.items() if path.name.lower().endswith(suffix)), None)
    if reader is None:
        yield BadRow(line=None, found=f"a file named {path.name}", wanted=f"the name must end in {', '.join(_READERS)}")
        return
    try:
        yield from reader(path)
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        yield BadRow(line=None, found=f"a file that cannot be read ({error})", wanted="must be whole and readable")


def _jsonl(path: Path) -> Iterator[Row | BadRow]:
    with path.open("rb") as file:
        yield from _json_lines(file)


def _jsonl_gz(path: Path) -> Iterator[Row | BadRow]:
    with gzip.open(path, "rb") as file:
        yield from _json_lines(cast(IO[bytes], file))


def _json_lines(file: IO[bytes]) -> Iterator[Row | BadRow]:
    for line, raw in enumerate(file, start=1):
        text = raw.removeprefix(codecs.BOM_UTF8) if line == 1 else raw
        if text.strip():
            yield _json_row(line, text)


def _json_row(line: int, raw: bytes) -> Row | BadRow:
    try:
        value = json.loads(raw.decode(), parse_constant=_no_constant)
        if _ESCAPED_SURROGATE.search(raw):  # half of a pair is valid JSON, but no text that can be sent or stored
            json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        return BadRow(line=line, found=f"text that is not UTF-8 ({error.reason})", wanted="a JSON object in UTF-8")
    except RecursionError:
        return BadRow(line=line, found="JSON nested too deeply", wanted="a JSON object")
    except ValueError as error:
        return BadRow(line=line, found=f"invalid JSON ({error})", wanted="a whole JSON object on one line")
    if not isinstance(value, dict):
        return BadRow(line=line, found=f"JSON that is {_kind(value)}", wanted="a JSON object")
    return Row(line=line, fields=value)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON; write null")


def _kind(value: object) -> str:
    return {list: "an array", str: "a string", type(None): "null", bool: "a truth value"}.get(type(value), "a number")


def _csv(path: Path) -> Iterator[Row | BadRow]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        cells = csv.reader(file, strict=True)
        try:
            header = next(cells, [])
            for row in cells:
                if row:
                    yield _csv_row(cells.line_num, header, row)
        except UnicodeDecodeError as error:
            yield BadRow(line=None, found=f"text that is not UTF-8 ({error.reason})", wanted="CSV in UTF-8")
        except csv.Error as error:
            yield BadRow(
                line=cells.line_num, found=f"invalid CSV ({error})", wanted="CSV; JSONL takes fields of any size"
            )


def _csv_row(line: int, header: list[str], row: list[str]) -> Row | BadRow:
    if len(row) != len(header):
        return BadRow(line=line, found=f"{len(row)} cells", wanted=f"{len(header)} cells, as in the header")
    return Row(line=line, fields={name: cell if cell else None for name, cell in zip(header, row, strict=True)})


def _parquet(path: Path) -> Iterator[Row | BadRow]:
    line = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            for row in batch.to_pylist():
                line += 1
                yield Row(line=line, fields={str(name): _json_value(value) for name, value in row.items()})


def _json_value(value: Any) -> Any:
    """A Parquet value as JSON has it: not-a-number as null, times as ISO 8601, bytes as text or base64."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [_json_value(item) for item in value]
        case dict():
            return {str(name): _json_value(item) for name, item in value.items()}
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case bytes():
            return _text_of(value)
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _text_of(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def as_text(value: Any) -> str | None:
    """An id or a reference answer as text; None where there is none.

    >>> as_text(70.0), as_text(0.5), as_text("007"), as_text(True), as_text([1, 2]), as_text("")
    ('70', '0.5', '007', 'true', '[1, 2]', None)
    """
    if value is None or value == "":
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_READERS: dict[str, Callable[[Path], Iterator[Row | BadRow]]] = {
    ".jsonl": _jsonl,
    ".jsonl.gz": _jsonl_gz,
    ".csv": _csv,
    ".parquet": _parquet,
}
