"""Sending a stored job to a cluster: its driver is a `resume` that runs there."""

from __future__ import annotations

import os
import secrets
import shlex
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from pydantic import ValidationError
from ray.job_submission import JobSubmissionClient

from polythink.errors import ClusterError, JobBusyError, SpecError, SpecIssue, UnknownJobError
from polythink.jobs.follow import look
from polythink.jobs.head import Head, Say, jobs_api, known_head, local_head
from polythink.jobs.liveness import SUBMISSION_VARIABLE
from polythink.jobs.load import LoadedJob
from polythink.jobs.providers import credential_variables
from polythink.jobs.ray_jobs import cluster_errors
from polythink.jobs.spec_parts import Endpoint
from polythink.jobs.workload import Workload, store
from polythink.storage.archive import Archive
from polythink.storage.state import JobState

BASE_URL_VARIABLE = "ANTHROPIC_BASE_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """Where a driver goes."""

    client: JobSubmissionClient
    is_local: bool  # on the head started here, with the same interpreter


def submit(archive: Archive, loaded: LoadedJob, *, address: str | None, say: Say) -> JobState:
    """Store a job and send it to a cluster; returns once the cluster has taken it.

    `address` is that of the cluster's Jobs API; None takes $RAY_ADDRESS, else a head on this machine, started if need
    be. Raises JobBusyError if the job runs or waits already, JobChangedError as `store` does, ClusterError.
    """
    _check_idle(archive, loaded.job.name)
    target = _target(address, loaded, say)
    return send(archive, store(archive, loaded), target.client, command=_command_for(target))


def send(archive: Archive, work: Workload, client: JobSubmissionClient, *, command: tuple[str, ...]) -> JobState:
    """Hand a stored job to a cluster. `command` starts polythink there. Raises JobBusyError, ClusterError."""
    with archive.lock(work.job_id):
        state = _submitted(archive, work, client.get_address())
        archive.write_state(state)
    marked = ("env", f"{SUBMISSION_VARIABLE}={state.submission_id}", *command)
    entrypoint = shlex.join([*marked, "resume", work.job_id, "--archive", archive.root])
    try:
        with cluster_errors(f"submit job {work.job_id} to {state.address}"):
            client.submit_job(entrypoint=entrypoint, submission_id=state.submission_id)
    except ClusterError as error:
        archive.write_state(replace(state, status="stopped", reason=str(error), address=None, submission_id=None))
        raise
    return state


def pin_base_url(loaded: LoadedJob, environment: Mapping[str, str]) -> LoadedJob:
    """Write $ANTHROPIC_BASE_URL into endpoints that leave their server to it: the cluster has its own environment.

    Raises SpecError if the URL cannot stand in a job.
    """
    url = environment.get(BASE_URL_VARIABLE)
    if not url:
        return loaded
    endpoint = loaded.job.endpoint
    pinned = (
        _pinned(endpoint, url)
        if isinstance(endpoint, Endpoint)
        else {name: _pinned(named, url) for name, named in endpoint.items()}
    )
    return replace(loaded, job=loaded.job.model_copy(update={"endpoint": pinned}))


def _pinned(endpoint: Endpoint, url: str) -> Endpoint:
    if endpoint.base_url is not None or endpoint.provider != "anthropic":
        return endpoint
    try:
        return Endpoint.model_validate(endpoint.model_dump() | {"base_url": url})
    except ValidationError:
        issue = SpecIssue(
            path=f"${BASE_URL_VARIABLE}",
            line=None,
            file=None,
            found="a value that cannot stand in a job (not shown)",
            wanted="a URL such as http://127.0.0.1:8000, without user name or password",
        )
        raise SpecError((issue,)) from None


def _check_idle(archive: Archive, name_or_id: str) -> None:
    """Raises JobBusyError if the job, should there be one, runs or waits for its driver."""
    try:
        job_id = archive.resolve(name_or_id)
    except UnknownJobError:
        return
    sighting = look(archive, job_id)
    is_fresh = sighting.state.status == "submitted" and sighting.state.submission_id is None  # stored a moment ago
    if sighting.verdict.is_over or is_fresh:
        return
    state = sighting.state
    place = f"submitted to {state.address}" if state.submission_id else f"process {state.pid} on {state.host}"
    raise JobBusyError(
        f"job {job_id} is {sighting.verdict.liveness} already ({place}); "
        f"`polythink watch {job_id}` follows it, `polythink cancel {job_id}` stops it"
    )


def _target(address: str | None, loaded: LoadedJob, say: Say) -> _Target:
    asked = address or os.environ.get("RAY_ADDRESS")
    if asked is not None and "@" in urlsplit(asked).netloc:
        raise ClusterError("--address: a URL with a user name; it is kept in the archive, so give it without")
    head = local_head(say) if asked is None else known_head()
    client = jobs_api(head.address if head and asked is None else str(asked))
    if head is None or head.address != client.get_address():
        return _Target(client=client, is_local=False)
    _check_keys(head, loaded)
    return _Target(client=client, is_local=True)


def _check_keys(head: Head, loaded: LoadedJob) -> None:
    """Raises ClusterError if this shell has a key that the job needs and the head was started without."""
    needed = {name for endpoint in loaded.job.endpoints.values() for name in credential_variables(endpoint)}
    lacking = sorted(needed & set(os.environ) - set(head.variables))
    if lacking:
        raise ClusterError(
            f"Ray on this machine was started without {' and '.join(lacking)}; once its jobs are done, stop it "
            f"with `kill {head.pid}` and submit again"
        )


def _command_for(target: _Target) -> tuple[str, ...]:
    return (sys.executable, "-m", "polythink") if target.is_local else ("polythink",)


def _submitted(archive: Archive, work: Workload, address: str) -> JobState:
    state = archive.state(work.job_id)
    if state is None:
        raise UnknownJobError(f"job {work.job_id} is not in {archive.root}")
    if state.status == "submitted":  # by another shell, since this one looked
        _check_idle(archive, work.job_id)
    now = time.time()
    return replace(
        state,
        status="submitted",
        reason=None,
        address=address,
        submission_id=f"{work.job_id}.{secrets.token_hex(4)}",
        started_at=now,
        updated_at=now,
        host=socket.gethostname(),
        pid=os.getpid(),
    )
