"""The journal: where a request becomes durable before it is sent, and its result before it counts.

One record per line: eight hex digits of CRC-32, a space, JSON, a newline. A record is an attempt, an intent or its
recall. A crash can only tear the last line; a torn or damaged line is reported and skipped, and its sample is simply
owed again.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from polythink.errors import LeaseLostError
from polythink.records import Attempt, Intent, Recall, SampleKey, Usage
from polythink.storage.files import refusal, sync_folder

Record = Attempt | Intent | Recall


def encode(record: Record) -> bytes:
    """One journal line."""
    match record:
        case Attempt():
            fields: dict[str, Any] = asdict(record)
        case _:
            fields = {type(record).__name__.lower(): astuple(record)}
    payload = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def decode(line: bytes) -> Record | None:
    """The record on a line, or None if the line is torn or damaged.

    >>> decode(b"00000000 {}") is None
    True
    """
    checksum, _, payload = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(payload):
        return None
    fields: dict[str, Any] = json.loads(payload.decode("utf-8", "surrogatepass"))
    if values := fields.get("intent"):
        key, number, endpoint, reserved_usd, at = values
        return Intent(key=_key(key), number=number, endpoint=endpoint, reserved_usd=reserved_usd, at=at)
    if values := fields.get("recall"):
        return Recall(key=_key(values[0]), number=values[1])
    key, usage = SampleKey(**fields.pop("key")), Usage(**fields.pop("usage"))
    return Attempt(key=key, usage=usage, **fields)


def _key(values: Sequence[Any]) -> SampleKey:
    problem_id, arm_id, sample_index = values
    return SampleKey(problem_id=problem_id, arm_id=arm_id, sample_index=sample_index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What a journal file holds."""

    attempts: tuple[Attempt, ...]
    damaged: int  # lines that could not be read
    intents: tuple[Intent, ...] = ()
    recalls: tuple[Recall, ...] = ()


def read_segment(blocks: Iterable[bytes]) -> Segment:
    """Read the blocks of lines of a segment, skipping damaged lines. Only the last line of a block can be torn."""
    decoded = [decode(line) for block in blocks for line in BytesIO(block)]
    return Segment(
        attempts=tuple(record for record in decoded if isinstance(record, Attempt)),
        damaged=decoded.count(None),
        intents=tuple(record for record in decoded if isinstance(record, Intent)),
        recalls=tuple(record for record in decoded if isinstance(record, Recall)),
    )


def open_intents(segments: Iterable[Segment]) -> list[Intent]:
    """The intents whose end none of these segments tells, each once: their requests may have been sent."""
    intents: dict[tuple[SampleKey, int], Intent] = {}
    ended: set[tuple[SampleKey, int]] = set()
    for segment in segments:
        intents |= {(intent.key, intent.number): intent for intent in segment.intents}
        ended |= {(attempt.key, attempt.number) for attempt in segment.attempts}
        ended |= {(recall.key, recall.number) for recall in segment.recalls}
    return [intent for name, intent in intents.items() if name not in ended]


class JournalWriter:
    """Appends to one segment; `append` returns when the lines are on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attempts = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=0)
            sync_folder(path.parent)
        except FileExistsError:
            raise LeaseLostError(f"cannot start journal {path}: another process has; it runs the job now") from None
        except OSError as error:
            raise refusal("start journal", path, error) from error
        self._durable_bytes = 0

    def append(self, records: Sequence[Record]) -> None:
        """Write and fsync. Raises ArchiveError if the disk refuses; then none of `records` is in the journal."""
        block = b"".join(map(encode, records))
        try:
            self._write_all(block)
            os.fsync(self._file.fileno())
        except OSError as error:
            self._cut_back()
            raise refusal("write journal", self.path, error) from error
        self._durable_bytes += len(block)
        self.attempts += count_attempts(records)

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


def count_attempts(records: Iterable[Record]) -> int:
    return sum(isinstance(record, Attempt) for record in records)


def final_attempts(attempts: Iterable[Attempt]) -> list[Attempt]:
    """The attempts that finished their samples, one per sample: the first, should a sample have finished twice."""
    finals: dict[SampleKey, Attempt] = {}
    for attempt in attempts:
        if attempt.is_final:
            finals.setdefault(attempt.key, attempt)
    return list(finals.values())
