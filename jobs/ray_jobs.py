"""Ray's Jobs API: reaching it, and asking it about a submitted driver."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from ray.exceptions import RayError
from ray.job_submission import JobStatus, JobSubmissionClient

from polythink.errors import ClusterError
from polythink.jobs.liveness import Submission, SubmissionStatus

CONNECT_TIMEOUT_S = 5.0
_WINS_OVER_ALL = "RAY_API_SERVER_ADDRESS"
_CLUSTER_ERRORS = (OSError, RuntimeError, ValueError, RayError)

_STATUS: dict[JobStatus, SubmissionStatus] = {
    JobStatus.PENDING: "pending",
    JobStatus.RUNNING: "running",
    JobStatus.SUCCEEDED: "succeeded",
    JobStatus.FAILED: "failed",
    JobStatus.STOPPED: "stopped",
}


def connect(address: str, token: str | None = None) -> JobSubmissionClient:
    """The Jobs API of a cluster: `http://host:8265`, or whatever else Ray takes as an address.

    `token` is the cluster's; without it Ray looks for one by its own rules. Raises ClusterError.
    """
    try:
        _check_listening(address)
        with _this_address_only(address):
            headers = {"Authorization": f"Bearer {token}"} if token else None
            return JobSubmissionClient(address, headers=headers)
    except _CLUSTER_ERRORS as error:
        raise ClusterError(f"cannot reach Ray's Jobs API at {address}: {error}") from error


@contextmanager
def cluster_errors(doing: str) -> Iterator[None]:
    """What the Jobs API refuses becomes a ClusterError."""
    try:
        yield
    except _CLUSTER_ERRORS as error:
        raise ClusterError(f"cannot {doing}: {error}") from error


def ask(client: JobSubmissionClient, submission_id: str) -> Submission:
    """What the cluster says of a submission."""
    try:
        details = client.get_job_info(submission_id)
    except RuntimeError:
        return Submission(status="unknown")
    except (OSError, RayError) as error:
        return Submission(status="unreachable", message=str(error))
    return Submission(
        status=_STATUS[JobStatus(details.status)],
        message=details.message,
        ended_at=details.end_time / 1e3 if details.end_time else None,
    )


def _check_listening(address: str) -> None:
    """Ray's client waits minutes for a machine that does not answer; this gives up early. Raises OSError."""
    parts = urlsplit(address)
    if parts.scheme in ("http", "https") and parts.hostname:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=CONNECT_TIMEOUT_S).close()


@contextmanager
def _this_address_only(address: str) -> Iterator[None]:
    """Ray lets RAY_ADDRESS go before the address it is given; only this variable goes before both."""
    earlier = os.environ.get(_WINS_OVER_ALL)
    os.environ[_WINS_OVER_ALL] = address
    try:
        yield
    finally:
        if earlier is None:
            del os.environ[_WINS_OVER_ALL]
        else:
            os.environ[_WINS_OVER_ALL] = earlier
