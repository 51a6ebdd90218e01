"""The static server as a child process, and what it has counted."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.peers.static_server import LISTENING, Count

ANSWER_WITHIN_S = 10.0
STOP_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProcess:
    """A running static server."""

    pid: int
    base_url: str

    def count(self) -> Count:
        """What it has been asked so far. Raises OSError if it does not answer."""
        with urllib.request.urlopen(f"{self.base_url}/count", timeout=ANSWER_WITHIN_S) as reply:
            return Count(**json.load(reply))


@contextmanager
def static_server(delay_ms: float) -> Iterator[ServerProcess]:
    """One for as long as the block lasts. Raises RuntimeError if it ends before it listens."""
    command = [sys.executable, "-m", "benchmarks.peers.static_server", f"--delay-ms={delay_ms}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line.startswith(LISTENING):
            raise RuntimeError(f"the static server ended with exit code {process.wait()} before it listened")
        yield ServerProcess(pid=process.pid, base_url=line.removeprefix(LISTENING).strip())
    finally:
        process.terminate()
        process.wait(STOP_WITHIN_S)
        process.stdout.close()
