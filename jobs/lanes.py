"""Which lane a run takes: what may wait goes at half price, what may not goes now."""

from __future__ import annotations

from dataclasses import replace

from polythink.jobs.batch_ledger import open_batches
from polythink.jobs.spec import Job
from polythink.jobs.workload import Workload
from polythink.records import Lane
from polythink.storage.archive import Archive

BATCH_S = 24 * 3600.0  # seconds after which the API gives a batch up


def lane_of(job: Job, *, now: float, has_open_batches: bool, is_pilot: bool = False) -> Lane:
    """The lane of a run that begins at `now` (Unix seconds). Pure.

    Samples of a batch that is still with the API may be sent by nobody else, so its job stays with batches whatever
    it says. `auto` waits for batches unless a deadline comes first, an endpoint takes none, or it is a pilot, for which
    somebody waits.
    """
    if has_open_batches:
        return "batch"
    if job.lane != "auto":
        return job.lane
    deadline = job.cap.deadline_at if job.cap else None
    may_wait = not is_pilot and (deadline is None or deadline - now > BATCH_S)
    takes_batches = all(endpoint.provider == "anthropic" for endpoint in job.endpoints.values())
    return "batch" if may_wait and takes_batches else "live"


def on_its_lane(archive: Archive, work: Workload, now: float, *, is_pilot: bool = False) -> Workload:
    """The job with the lane that a run of it takes, for `auto` and where batches of an earlier run are open."""
    has_open_batches = open_batches(archive, work.job_id) > 0
    lane = lane_of(work.job, now=now, has_open_batches=has_open_batches, is_pilot=is_pilot)
    return work if lane == work.job.lane else replace(work, job=work.job.model_copy(update={"lane": lane}))
