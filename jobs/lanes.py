"""Which lane a run takes for each arm: what may wait goes at half price, what may not goes now."""

from __future__ import annotations

from dataclasses import replace

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
    return tuple(name for name in arm.endpoints if job.endpoints[name].provider == "anthropic")


def on_their_lanes(work: Workload, now: float, *, is_pilot: bool = False) -> Workload:
    """The job with each of its arms on the lane that a run takes for it, and at the endpoints that have that lane."""
    batching = {arm.arm_id: batching_endpoints(work.job, arm, now=now, is_pilot=is_pilot) for arm in work.arms}
    return replace(
        work,
        arms=tuple(replace(arm, endpoints=batching[arm.arm_id] or arm.endpoints) for arm in work.arms),
        batched=frozenset(arm_id for arm_id, endpoints in batching.items() if endpoints),
    )
