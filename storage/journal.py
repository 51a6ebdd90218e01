"""The journal: where a finished request becomes durable, before it counts.

One attempt per line: eight hex digits of CRC-32, a space, JSON, a newline. A crash can only
tear the last line; a torn or damaged line is reported and skipped, and its sample is simply owed again.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from polythink.errors import LeaseLostError
from polythink.records import Attempt, SampleKey, Usage
from polythink.storage.files import refusal, sync_folder


def encode(attempt: Attempt) -> bytes:
    """One journal line."""
    payload = json.dumps(asdict(attempt), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def decode(line: bytes) -> Attempt | None:
    """The attempt on a line, or None if the line is torn or damaged.

    >>> decode(b"00000000 {}") is None
    True
    """
    checksum, _, payload = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(payload):
        return None
    fields: dict[str, Any] = json.loads(payload.decode("utf-8", "surrogatepass"))
    key, usage = SampleKey(**fields.pop("key")), Usage(**fields.pop("usage"))
    return Attempt(key=key, usage=usage, **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What a journal file holds."""

    attempts: tuple[Attempt, ...]
    damaged: int  # lines that could not be read


def read_segment(blocks: Iterable[bytes]) -> Segment:
    """Read the blocks of lines of a segment, skipping damaged lines. Only the last line of a block can be torn."""
    decoded = [decode(line) for block in blocks for line in BytesIO(block)]
    attempts = tuple(attempt for attempt in decoded if attempt is not None)
    return Segment(attempts=attempts, damaged=len(decoded) - len(attempts))


class JournalWriter:
    """Appends to one segment; `append` returns when the lines are on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=0)
            sync_folder(path.parent)
        except FileExistsError:
            raise LeaseLostError(f"cannot start journal {path}: another process has; it runs the job now") from None
        except OSError as error:
            raise refusal("start journal", path, error) from error
        self._durable_bytes = 0

    def append(self, attempts: Sequence[Attempt]) -> None:
        """Write and fsync. Raises ArchiveError if the disk refuses; then none of `attempts` is in the journal."""
        block = b"".join(map(encode, attempts))
        try:
            self._write_all(block)
            os.fsync(self._file.fileno())
        except OSError as error:
            self._cut_back()
            raise refusal("write journal", self.path, error) from error
        self._durable_bytes += len(block)
        self.records += len(attempts)

    def close(self) -> None:
        self._file.close()

    def _write_all(self, block: bytes) -> None:
        view = memoryview(block)
        while view:
            view = view[self._file.write(view) :]

    def _cut_back(self) -> None:
        """Drop what a refused write left behind, so that a later append does not follow a torn line."""
        try:
            self._file.truncate(self._durable_bytes)
            self._file.seek(self._durable_bytes)
        except OSError:  # the disk is gone; the reader skips the torn line
            return


def final_attempts(attempts: Iterable[Attempt]) -> list[Attempt]:
    """The attempts that finished their samples, one per sample: the first, should a sample have finished twice."""
    finals: dict[SampleKey, Attempt] = {}
    for attempt in attempts:
        if attempt.is_final:
            finals.setdefault(attempt.key, attempt)
    return list(finals.values())
