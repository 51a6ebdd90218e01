"""From journal to Parquet: a closed segment becomes one part of `attempts` and one of `traces`.

A part bears its segment's name and is never replaced, so landing a segment twice (after a crash between any two steps,
or by two processes) adds nothing; the journal goes only when both parts are durable. That is what keeps `traces` at
exactly one row per finished sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from polythink.records import Attempt, Reading
from polythink.storage import schema
from polythink.storage.archive import Archive
from polythink.storage.journal import Segment, final_attempts, read_segment
from polythink.storage.rows import attempt_rows, trace_rows
from polythink.storage.segments import SegmentRef, read_blocks

ReadSamples = Callable[[Sequence[Attempt]], Sequence[Reading]]


def damage(archive: Archive, ref: SegmentRef, segment: Segment) -> str | None:
    """What to say of a segment whose journal was damaged; None if it was whole."""
    if not segment.damaged:
        return None
    lines = "line was" if segment.damaged == 1 else "lines were"
    found = f"journal {archive.store.place(ref.entries[0])}: {segment.damaged:,} {lines} torn or damaged and skipped"
    return f"{found}; samples they finished are owed again"


def land(archive: Archive, job_id: str, ref: SegmentRef, read_samples: ReadSamples) -> Segment:
    """Turn one closed segment into parts, then forget it. `read_samples` reads and grades finished samples.

    Raises ArchiveError if a part cannot be written; the segment is then still there.
    """
    blocks = read_blocks(archive, ref)
    if blocks is None:
        return Segment(attempts=(), damaged=0)
    segment = read_segment(blocks)
    finals = final_attempts(segment.attempts)
    if segment.attempts:
        archive.add_part(schema.ATTEMPTS, job_id, ref.name, attempt_rows(job_id, segment.attempts))
    if finals:
        archive.add_part(schema.TRACES, job_id, ref.name, trace_rows(job_id, finals, read_samples(finals)))
    for name in ref.entries:
        archive.store.delete(name)
    return segment
