"""Which lane a run takes for each arm: what may wait goes at half price, what may not goes now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from polythink.errors import JobChangedError
from polythink.jobs.batch_book import BatchRecord
from polythink.jobs.spec import Job
from polythink.jobs.workload import Workload
from polythink.records import Arm

BATCH_S = 24 * 3600.0  # seconds after which the API gives a batch up


def batching_endpoints(job: Job, arm: Arm, *, now: float, is_pilot: bool = False) -> tuple[str, ...]:
    """By which of its endpoints an arm goes in batches, in a run that begins at `now` (Unix seconds). Pure.

    With `lane: auto` by those that take batches, unless a deadline comes before a batch must have ended, or it is a
    pilot, for which somebody waits. None of them: the arm goes live.
    """
    if job.lane != "auto":
        return arm.endpoints if job.lane == "batch" else ()
    deadline = job.cap.deadline_at if job.cap else None
    if is_pilot or (deadline is not None and deadline - now <= BATCH_S):
        return ()
    return tuple(name for name in arm.endpoints if _takes_batches(job, name))


def on_their_lanes(work: Workload, now: float, *, is_pilot: bool = False) -> Workload:
    """The job with each of its arms on the lane that a run takes for it, and at the endpoints that have that lane."""
    batching = {arm.arm_id: batching_endpoints(work.job, arm, now=now, is_pilot=is_pilot) for arm in work.arms}
    return replace(
        work,
        arms=tuple(replace(arm, endpoints=batching[arm.arm_id] or arm.endpoints) for arm in work.arms),
        batched=frozenset(arm_id for arm_id, endpoints in batching.items() if endpoints),
    )


def check_reachable(work: Workload, open_batches: Iterable[BatchRecord]) -> None:
    """Raise JobChangedError if a batch is with an endpoint at which the job no longer samples what is in it."""
    arms = work.arms_by_id
    for batch in open_batches:
        for arm_id in sorted({entry.key.arm_id for entry in batch.entries}):
            if batch.endpoint not in arms[arm_id].endpoints or not _takes_batches(work.job, batch.endpoint):
                raise JobChangedError(
                    f"batch {batch.number} ({batch.batch_id or 'not confirmed'}) of job {work.job_id} is still with "
                    f"endpoint {batch.endpoint}, which arm {arm_id} no longer has as one that takes batches; "
                    "name it there until the batch has ended"
                )


def _takes_batches(job: Job, endpoint: str) -> bool:
    return job.endpoints[endpoint].provider == "anthropic"
