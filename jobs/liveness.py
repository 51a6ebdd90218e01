"""Whether a job that says it runs does run: a verdict from its state and the signs of its driver. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from polythink.storage.state import JobState

SILENT_AFTER_S = 60.0  # without a sign of life; a running driver gives one about every second
SUBMISSION_VARIABLE = "POLYTHINK_SUBMISSION"  # set for the driver of a submission: its id

SubmissionStatus = Literal["pending", "running", "succeeded", "failed", "stopped", "unknown", "unreachable"]
Liveness = Literal["waiting", "running", "gone", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What the cluster says of a submitted driver. Times are Unix seconds (UTC)."""

    status: SubmissionStatus  # unknown: the cluster has no such submission; unreachable: the cluster does not answer
    message: str | None = None
    ended_at: float | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ("succeeded", "failed", "stopped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`waiting` for its driver, `running`, `gone` (its driver ended and left it unfinished) or `ended`."""

    liveness: Liveness
    note: str | None = None  # of a job that is gone: how that is known

    @property
    def is_over(self) -> bool:
        return self.liveness in ("gone", "ended")


def judge(state: JobState, *, now: float, driver_here: bool | None, submission: Submission | None) -> Verdict:
    """The verdict at `now`, in Unix seconds.

    `driver_here` says whether the job's driver lives on this machine, None if it was last seen on another.
    `submission` is what the cluster says, None for a job that was not submitted.
    """
    match state.status:
        case "submitted":
            return _of_submitted(state, now, driver_here, submission)
        case "running":
            return _of_running(state, now, driver_here, submission)
        case _:
            return Verdict(liveness="ended")


def _of_submitted(state: JobState, now: float, driver_here: bool | None, submission: Submission | None) -> Verdict:
    if submission is None:
        if driver_here or (driver_here is None and not _is_silent(state, now)):
            return Verdict(liveness="waiting")
        return Verdict(liveness="gone", note="it was stored, but never ran")
    if submission.has_ended:
        return Verdict(liveness="gone", note=f"its driver ended before it began: {_words(submission)}")
    if submission.status in ("pending", "running") or not _is_silent(state, now):
        return Verdict(liveness="waiting")
    return Verdict(liveness="gone", note=f"it never began, and {_words(submission)}")


def _of_running(state: JobState, now: float, driver_here: bool | None, submission: Submission | None) -> Verdict:
    if driver_here:
        return Verdict(liveness="running")
    if driver_here is False:
        return Verdict(liveness="gone", note=f"its driver, process {state.pid} on this machine, has ended")
    if submission and submission.has_ended and _is_of_this_run(submission, state):
        return Verdict(liveness="gone", note=f"its driver on {state.host} has ended: {_words(submission)}")
    if _is_silent(state, now):
        silence = f"no sign of life from {state.host} for {now - state.updated_at:.0f} s"
        return Verdict(liveness="gone", note=f"{silence}; {_words(submission)}" if submission else silence)
    return Verdict(liveness="running")


def _is_silent(state: JobState, now: float) -> bool:
    return now - state.updated_at > SILENT_AFTER_S


def _is_of_this_run(submission: Submission, state: JobState) -> bool:
    """A submission that ended before this run began was an earlier run."""
    return submission.ended_at is None or submission.ended_at >= state.started_at


def _words(submission: Submission) -> str:
    match submission.status:
        case "unreachable":
            return f"its cluster does not answer ({submission.message})"
        case "unknown":
            return "its cluster knows nothing of it"
        case status:
            said = f" ({submission.message.splitlines()[0]})" if submission.message else ""
            return f"Ray calls it {status}{said}"


def seconds_left(*, done_before: int, state: JobState) -> float | None:
    """Until all is done at this run's mean rate; None while none was done. `done_before`: samples of earlier runs.

    >>> state = JobState(job_id="j", name="j", status="running", total=30, done=20, created_at=0, started_at=0,
    ...     updated_at=60, host="", pid=0)
    >>> seconds_left(done_before=10, state=state)
    60.0
    """
    done, seconds = state.done - done_before, state.updated_at - state.started_at
    return (state.wanted - state.done) * seconds / done if done > 0 and seconds > 0 else None
