"""From journal to Parquet: a closed segment becomes one part of `attempts` and one of `traces`.

A part bears its segment's name, so landing a segment twice (after a crash between any two steps) writes the same
part again, and the journal goes only when both parts are durable. That is what keeps `traces` at exactly one row per
finished sample.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from polythink.records import Attempt, Reading
from polythink.storage import schema
from polythink.storage.archive import Archive
from polythink.storage.files import sync_folder
from polythink.storage.journal import Segment, final_attempts, read_segment
from polythink.storage.rows import attempt_rows, trace_rows

ReadSamples = Callable[[Sequence[Attempt]], Sequence[Reading]]


def journal_folder(archive: Archive, job_id: str) -> Path:
    return archive.folder(job_id) / "journal"


def new_segment(archive: Archive, job_id: str) -> Path:
    """A path for the next segment, after all that exist."""
    taken = [path.stem for path in segments(archive, job_id)] + [
        path.stem.removeprefix("part-") for path in archive.parts("attempts", job_id)
    ]
    number = 1 + max((int(name.partition("-")[0]) for name in taken), default=0)
    return journal_folder(archive, job_id) / f"{number:06d}-{secrets.token_hex(3)}.jsonl"


def segments(archive: Archive, job_id: str) -> list[Path]:
    """Journal files not yet in Parquet, oldest first."""
    return sorted(journal_folder(archive, job_id).glob("*.jsonl"))


def damage(path: Path, segment: Segment) -> str | None:
    """What to say of a segment whose journal was damaged; None if it was whole."""
    if not segment.damaged:
        return None
    lines = "line was" if segment.damaged == 1 else "lines were"
    return (
        f"journal {path}: {segment.damaged:,} {lines} torn or damaged and skipped; samples they finished are owed again"
    )


def land(archive: Archive, job_id: str, path: Path, read_samples: ReadSamples) -> Segment:
    """Turn one closed segment into parts, then forget it. `read_samples` reads and grades finished samples.

    Raises ArchiveError if a part cannot be written; the segment is then still there.
    """
    segment = read_segment(path)
    finals = final_attempts(segment.attempts)
    if segment.attempts:
        archive.replace_part(schema.ATTEMPTS, job_id, path.stem, attempt_rows(job_id, segment.attempts))
    if finals:
        archive.replace_part(schema.TRACES, job_id, path.stem, trace_rows(job_id, finals, read_samples(finals)))
    path.unlink()
    sync_folder(path.parent)
    return segment
