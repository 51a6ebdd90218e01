"""Processes of this machine, for tests that kill some of them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

DEADLINE_S = 60.0  # for anything that is waited for
LOOKS = 50  # the system's list of connections may miss one while others come and go


def workers_of(ancestor: int) -> list[int]:
    """Processes of our Worker actor below a process."""
    return [pid for pid in descendants(ancestor) if b"ray::Worker" in command_of(pid)]


def command_of(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def descendants(ancestor: int) -> list[int]:
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found, fresh = list[int](), [ancestor]
    while fresh:
        fresh = [pid for pid, parent in parents.items() if parent in fresh]
        found += fresh
    return found


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def owner_of(port: int, ancestor: int) -> int:
    """The process below another that holds the local end of a connection from this port."""
    for _ in range(LOOKS):
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inodes = {f"socket:[{row[9]}]" for row in rows if int(row[1].rpartition(":")[2], 16) == port}
        for pid in descendants(ancestor) if inodes else ():
            with contextlib.suppress(OSError):
                if any(os.readlink(handle) in inodes for handle in Path(f"/proc/{pid}/fd").iterdir()):
                    return pid
    raise LookupError(f"nobody holds port {port}")


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.1)


class JumpyClock:
    """A wall clock that somebody sets: each call of `time.time` may find it hours or a day away."""

    JUMPS_S = (0.0, -3600.0, 3600.0, -86400.0, 0.0, 86400.0)

    def __init__(self, calls: int) -> None:
        self._true, self._calls, self._left = time.time, calls, 0
        self.jumps = 0

    def __call__(self) -> float:
        self._left += 1
        if self._left % self._calls == 0:
            self.jumps += 1
        return self._true() + self.JUMPS_S[self.jumps % len(self.JUMPS_S)]
