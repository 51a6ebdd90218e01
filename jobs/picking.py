"""Picking answers on demand: judges are asked what they have not been asked yet, then the archive is selected from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from polythink.jobs.control import Control
from polythink.jobs.judging_job import wrong_with_judge
from polythink.jobs.run import run_judges
from polythink.jobs.sampling import Watch
from polythink.jobs.selection import chosen, notes, select
from polythink.jobs.workload import Workload
from polythink.storage.archive import Archive
from polythink.storage.state import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """What one selection came to."""

    job_id: str
    selectors: tuple[str, ...]  # whose rows were written
    samples: int  # looked at
    selections: int  # rows over all selectors
    curve_points: int  # rows over all selectors, pass and all
    failed: Mapping[str, str]  # why a selector has no rows, by its name
    notes: tuple[str, ...]  # what is to be said of it: that, what else went wrong, and what waits for a judge
    broken_off: JobState | None  # the judging that could not be finished, with its reason; None if all was heard


def pick(
    archive: Archive,
    work: Workload,
    selectors: Sequence[object] | None,
    *,
    watch: Watch,
    control: Control,
    address: str | None = None,
    session: AbstractContextManager[object] | None = None,
) -> Picked:
    """Select by these selectors (None: the job's own), once their judges, and that of equivalence, were asked.

    `watch` hears how the judging goes; `session` is held while somebody may be asked. Raises ValueError for a selector
    that is not known, is named twice or cannot judge the job, JobBusyError if there is something to ask while the job
    runs, else as `run_job` does.
    """
    asked = chosen(work, selectors)
    judges = [config for config in asked if config.kind.judge is not None]
    for config in judges:
        for wrong in wrong_with_judge(work.job, config):
            raise ValueError(wrong)
    broken_off = None
    if judges or work.job.answer.equivalence_judge is not None:
        with archive.lock(work.job_id), session or nullcontext():
            broken_off = run_judges(archive, work, judges, watch=watch, control=control, address=address)
    names, done = select(archive, work, selectors)
    return Picked(
        job_id=work.job_id,
        selectors=tuple(names),
        samples=done.samples,
        selections=done.selections,
        curve_points=done.curve_points,
        failed=done.failed,
        notes=notes(done, work.job_id),
        broken_off=broken_off,
    )
