"""A simulator as a child process, for tests, the demo and rehearsals."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType

from polythink.simulator.server import PARENT_ENV

LISTENING = "listening "
STOP_SECONDS = 10.0


class SimulatorStartError(RuntimeError):
    """The simulator ended before it listened; carries what it said."""


class SimulatorProcess:
    """A running `polythink simulate`; a context manager that stops it at the end. It ends with its parent in any case.

    >>> with SimulatorProcess.start(["--seed", "7"]) as simulator:
    ...     simulator.base_url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(self, process: subprocess.Popen[str], base_url: str) -> None:
        self._process = process
        self.base_url = base_url

    @classmethod
    def start(cls, args: Sequence[str] = ()) -> SimulatorProcess:
        """Start one with these options and wait until it listens. Raises SimulatorStartError if it ends instead."""
        command = [sys.executable, "-m", "polythink.cli.simulate", *args]
        environment = {**os.environ, PARENT_ENV: str(os.getpid())}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith(LISTENING):
            code = process.wait()
            raise SimulatorStartError(f"{' '.join(command)} ended with exit code {code} before it listened")
        return cls(process, line.removeprefix(LISTENING).strip())

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> int:
        """Stop it and return its exit code. Stopping twice is harmless."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def __enter__(self) -> SimulatorProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
