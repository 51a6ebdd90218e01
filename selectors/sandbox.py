"""A function in a process of its own, which can be killed: for the user's grading, and for algebra on hostile answers.

A plain child process with JSON lines on its pipes: it needs no guarded main module, no fork of a process with threads,
and works the same inside a Ray worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from polythink.errors import SandboxError

_CHILD = str(Path(__file__).with_name("sandbox_child.py"))
_GIB = 2**30
_CHUNK = 65_536  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxLimits:
    """What one function may use."""

    seconds: float = 10.0  # per call
    load_seconds: float = 60.0  # to start Python and import the function
    memory_bytes: int = 4 * _GIB  # address space of the child, where the platform can limit it


class _Lost(Exception):
    """The child died or ran out of time; the message says which."""


class _Child:
    """One child process with its function loaded. Raises SandboxError if it cannot be."""

    def __init__(self, function: str, limits: SandboxLimits, quiet: bool) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            start_new_session=True,  # so that what it starts is killed with it
        )
        self._buffer = b""
        orders: dict[str, object] = {"reference": function, "path": [part or os.getcwd() for part in sys.path]}
        orders |= {"memory_bytes": limits.memory_bytes, "seconds": limits.seconds}
        try:
            self.send(orders)
            _, error = self.receive(limits.load_seconds)
        except _Lost as lost:
            self.kill()
            raise SandboxError(f"{function}: {lost} while loading") from lost
        if error is not None:
            self.kill()
            raise SandboxError(f"{function}: {error}")

    def send(self, message: object) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(message, default=str).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError as error:
            raise _Lost(self._epitaph()) from error

    def receive(self, seconds: float) -> tuple[Any, str | None]:
        """The next reply, within so many seconds."""
        stdout = self._process.stdout
        assert stdout is not None
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(stdout, select.POLLIN | select.POLLHUP)
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise _Lost(f"took longer than {seconds:g} s")
            chunk = os.read(stdout.fileno(), _CHUNK)
            if not chunk:
                raise _Lost(self._epitaph())
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        value, error = json.loads(line)
        return value, error

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()

    def _epitaph(self) -> str:
        code = self._process.wait()
        return f"its process was killed by signal {-code}" if code < 0 else f"its process exited with status {code}"


class Sandbox:
    """Calls one function in a child process, started at the first call and again after a kill.

    Args:
        function: `path/to/file.py:function` (relative to the current folder) or `package.module:function`.
        limits: time and memory.
        quiet: drop what the function prints, instead of passing it on to stderr.
    """

    def __init__(self, function: str, *, limits: SandboxLimits | None = None, quiet: bool = False) -> None:
        self._function = function
        self._limits = limits or SandboxLimits()
        self._quiet = quiet
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def call(self, batch: Sequence[Sequence[object]]) -> list[Any | SandboxError]:
        """The function's value for each list of arguments, or the SandboxError that took its place.

        Arguments and values travel as JSON; what JSON does not know is sent as its `str`. A call that fails, takes
        too long or kills its process costs itself only. Raises SandboxError if the function cannot be loaded.
        """
        results: list[Any | SandboxError] = []
        with self._lock:
            while len(results) < len(batch):
                self._serve(batch, results)
        return results

    def _serve(self, batch: Sequence[Sequence[object]], results: list[Any | SandboxError]) -> None:
        """Append results until the batch is done or the child is lost."""
        if self._child is None:
            self._child = _Child(self._function, self._limits, self._quiet)
        try:
            self._child.send([list(arguments) for arguments in batch[len(results) :]])
            while len(results) < len(batch):
                value, error = self._child.receive(self._limits.seconds)
                results.append(value if error is None else SandboxError(f"{self._function}: {error}"))
        except _Lost as lost:
            self._drop()
            results.append(SandboxError(f"{self._function}: {lost}"))

    def _drop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def close(self) -> None:
        """End the child process."""
        with self._lock:
            self._drop()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_function(function: str) -> None:
    """Raise SandboxError, saying what is wrong with the reference or its file, unless the function can be loaded."""
    _Child(function, SandboxLimits(), quiet=False).kill()
