"""Functions of the user's asked once about each sample, in a process that can be killed; what they give is kept."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from polythink.errors import SandboxError
from polythink.jobs.functions import loadable
from polythink.selectors.sandbox import Sandbox, SandboxLimits
from polythink.storage.archive import Archive
from polythink.storage.schema import Table

_BATCH = 256  # samples handed to the function's process at a time
_KEYS = ("problem_id", "arm_id", "sample_index")


class Inquiry(Protocol):
    """What a function is asked of samples, and what of its replies is kept."""

    table: Table  # problem_id, arm_id, sample_index, source, what is kept, and selector if it has a part for each
    shown: Sequence[str]  # SQL over a row of traces
    noun: str  # of what it gives
    limits: SandboxLimits
    errors: Counter[str]  # samples that it gave nothing usable, by message

    def ask(self, sandbox: Sandbox, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[object]]:
        """What is kept of each sample, by column. Raises SandboxError if the function cannot be loaded."""
        ...


def kept(archive: Archive, job_id: str, table: Table, name: str, function: str) -> pa.Table:
    """What the function gave before, whichever selector asked it, as it is kept for the selector of that name."""
    values = [column for column in table.arrow.names if column not in (*_KEYS, "selector", "source")]
    query = f"""
        SELECT {", ".join(_KEYS)}, {", ".join(f"max({value}) AS {value}" for value in values)}, source
        FROM {table.name} WHERE job_id = ? AND source = ? GROUP BY ALL
    """
    rows = archive.sql(query, [job_id, function])
    return rows.append_column("selector", pa.repeat(name, len(rows))).select(table.arrow.names).cast(table.arrow)


def ask(archive: Archive, job_id: str, name: str, function: str, inquiry: Inquiry, earlier: pa.Table) -> Iterator[str]:
    """Ask the function about the samples that it was not asked about, for the selector of that name.

    `earlier` is what is `kept`. Yields what there is to say of it.
    """
    keeping = _Keeping(archive, job_id, name, function, inquiry.table, earlier)
    query = f"""
        SELECT {", ".join((*_KEYS, *inquiry.shown))} FROM traces
        ANTI JOIN (SELECT * FROM {inquiry.table.name} WHERE job_id = $1 AND source = $2) USING ({", ".join(_KEYS)})
        WHERE job_id = $1 AND outcome = 'answered'
    """
    with archive.connect(query) as connection, loadable(archive, job_id, function) as path:
        cursor = connection.execute(query, [job_id, function])
        columns = [column for column, *_ in cursor.description or ()]
        with Sandbox(path, limits=inquiry.limits) as sandbox:
            while rows := [dict(zip(columns, row, strict=True)) for row in cursor.fetchmany(_BATCH)]:
                try:
                    keeping.add(rows, inquiry.ask(sandbox, rows))
                except SandboxError as error:
                    yield f"{name}: {error}"
                    break
    keeping.keep()
    for message, count in inquiry.errors.items():
        yield f"{name}: {count:,} {'sample has' if count == 1 else 'samples have'} no {inquiry.noun}: {message}"


def function_part(function: str) -> str:
    """The part that a function has in a table without selectors."""
    return f"by-{hashlib.blake2b(function.encode(), digest_size=4).hexdigest()}"


class _Keeping:
    """The replies of one function as they come in. They are kept whenever there are twice as many as were kept."""

    def __init__(
        self, archive: Archive, job_id: str, name: str, function: str, table: Table, earlier: pa.Table
    ) -> None:
        self._archive, self._job_id, self._table, self._rows = archive, job_id, table, [earlier]
        self._constants = {"selector": name, "source": function}
        self._part = name if "selector" in table.arrow.names else function_part(function)
        self._fresh, self._kept = 0, 0  # samples, and of these those that are kept

    def add(self, rows: Sequence[Mapping[str, Any]], values: Mapping[str, Sequence[object]]) -> None:
        """What was given for these samples."""
        constants = {column: [value] * len(rows) for column, value in self._constants.items()}
        columns = {**{key: [row[key] for row in rows] for key in _KEYS}, **constants, **values}
        schema = self._table.arrow
        self._rows.append(pa.table({name: columns[name] for name in schema.names}, schema=schema))
        self._fresh += len(rows)
        if self._fresh >= 2 * self._kept:
            self.keep()

    def keep(self) -> None:
        """Durably, unless nothing is new."""
        if self._fresh > self._kept:
            self._archive.replace_part(self._table, self._job_id, self._part, pa.concat_tables(self._rows))
            self._kept = self._fresh
