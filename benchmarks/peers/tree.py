"""A command and everything it starts, daemons included: its processes, their CPU time and memory, and their end.

Where a control group (cgroup v2) may be made, the kernel keeps the account: exact, whatever a process does. Elsewhere
the process table is read again and again: what a process used after the last look at it is missed. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

KILL_WITHIN_S = 30.0
LOOK_EVERY_S = 0.01
MEGABYTE = 1024**2
_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_TICKS = os.sysconf("SC_CLK_TCK")
_JOIN = 'echo $$ > "$0/cgroup.procs" && exec "$@"'  # sh: the group first, then the command in the same process


class Tree(Protocol):
    """The processes of one command. `start` is called once."""

    how: str  # how CPU time is counted, for people

    def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], output: IO[bytes]
    ) -> subprocess.Popen[bytes]: ...

    def members(self) -> set[int]:
        """Process ids of all that live."""

    def cpu_s(self) -> float:
        """User and system time of all that ever lived, in seconds."""

    def close(self) -> None:
        """Forget it; no process may be left."""


class CgroupTree:
    """The account that the kernel keeps of a control group made for the command."""

    how = "control group (cgroup v2)"

    def __init__(self, parent: Path) -> None:
        """Raises OSError where no group may be made under `parent`."""
        self._folder = parent / f"polythink-peers-{os.getpid()}-{time.monotonic_ns()}"
        self._folder.mkdir()

    def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], output: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        joined = ["/bin/sh", "-c", _JOIN, str(self._folder), *command]
        return _start(joined, environment, output)

    def members(self) -> set[int]:
        return {int(line) for line in (self._folder / "cgroup.procs").read_text().split()}

    def cpu_s(self) -> float:
        account = dict(line.split() for line in (self._folder / "cpu.stat").read_text().splitlines())
        return int(account["usage_usec"]) / 1e6

    def close(self) -> None:
        deadline = time.monotonic() + KILL_WITHIN_S
        while True:
            try:
                return self._folder.rmdir()
            except OSError:  # a killed process is off the list some time before it has given everything back
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_EVERY_S)


class ProcTree:
    """All descendants of this process that were started since, read from the process table.

    This process adopts orphans from now on, so that a daemon stays a descendant.
    """

    how = "process table, several times a second"

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1)
        self._others = {row.pid for row in _table() if row.parent == os.getpid()}
        self._seen: dict[tuple[int, int], float] = {}  # CPU seconds by process id and start
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], output: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        self._process = _start(command, environment, output)
        return self._process

    def members(self) -> set[int]:
        return {row.pid for row in self._look() if not row.is_dead}

    def cpu_s(self) -> float:
        self._look()
        return sum(self._seen.values())

    def close(self) -> None:
        self._look()

    def _look(self) -> list[_Row]:
        rows = descendants(_table(), os.getpid(), self._others)
        self._seen.update(((row.pid, row.started), row.cpu_s) for row in rows)
        for row in rows:
            if row.is_dead and row.parent == os.getpid() and not (self._process and row.pid == self._process.pid):
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(row.pid, os.WNOHANG)
        return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One process, as the process table has it."""

    pid: int
    parent: int  # process id
    started: int  # ticks since boot: tells two processes of one id apart
    cpu_s: float  # its own threads' user and system time
    is_dead: bool  # a zombie


def descendants(rows: Sequence[_Row], root: int, others: set[int]) -> list[_Row]:
    """Children of `root` and theirs, to the last; `others` are left out with all their own."""
    by_parent: dict[int, list[_Row]] = {}
    for row in rows:
        by_parent.setdefault(row.parent, []).append(row)
    found: list[_Row] = []
    waiting = [row for row in by_parent.get(root, []) if row.pid not in others]
    while waiting:
        row = waiting.pop()
        found.append(row)
        waiting += by_parent.get(row.pid, [])
    return found


def tree() -> Tree:
    """The most exact one that may be had here."""
    parent = cgroup_folder(Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text())
    if parent is not None:
        with contextlib.suppress(OSError):
            return CgroupTree(parent)
    return ProcTree()


def cgroup_folder(mounts: str, groups: str) -> Path | None:
    """This process's own folder in the cgroup v2 hierarchy, from /proc/self/mounts and /proc/self/cgroup.

    >>> cgroup_folder("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0", "0::/user.slice\\n")
    PosixPath('/sys/fs/cgroup/user.slice')
    >>> cgroup_folder("tmpfs /tmp tmpfs rw 0 0", "0::/\\n")
    """
    points = [fields[1] for line in mounts.splitlines() if (fields := line.split())[2] == "cgroup2"]
    own = [line.removeprefix("0::") for line in groups.splitlines() if line.startswith("0::")]
    return Path(points[0] + own[0].rstrip("/")) if points and own else None


def kill(processes: Tree) -> None:
    """`kill -9` every process, until none is left. Raises TimeoutError if some stay."""
    deadline = time.monotonic() + KILL_WITHIN_S
    while members := processes.members():
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {sorted(members)} outlive kill -9")
        time.sleep(LOOK_EVERY_S)


def cpu_of(pid: int) -> float:
    """User and system time of one living process so far, in seconds."""
    row = _row(Path(f"/proc/{pid}"))
    return row.cpu_s if row else 0.0


def memory_mb(pids: set[int]) -> float:
    """Proportional set size of all: resident memory, each shared page counted once between its owners. In MiB."""
    return sum(_pss_bytes(pid) for pid in pids) / MEGABYTE


def _pss_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):  # it has just ended
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _start(command: Sequence[str], environment: Mapping[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)


def _table() -> list[_Row]:
    return [row for folder in Path("/proc").iterdir() if folder.name.isdigit() and (row := _row(folder))]


def _row(folder: Path) -> _Row | None:
    """None if the process has just ended."""
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
    return _Row(
        pid=int(folder.name), parent=int(fields[1]), started=int(fields[19]), cpu_s=cpu_s, is_dead=fields[0] in "ZX"
    )
