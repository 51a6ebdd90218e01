"""Whether a job runs is judged from its state, the clock and what its cluster says; nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.jobs.liveness import SILENT_AFTER_S, Submission, SubmissionStatus, judge, seconds_left
from polythink.storage.state import JobState, Status

STARTED = 1_000.0
RUNNING = JobState(
    job_id="j-1",
    name="j",
    status="running",
    created_at=0.0,
    started_at=STARTED,
    updated_at=STARTED + 100,
    host="elsewhere",
    pid=7,
)
SUBMITTED = replace(RUNNING, status="submitted", address="http://head:8265", submission_id="j-1.ab")
FRESH = RUNNING.updated_at + 1
SILENT = RUNNING.updated_at + SILENT_AFTER_S + 1

statuses = st.sampled_from(get_args(SubmissionStatus))
submissions = st.builds(
    Submission, status=statuses, message=st.none() | st.text(), ended_at=st.none() | st.floats(0, 2_000)
)
moments = st.floats(RUNNING.updated_at, RUNNING.updated_at + 1e6)


@given(
    status=st.sampled_from(sorted(set(get_args(Status)) - {"running", "submitted"})),
    now=moments,
    here=st.none() | st.booleans(),
    submission=st.none() | submissions,
)
def test_a_job_that_says_it_ended_has_ended(
    status: Status, now: float, here: bool | None, submission: Submission | None
) -> None:
    assert judge(replace(RUNNING, status=status), now=now, driver_here=here, submission=submission).liveness == "ended"


@given(now=moments, submission=st.none() | submissions)
def test_a_driver_seen_here_runs_whatever_its_cluster_says(now: float, submission: Submission | None) -> None:
    assert judge(RUNNING, now=now, driver_here=True, submission=submission).liveness == "running"


@given(now=moments, submission=st.none() | submissions)
def test_a_driver_missed_here_is_gone_however_fresh_its_state(now: float, submission: Submission | None) -> None:
    verdict = judge(RUNNING, now=now, driver_here=False, submission=submission)
    assert verdict.liveness == "gone"
    assert verdict.note and "process 7" in verdict.note


@given(state=st.sampled_from([RUNNING, SUBMITTED]), now=moments, submission=submissions, here=st.none() | st.booleans())
def test_a_job_once_gone_does_not_come_back_by_waiting(
    state: JobState, now: float, submission: Submission, here: bool | None
) -> None:
    if judge(state, now=now, driver_here=here, submission=submission).liveness == "gone":
        assert judge(state, now=now + 60, driver_here=here, submission=submission).liveness == "gone"


def test_a_driver_elsewhere_is_gone_after_a_minute_of_silence() -> None:
    assert judge(RUNNING, now=FRESH, driver_here=None, submission=None).liveness == "running"
    verdict = judge(RUNNING, now=SILENT, driver_here=None, submission=None)
    assert verdict.liveness == "gone"
    assert verdict.note == "no sign of life from elsewhere for 61 s"


@pytest.mark.parametrize("status", ["failed", "stopped", "succeeded"])
def test_a_submission_that_ended_leaves_its_run_gone(status: SubmissionStatus) -> None:
    ended = Submission(status=status, message="exit code -9\nthe rest of the log", ended_at=STARTED + 50)
    verdict = judge(RUNNING, now=FRESH, driver_here=None, submission=ended)
    assert verdict.liveness == "gone"
    assert verdict.note == f"its driver on elsewhere has ended: Ray calls it {status} (exit code -9)"


def test_a_submission_that_ended_before_the_run_began_says_nothing_of_it() -> None:
    earlier = Submission(status="failed", ended_at=STARTED - 1)
    assert judge(RUNNING, now=FRESH, driver_here=None, submission=earlier).liveness == "running"


def test_a_submitted_job_waits_as_long_as_its_cluster_holds_it() -> None:
    for status in ("pending", "running"):
        held = Submission(status=status)
        assert judge(SUBMITTED, now=SILENT + 1e5, driver_here=False, submission=held).liveness == "waiting"


@pytest.mark.parametrize("status", ["unknown", "unreachable"])
def test_a_submitted_job_gets_a_minute_to_become_known(status: SubmissionStatus) -> None:
    lost = Submission(status=status, message="refused")
    assert judge(SUBMITTED, now=FRESH, driver_here=False, submission=lost).liveness == "waiting"
    assert judge(SUBMITTED, now=SILENT, driver_here=False, submission=lost).liveness == "gone"


def test_a_submitted_job_whose_driver_ended_at_once_is_gone() -> None:
    failed = Submission(status="failed", message="no such command")
    verdict = judge(SUBMITTED, now=FRESH, driver_here=True, submission=failed)
    assert verdict.note == "its driver ended before it began: Ray calls it failed (no such command)"


def test_a_job_stored_and_never_begun_is_gone_with_the_process_that_stored_it() -> None:
    stored = replace(SUBMITTED, address=None, submission_id=None)
    assert judge(stored, now=FRESH, driver_here=True, submission=None).liveness == "waiting"
    assert judge(stored, now=FRESH, driver_here=False, submission=None).liveness == "gone"


@given(before=st.integers(0, 50), this_run=st.integers(0, 50), owed=st.integers(0, 50))
def test_time_left_counts_only_what_this_run_has_done(before: int, this_run: int, owed: int) -> None:
    done = before + this_run
    left = seconds_left(done_before=before, state=replace(RUNNING, done=done, total=done + owed))
    assert left is None if this_run == 0 else left == pytest.approx(100 * owed / this_run)
