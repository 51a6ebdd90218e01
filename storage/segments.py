"""A job's journal: its segments, how the next one comes to be, and how a former owner is shut out.

The journal is a row of entries, `journal/000001.jsonl` and on, each created under a name that was free. On a local
archive an entry is a segment, appended to. An object store cannot append, so there each append makes an entry of its
own, whose first line names its segment. A segment becomes one Parquet part that bears its name.

Fencing: an owner never looks for the next number, it counts. Who takes a job over puts a fence under the number that
the former owner would use next. From then on that owner, however long it slept, finds its place taken and stops; what
it had put there before lands under the names that it would itself use, and parts are never replaced. So nothing can
come to light of a sample once the new owner has counted it as owed. (A local segment can still be appended to by its
first owner until the new one has landed and removed it; what arrives after it was read is void.) Fences stay.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from polythink.errors import LeaseLostError
from polythink.storage.journal import JournalWriter, Record, count_attempts, encode
from polythink.storage.part_names import span
from polythink.storage.store import Store

if TYPE_CHECKING:
    from polythink.storage.archive import Archive  # which fences when it is locked

_FENCE = b"fence "
_HEADER = re.compile(rb"segment (\d+)\n")
_TABLES = ("attempts", "traces")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRef:
    """Where a segment is."""

    name: str  # of the parts it becomes
    entries: tuple[str, ...]  # names in the store, in order


class Writer(Protocol):
    """Writes one segment."""

    attempts: int  # so far

    @property
    def ref(self) -> SegmentRef: ...

    def append(self, records: Sequence[Record]) -> None:
        """Durable when it returns. Raises ArchiveError, and LeaseLostError if another process owns the job now."""
        ...

    def close(self) -> None: ...


class Journal:
    """The journal of a job that this process owns: one segment after the other."""

    def __init__(self, archive: Archive, job_id: str) -> None:
        self._archive = archive
        self._job_id = job_id
        self._last = _last_number(archive.store, job_id)

    def begin(self) -> Writer:
        """The next segment. Raises ArchiveError, and LeaseLostError if another process owns the job now."""
        if self._archive.is_remote:
            return _RemoteWriter(self, self._last + 1)
        number = self._last + 1
        writer = _LocalWriter(self._archive, _entry(self._job_id, number))
        self._last = number
        return writer

    def put(self, data: bytes) -> str:
        """Create the next entry; returns its name in the store."""
        name = _entry(self._job_id, self._last + 1)
        if self._archive.store.put_if_absent(name, data) is None:
            raise LeaseLostError(f"job {self._job_id} was taken over: {self._archive.store.place(name)} is another's")
        self._last += 1
        return name


class _LocalWriter(JournalWriter):
    def __init__(self, archive: Archive, name: str) -> None:
        folder = archive.store.folder
        assert folder is not None
        super().__init__(folder / name)
        self.ref = SegmentRef(name=PurePosixPath(name).stem, entries=(name,))


class _RemoteWriter:
    """A segment of as many entries as there were appends."""

    def __init__(self, journal: Journal, number: int) -> None:
        self._journal = journal
        self._name = f"{number:06d}"
        self._entries: list[str] = []
        self.attempts = 0

    @property
    def ref(self) -> SegmentRef:
        return SegmentRef(name=self._name, entries=tuple(self._entries))

    def append(self, records: Sequence[Record]) -> None:
        header = f"segment {self._name}\n".encode()
        self._entries.append(self._journal.put(header + b"".join(map(encode, records))))
        self.attempts += count_attempts(records)

    def close(self) -> None:
        """Every append was whole."""


def segments(archive: Archive, job_id: str) -> list[SegmentRef]:
    """Segments not yet in Parquet, oldest first."""
    found: dict[str, list[str]] = {}
    for name in _entries(archive.store, job_id):
        segment = _segment_of(archive, name)
        if segment is not None:
            found.setdefault(segment, []).append(name)
    return [SegmentRef(name=segment, entries=tuple(entries)) for segment, entries in found.items()]


def read_blocks(archive: Archive, ref: SegmentRef) -> list[bytes] | None:
    """The lines of each entry of a segment; None if one is gone, which it is only once the segment has landed."""
    blocks = []
    for name in ref.entries:
        block = archive.store.get(name)
        if block is None:
            return None
        blocks.append(_without_header(block))
    return blocks


def fence(store: Store, job_id: str) -> None:
    """Shut out whoever owned the job before and did not give it back. Raises ArchiveError."""
    while store.put_if_absent(_entry(job_id, _last_number(store, job_id) + 1), _fence()) is None:
        continue  # the former owner was faster: then the number after that


def _segment_of(archive: Archive, name: str) -> str | None:
    """The segment an entry belongs to; None for a fence, and for an entry that is gone."""
    data = archive.store.get(name) or _FENCE
    if data.startswith(_FENCE):
        return None
    header = _HEADER.match(data)
    return header[1].decode() if header else PurePosixPath(name).stem


def _without_header(block: bytes) -> bytes:
    header = _HEADER.match(block)
    return block[header.end() :] if header else block


def _fence() -> bytes:
    return _FENCE + secrets.token_hex(8).encode()


def _last_number(store: Store, job_id: str) -> int:
    """The highest number taken by an entry or a part."""
    entries = [int(PurePosixPath(name).stem.partition("-")[0]) for name in _entries(store, job_id)]
    parts = [name for table in _TABLES for name in store.names(f"tables/{table}/job_id={job_id}")]
    return max([*entries, *(found[1] for part in parts if (found := span(PurePosixPath(part))))], default=0)


def _entries(store: Store, job_id: str) -> list[str]:
    return store.names(f"jobs/{job_id}/journal")


def _entry(job_id: str, number: int) -> str:
    return f"jobs/{job_id}/journal/{number:06d}.jsonl"
