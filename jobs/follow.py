"""Watching and ending a job from outside: what its archive says, checked against the signs of its driver."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from polythink.errors import ArchiveError, ClusterError, JobBusyError, UnknownJobError
from polythink.jobs.control import request_cancel
from polythink.jobs.head import Say, jobs_api, process_exists
from polythink.jobs.liveness import SILENT_AFTER_S, Submission, Verdict, judge
from polythink.jobs.ray_jobs import ask, cluster_errors
from polythink.storage.archive import Archive
from polythink.storage.state import JobState

LOOK_EVERY_S = 1.0
GRACE_S = 300.0  # seconds a cancelled job has to finish what is in flight, for that is paid
FORCED_S = 60.0  # seconds a stopped driver has to end


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A job at one moment."""

    state: JobState
    verdict: Verdict
    submission: Submission | None  # as the cluster told; None if it was not asked


def look(archive: Archive, job_id: str) -> Sighting:
    """A job now. Raises UnknownJobError. A cluster that does not answer is part of the picture, not an error."""
    sighting = _look_once(archive, job_id)
    # A driver that ended after its state was read has left a newer one.
    return _look_once(archive, job_id) if sighting.verdict.liveness == "gone" else sighting


def follow(archive: Archive, job_id: str, see: Callable[[JobState], None]) -> Sighting:
    """Show states as they come, until the job ended or its driver is gone; returns the last sighting."""
    while True:
        sighting = look(archive, job_id)
        see(sighting.state)
        if sighting.verdict.is_over:
            return sighting
        time.sleep(LOOK_EVERY_S)


def driver_log(state: JobState) -> str:
    """What the driver of a submitted job said. Raises ClusterError, and ArchiveError for a job never submitted."""
    if state.address is None or state.submission_id is None:
        raise ArchiveError(f"job {state.job_id} was not submitted; what it said went to the terminal it ran in")
    client = jobs_api(state.address)
    with cluster_errors(f"read the log of job {state.job_id}"):
        return client.get_job_logs(state.submission_id)


def cancel(archive: Archive, job_id: str, *, grace_s: float, say: Say) -> JobState:
    """Ask a job to stop sending and wait until it ended; after `grace_s` seconds stop its driver.

    Returns the last state; a job that had ended stays as it was. Raises ClusterError if the driver cannot be stopped.
    """
    sighting = look(archive, job_id)
    if sighting.verdict.liveness == "ended":
        say(f"job {job_id} had ended: {sighting.state.status}")
        return sighting.state
    force_at = time.monotonic() + grace_s
    give_up_at = force_at + FORCED_S
    forced = False
    while True:
        if sighting.verdict.is_over and (last := _note_cancelled(archive, sighting.state)):
            return last
        request_cancel(archive, job_id)  # again each time: a run that begins drops requests older than itself
        is_late = time.monotonic() >= force_at or _waits_in_a_queue(sighting)
        if is_late and not forced and not sighting.verdict.is_over:
            forced = True
            give_up_at = time.monotonic() + FORCED_S
            _stop_driver(sighting.state, say)
        if time.monotonic() > give_up_at:
            raise ClusterError(f"the driver of job {job_id} does not end; it is process {_place(sighting.state)}")
        time.sleep(LOOK_EVERY_S)
        sighting = look(archive, job_id)


def _look_once(archive: Archive, job_id: str) -> Sighting:
    state = archive.state(job_id)
    if state is None:
        raise UnknownJobError(f"no job {job_id!r} in {archive.root}")
    now = time.time()
    here = _driver_here(archive, state, now)
    submission = _submission(state, here)
    return Sighting(
        state=state, verdict=judge(state, now=now, driver_here=here, submission=submission), submission=submission
    )


def _submission(state: JobState, driver_here: bool | None) -> Submission | None:
    """What the cluster says, asked only where the answer is not plain without."""
    if state.submission_id is None or state.address is None:
        return None
    if state.status != "submitted" and not (state.status == "running" and driver_here is None):
        return None
    try:
        client = jobs_api(state.address)
    except ClusterError as error:
        return Submission(status="unreachable", message=str(error))
    return ask(client, state.submission_id)


def _driver_here(archive: Archive, state: JobState, now: float) -> bool | None:
    """Whether the driver lives on this machine; None if it was last seen on another.

    A process id alone may by now be another process's, so of a silent driver the job's lease is the proof.
    """
    if state.host != socket.gethostname():
        return None
    if not process_exists(state.pid):
        return False
    return now - state.updated_at <= SILENT_AFTER_S or archive.is_locked(state.job_id)


def _waits_in_a_queue(sighting: Sighting) -> bool:
    return sighting.verdict.liveness == "waiting" and sighting.state.submission_id is not None


def _stop_driver(state: JobState, say: Say) -> None:
    """Stop the driver where it can be reached from here. Raises ClusterError."""
    say(f"stopping the driver of job {state.job_id}")
    if state.host == socket.gethostname() and state.status == "running":
        os.kill(state.pid, signal.SIGTERM)
    elif state.address is not None and state.submission_id is not None:
        client = jobs_api(state.address)
        with cluster_errors(f"stop job {state.job_id}"):
            client.stop_job(state.submission_id)
    else:
        raise ClusterError(
            f"job {state.job_id} was asked to stop, but cannot be stopped from here: it is {_place(state)}"
        )


def _place(state: JobState) -> str:
    return f"process {state.pid} on {state.host}"


def _note_cancelled(archive: Archive, state: JobState) -> JobState | None:
    """A driver that was stopped, or was gone, could not write that it was cancelled.

    None while a driver that has written its last word still holds the job: it takes a moment more to end.
    """
    if state.status not in ("submitted", "running", "interrupted"):
        return state
    cancelled = replace(
        state, status="cancelled", reason="cancelled; resume it to go on", in_flight=0, updated_at=time.time()
    )
    try:
        with archive.lock(state.job_id):
            archive.write_state(cancelled)
    except JobBusyError:
        return None
    return cancelled
