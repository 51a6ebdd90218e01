"""Which process this is, in words that another process can check: is its owner on this machine, and alive?"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process anywhere."""

    host: str
    machine: str  # one boot of one machine, one space of process ids within it: containers share the former
    pid: int
    started: str  # in the system's own count, so that a later process with the same id is another

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def is_here(self) -> bool:
        """Whether it was started where this process can see it."""
        return self.machine == _machine()

    @property
    def is_gone(self) -> bool:
        """Whether it is known to have ended; False of a process that cannot be seen from here."""
        return self.is_here and _start_of(self.pid) != self.started


def this_process() -> Process:
    pid = os.getpid()
    return Process(host=socket.gethostname(), machine=_machine(), pid=pid, started=_start_of(pid) or "")


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no such file system: the name must do
        return socket.gethostname()


def _start_of(pid: int) -> str | None:
    """When a process of this machine started; None if it has ended. "" while it lives where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return _start_without_proc(pid)
    return None if fields[0] in "ZX" else fields[19]  # a zombie does nothing more


def _start_without_proc(pid: int) -> str | None:
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return ""
    return ""
