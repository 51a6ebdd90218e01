"""Running jobs, and selecting from them, in Python."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from polythink.jobs.archive_api import as_archive
from polythink.jobs.capabilities import check_capabilities
from polythink.jobs.control import Control
from polythink.jobs.load import load_job, load_job_model
from polythink.jobs.picking import Picked, pick
from polythink.jobs.run import run_job
from polythink.jobs.sampling import Watch
from polythink.jobs.spec import Job
from polythink.jobs.workload import recall, store
from polythink.storage.archive import Archive
from polythink.storage.state import JobState


def run(
    job: Job | str | Path,
    archive: Archive | str | Path | None = None,
    *,
    base_dir: str | Path = ".",
    address: str | None = None,
    watch: Watch | None = None,
) -> JobState:
    """Run a job (a model, or the path of a job file) and return how it ended.

    Paths in a model are relative to `base_dir`. Without `archive` it is the job's own, else `./archive`. `watch` hears
    the state about once a second. Raises SpecError with every issue of the job, JobChangedError if it would mix unlike
    samples with those kept under its name.
    """
    loaded = load_job_model(job, Path(base_dir)) if isinstance(job, Job) else load_job(Path(job))
    for note in check_capabilities(loaded):
        warnings.warn(note, stacklevel=2)
    where = as_archive(archive or loaded.archive or "archive")
    work = store(where, loaded)
    return run_job(where, work, watch=watch or _quiet, control=Control(where, work.job_id), address=address)


def resume(
    job: str, archive: Archive | str | Path = "archive", *, address: str | None = None, watch: Watch | None = None
) -> JobState:
    """Go on with a job by name or id: only what is owed is sent. Raises UnknownJobError."""
    where = as_archive(archive)
    work = recall(where, where.resolve(job))
    return run_job(where, work, watch=watch or _quiet, control=Control(where, work.job_id), address=address)


def select(
    job: str,
    selectors: Sequence[object] | None = None,
    archive: Archive | str | Path = "archive",
    *,
    address: str | None = None,
    watch: Watch | None = None,
) -> Picked:
    """Pick answers of a job (name or id) by these selectors (None: the job's own), and write selections and curves.

    Selectors are as in a job file: a name, or one name with its options. Judges are first asked what they have not
    been asked yet; without any nothing is sent, and no Ray is started. `watch` hears the state of the judging. If the
    judging could not be finished, `broken_off` says why, and what needs it has no row. Raises UnknownJobError, and
    ValueError for a selector that is not known, is named twice or cannot judge the job.
    """
    where = as_archive(archive)
    work = recall(where, where.resolve(job))
    return pick(where, work, selectors, watch=watch or _quiet, control=Control(where, work.job_id), address=address)


def _quiet(state: JobState) -> None:
    return None
