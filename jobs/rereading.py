"""Reading kept samples anew: by another answer rule, another grade or corrected gold, with nothing sent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polythink.errors import ArchiveError, JobChangedError
from polythink.jobs.graders import job_grader
from polythink.jobs.load import LoadedJob
from polythink.jobs.selection import notes, select_anew
from polythink.jobs.workload import Workload, overwrite, preview
from polythink.selectors.grading import FinishedText, Grader, read_and_grade
from polythink.selectors.rewards import forget_asked
from polythink.storage import schema
from polythink.storage.archive import Archive

_MARK = "rereading"  # a file of the job while some of its samples may be read by one rule and some by another
_READ = ("outcome", "answer", "canonical_answer", "correct", "score")
_READ_FROM = ("problem_id", "text", "stop_reason", "outcome")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reread:
    """What one reading came to."""

    job_id: str
    samples: int  # read
    changed: int  # of these, with another outcome, answer, verdict or score than before
    notes: tuple[str, ...]  # what went wrong with selectors, and what still waits for a judge


def reread(archive: Archive, loaded: LoadedJob) -> Reread:
    """Make a stored job what `loaded` says of it, and read and grade every kept sample accordingly; then select anew.

    Samples not yet in Parquet are read when they land, by the rule the job then has. Killed at any point, it can be
    called again; until then the job cannot run. Raises UnknownJobError if there is no such job, JobChangedError if
    more differs than how samples are read or if they were imported, JobBusyError if the job runs, ArchiveError if
    the archive cannot be written, SandboxError if the grading function cannot be loaded.
    """
    with archive.lock_name(loaded.job.name):
        job_id = archive.resolve(loaded.job.name)
        state = archive.state(job_id)
        if state is not None and state.status == "imported":
            raise JobChangedError(f"job {job_id} holds imported samples, whose recorded verdicts stand; import anew")
        work = preview(archive, loaded, may_reread=True)
        with archive.lock(job_id):
            archive.write_text(job_id, _MARK, "")
            overwrite(archive, loaded, work)
            with job_grader(archive, work) as grader:
                parts = archive.parts(schema.TRACES.name, job_id)
                counts = [_part_anew(archive, work, grader, part) for part in parts]
            forget_asked(archive, job_id)
            archive.remove(job_id, _MARK)
            selected = select_anew(archive, work, prepares=True)
    samples, changed = sum(n for n, _ in counts), sum(n for _, n in counts)
    return Reread(job_id=job_id, samples=samples, changed=changed, notes=notes(selected, job_id))


def check_read_alike(archive: Archive, job_id: str) -> None:
    """Raises JobChangedError if a reading of the job's samples was cut off."""
    if archive.read_text(job_id, _MARK) is not None:
        raise JobChangedError(
            f"job {job_id}: reading its samples anew was cut off, so they are read in two ways; "
            "run `polythink reread` on its job file again"
        )


def _part_anew(archive: Archive, work: Workload, grader: Grader, part: PurePosixPath) -> tuple[int, int]:
    """Read the samples of one part again, in its place; how many there are, and how many came out otherwise."""
    data = archive.store.get(str(part))
    if data is None:
        raise ArchiveError(f"cannot read {archive.store.place(str(part))}: it was removed")
    kept = pq.read_table(pa.BufferReader(data))
    # An older part may lack a column; the schema comes first, so that it gets one of nulls.
    rows = pa.concat_tables([schema.TRACES.arrow.empty_table(), kept], promote_options="default")
    before = rows.select(_READ)
    after = _readings(work, grader, rows.select(_READ_FROM).to_pylist())
    for name in _READ:
        rows = rows.set_column(rows.schema.get_field_index(name), schema.TRACES.arrow.field(name), after[name])
    archive.replace_part(schema.TRACES, work.job_id, part.stem.removeprefix("part-"), rows)
    return len(rows), sum(old != new for old, new in zip(before.to_pylist(), after.to_pylist(), strict=True))


def _readings(work: Workload, grader: Grader, rows: list[dict[str, Any]]) -> pa.Table:
    texts = [
        FinishedText(
            problem_id=row["problem_id"],
            text=row["text"],
            stop_reason=row["stop_reason"],
            failed=row["outcome"] == "failed",
        )
        for row in rows
    ]
    readings = read_and_grade(texts, work.problems_by_id, work.job.answer.rule(), grader)
    columns = {name: [getattr(reading, name) for reading in readings] for name in _READ}
    return pa.table(columns, schema=pa.schema([schema.TRACES.arrow.field(name) for name in _READ]))
