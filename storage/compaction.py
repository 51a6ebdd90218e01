"""Many small parts into few large ones.

The large part counts in place of the small ones from the moment it is there, for its name says which numbers it holds
(see part_names.py); only then are they removed. Killed between any two steps, every row counts once, and the next
compaction removes what is left over. Who reads the folder without polythink in that state would see those rows twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from polythink.errors import ArchiveError
from polythink.storage import schema
from polythink.storage.archive import Archive
from polythink.storage.damage import told, why_unreadable
from polythink.storage.part_names import compacted_name, span
from polythink.storage.segments import segments

PART_BYTES = 64 << 20  # of Parquet, at which a part is large


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """How many parts a table of the job had, and has."""

    table: str
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A part of the journal, read."""

    first: int
    last: int
    data: bytes


def compact(archive: Archive, job_id: str, *, part_bytes: int = PART_BYTES) -> list[Compacted]:
    """Compact the traces and attempts of a job that does not run.

    Raises JobBusyError if it does, ArchiveError if a run left requests that are not in Parquet yet.
    """
    with archive.lock(job_id) as lease:
        if segments(archive, job_id):
            raise ArchiveError(f"job {job_id} has requests that are not in Parquet yet; resume it first")
        found = []
        for table in (schema.TRACES, schema.ATTEMPTS):
            before = len(archive.parts(table.name, job_id))
            for group in _groups(archive, table, job_id, part_bytes):
                lease.check()
                _merge(archive, table, job_id, group)
            _sweep(archive, table, job_id)
            found.append(Compacted(table=table.name, before=before, after=len(archive.parts(table.name, job_id))))
        return found


def _groups(archive: Archive, table: schema.Table, job_id: str, part_bytes: int) -> Iterator[list[_Piece]]:
    """Neighbours that become one part, two or more; a part that is large stays as it is."""
    group: list[_Piece] = []
    for piece in _pieces(archive, table, job_id):
        if sum(len(one.data) for one in group) + len(piece.data) > part_bytes:
            if len(group) > 1:
                yield group
            group = []
        group.append(piece)
    if len(group) > 1:
        yield group


def _pieces(archive: Archive, table: schema.Table, job_id: str) -> Iterator[_Piece]:
    numbered = {found: part for part in archive.parts(table.name, job_id) if (found := span(part))}
    for (first, last), part in sorted(numbered.items()):
        data = archive.store.get(str(part))
        if data is None:
            raise ArchiveError(f"cannot read {archive.store.place(str(part))}: it was removed; compact again")
        if why := why_unreadable(data):
            raise ArchiveError(told(archive.store.place(str(part)), part, why))
        yield _Piece(first=first, last=last, data=data)


def _merge(archive: Archive, table: schema.Table, job_id: str, group: list[_Piece]) -> None:
    read = [pq.read_table(pa.BufferReader(piece.data)) for piece in group]
    # An older part may lack a column; the schema comes first, so that it gets one of nulls.
    rows = pa.concat_tables([table.arrow.empty_table(), *read], promote_options="default").select(table.arrow.names)
    archive.replace_part(table, job_id, compacted_name(group[0].first, group[-1].last), rows)


def _sweep(archive: Archive, table: schema.Table, job_id: str) -> None:
    """Remove parts that no longer count."""
    counting = set(archive.parts(table.name, job_id))
    for name in archive.store.names(f"tables/{table.name}/job_id={job_id}"):
        part = PurePosixPath(name)
        if span(part) and part not in counting:
            archive.forget_part(part)
