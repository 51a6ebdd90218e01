"""The local Ray head that submitted jobs run on: started on demand, found again by every shell of its user.

Its folder holds head.json, its token and its log. The head keeps the environment of the shell that started it:
that is how keys reach workers, and the reason why a head without them is refused.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ray.job_submission import JobSubmissionClient

from polythink.errors import ClusterError
from polythink.jobs.ray_jobs import connect
from polythink.storage.files import replace_text

HOME_VARIABLE = "POLYTHINK_HOME"
START_TIMEOUT_S = 90.0
CLEAR_TIMEOUT_S = 15.0  # seconds an ended head's processes are waited for
LOOK_EVERY_S = 0.25
STOP_WAIT_S = 30  # seconds a stopped driver has to put its archive in order
LOG_TAIL_LINES = 15
_LOCALHOST = "127.0.0.1"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A local head that was started."""

    address: str  # of its Jobs API
    pid: int  # of its first process, which leads a session of its own and takes the rest along when it ends
    folder: str  # Ray's files
    variables: tuple[str, ...]  # names of the environment variables it was started with


def home() -> Path:
    """The folder that remembers the head: $POLYTHINK_HOME, else polythink's among the user's state files."""
    if own := os.environ.get(HOME_VARIABLE):
        return Path(own).expanduser().absolute()
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "polythink"


def local_head(say: Say) -> Head:
    """The live local head, started if there is none. Raises ClusterError if it cannot be."""
    home().mkdir(mode=0o700, parents=True, exist_ok=True)
    with _one_at_a_time():
        known = known_head()
        if known and _is_live(known):
            return known
        if known:
            _clear_away(known)
        say("starting Ray on this machine for submitted jobs; this takes about ten seconds")
        head = _start()
        say(f"Ray is up at {head.address} and stays; `kill {head.pid}` stops it")
        return head


def _clear_away(dead: Head) -> None:
    """Remove a head's folder once its processes are gone: those that are ending may still write to it."""
    folder, deadline = Path(dead.folder), time.monotonic() + CLEAR_TIMEOUT_S
    while folder.exists() and time.monotonic() < deadline:
        if not process_exists(dead.pid):
            shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            time.sleep(LOOK_EVERY_S)


def known_head() -> Head | None:
    """The head last started, alive or not."""
    try:
        fields = json.loads((home() / "head.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Head(**{**fields, "variables": tuple(fields["variables"])})


def process_exists(pid: int) -> bool:
    """Whether there is a process of that id on this machine, of whatever user. A zombie is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:  # no such file system, or it is gone by now
        return False


def jobs_api(address: str) -> JobSubmissionClient:
    """The Jobs API at an address, with the token of the local head if it is that. Raises ClusterError."""
    known = known_head()
    is_ours = known is not None and known.address == address
    return connect(address, _token_path().read_text(encoding="ascii") if is_ours else None)


def _is_live(head: Head) -> bool:
    try:
        jobs_api(head.address)
    except ClusterError:
        return False
    return True


def _start() -> Head:
    # A short path, for Unix sockets lie in it; a private one, for Ray opens its own folder to everyone.
    private = tempfile.mkdtemp(prefix="polythink-", dir="/tmp")
    ports = _free_ports(2)
    token_path = _token_path()
    token_path.unlink(missing_ok=True)
    token_path.touch(mode=0o600)
    token_path.write_text(secrets.token_hex(32), encoding="ascii")
    environment = _environment(token_path)
    with _log_path().open("wb") as log:
        process = subprocess.Popen(
            _command(f"{private}/ray", *ports),
            cwd=home(),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    head = Head(
        address=f"http://{_LOCALHOST}:{ports[0]}", pid=process.pid, folder=private, variables=tuple(sorted(environment))
    )
    replace_text(home() / "head.json", json.dumps(asdict(head), indent=1))
    _await_live(head, process)
    return head


def _command(folder: str, dashboard_port: int, client_port: int) -> list[str]:
    """`ray start` with no port of its own choosing. 0 takes a free one; two options do not know it."""
    return [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"),
        *("--include-dashboard=true", f"--dashboard-host={_LOCALHOST}", f"--dashboard-port={dashboard_port}"),
        *("--port=0", "--dashboard-agent-listen-port=0", "--min-worker-port=0", "--max-worker-port=0"),
        *(f"--ray-client-server-port={client_port}", f"--temp-dir={folder}"),
    ]


def _environment(token_path: Path) -> dict[str, str]:
    """The shell's, less what belongs to a job or another cluster, plus what keeps the head to its user."""
    dropped = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN", "ANTHROPIC_BASE_URL")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_path),
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # `kill` means now: a job's archive is whole at any moment
        "NO_COLOR": "1",
    }


def _await_live(head: Head, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _is_live(head):
        if process.poll() is not None:
            raise ClusterError(f"Ray ended while it started (exit code {process.returncode}):\n{_log_tail()}")
        if time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGTERM)
            raise ClusterError(f"Ray did not start in {START_TIMEOUT_S:.0f} s:\n{_log_tail()}")
        time.sleep(LOOK_EVERY_S)


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind((_LOCALHOST, 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def _token_path() -> Path:
    return home() / "token"


def _log_path() -> Path:
    return home() / "head.log"


def _log_tail() -> str:
    return "\n".join(_log_path().read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:])


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two shells that submit at once start one head."""
    with (home() / "head.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
