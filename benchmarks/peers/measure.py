"""One run of one peer under observation; and one that is killed half way and run again."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.peers.machine import busy_s
from benchmarks.peers.peers import Peer, Work, environment
from benchmarks.peers.runners.options import Action
from benchmarks.peers.server_process import ServerProcess, static_server
from benchmarks.peers.tree import Tree, cpu_of, kill, memory_mb, tree

TIME_OUT_S = 240.0  # for one command
LOOK_EVERY_S = 0.25  # at a run that has begun to send; each look reads the memory of every process
START_LOOK_EVERY_S = 0.05  # at one that has not
KILL_LOOK_EVERY_S = 0.01  # at one that is about to be killed
_SHOWN = 200  # characters of the last words of a command that failed


class PeerFailure(Exception):
    """The peer did not do the work here; the message is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """One whole run. CPU time and memory are those of the whole process tree."""

    wall_s: float  # from the start of the command to its end
    startup_s: float  # of it, before the server had the first request
    sending_s: float  # from the first request to the last reply
    cpu_s: float
    startup_cpu_s: float  # of it, before the server had the first request
    memory_mb: float  # peak, proportional set size
    requests: int  # as the server counted
    results: int  # samples kept at the end
    others_cores: float  # CPU taken meanwhile by everything else on the machine, in cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """One run killed when the server had answered half, and its rerun. Requests as the server counted."""

    received_at_kill: int
    answered_at_kill: int
    requests: int  # both runs together
    results: int  # samples kept at the end
    rerun_wall_s: float

    @property
    def unanswered(self) -> int:
        """Requests whose reply the server had not yet written: nobody can save these."""
        return self.received_at_kill - self.answered_at_kill


def measure_speed(peer: Peer, work: Work, delay_ms: float) -> Speed:
    """Raises PeerFailure."""
    with static_server(delay_ms) as server, _Bench.open(peer, work, server) as bench, bench.started("run") as started:
        watch = _Watch(server, started.processes)
        others_before = busy_s() - time.process_time() - cpu_of(server.pid) - started.processes.cpu_s()
        started.until(watch.look, watch.pause)
        wall_s, cpu_s = time.monotonic() - started.at, started.processes.cpu_s()
        others_s = busy_s() - time.process_time() - cpu_of(server.pid) - cpu_s - others_before
        count = server.count()
        if count.first_at is None or count.last_at is None:
            raise PeerFailure("ended without a request")
        return Speed(
            wall_s=wall_s,
            startup_s=count.first_at - started.at,
            sending_s=count.last_at - count.first_at,
            cpu_s=cpu_s,
            startup_cpu_s=watch.startup_cpu_s,
            memory_mb=watch.memory_mb,
            requests=count.received,
            results=bench.results(),
            others_cores=max(0.0, others_s) / wall_s,
        )


def measure_crash(peer: Peer, work: Work, delay_ms: float) -> Crash:
    """Raises PeerFailure."""
    with static_server(delay_ms) as server, _Bench.open(peer, work, server) as bench:
        with bench.started("run") as killed:
            killed.while_it_runs(lambda: server.count().answered < work.generations // 2, KILL_LOOK_EVERY_S)
            kill(killed.processes)
        at_kill = server.count()
        with bench.started("rerun") as rerun:
            rerun.until(lambda: None, lambda: LOOK_EVERY_S)
            rerun_wall_s = time.monotonic() - rerun.at
        return Crash(
            received_at_kill=at_kill.received,
            answered_at_kill=at_kill.answered,
            requests=server.count().received,
            results=bench.results(),
            rerun_wall_s=rerun_wall_s,
        )


@dataclass(frozen=True, slots=True)
class _Started:
    """A command that runs."""

    process: subprocess.Popen[bytes]
    processes: Tree
    output: IO[bytes]
    at: float  # monotonic seconds

    def until(self, look: Callable[[], None], pause: Callable[[], float]) -> None:
        """Look at it now and then until it ends. Raises PeerFailure if it fails or takes too long."""
        while True:
            look()
            try:
                code = self.process.wait(pause())
                break
            except subprocess.TimeoutExpired:
                self._check_time()
        if code != 0:
            raise PeerFailure(f"exit code {code}: {self._last_words()}")

    def while_it_runs(self, wanted: Callable[[], bool], every_s: float) -> None:
        """Until `wanted` no longer holds. Raises PeerFailure if it ends before or takes too long."""
        while wanted():
            if self.process.poll() is not None:
                raise PeerFailure(f"ended before it was killed: {self._last_words()}")
            self._check_time()
            time.sleep(every_s)

    def _check_time(self) -> None:
        if time.monotonic() - self.at > TIME_OUT_S:
            raise PeerFailure(f"not done after {TIME_OUT_S:.0f} s")

    def _last_words(self) -> str:
        self.output.seek(0)
        lines = [line for line in self.output.read().decode(errors="replace").splitlines() if line.strip()]
        return (lines or ["it said nothing"])[-1][:_SHOWN]


@dataclass(frozen=True, slots=True)
class _Bench:
    """A peer with its work, its server and a folder of its own."""

    peer: Peer
    work: Work
    server: ServerProcess
    folder: Path

    @classmethod
    @contextmanager
    def open(cls, peer: Peer, work: Work, server: ServerProcess) -> Iterator[_Bench]:
        with tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as folder:
            (Path(folder) / "home").mkdir()
            (Path(folder) / "kept").mkdir()
            yield cls(peer, work, server, Path(folder))

    @contextmanager
    def started(self, action: Action) -> Iterator[_Started]:
        """The command; whatever is left of it at the end is killed."""
        processes = tree()
        with tempfile.TemporaryFile() as output:
            at = time.monotonic()
            process = processes.start(self._command(action), environment=self._environment, output=output)
            try:
                yield _Started(process, processes, output, at)
            finally:
                kill(processes)
                process.wait()
                processes.close()

    def results(self) -> int:
        """How many samples it says it has kept."""
        told = subprocess.run(
            self._command("count"), env=self._environment, capture_output=True, text=True, timeout=TIME_OUT_S
        )
        if told.returncode != 0:
            raise PeerFailure(f"its results cannot be read: {told.stderr.strip()[-_SHOWN:]}")
        return int(told.stdout.split()[-1])

    def _command(self, action: Action) -> Sequence[str]:
        return self.peer.command(action, self.work, base_url=self.server.base_url, folder=self.folder / "kept")

    @property
    def _environment(self) -> dict[str, str]:
        return environment(self.folder / "home")


class _Watch:
    """What is read off a run while it lasts."""

    def __init__(self, server: ServerProcess, processes: Tree) -> None:
        self._server = server
        self._processes = processes
        self._has_begun = False
        self._memory_at = 0.0  # when memory was last read
        self.startup_cpu_s = 0.0
        self.memory_mb = 0.0

    def look(self) -> None:
        if not self._has_begun:
            cpu_s = self._processes.cpu_s()
            self._has_begun = self._server.count().first_at is not None
            if not self._has_begun:
                self.startup_cpu_s = cpu_s
        if time.monotonic() - self._memory_at >= LOOK_EVERY_S:
            self._memory_at = time.monotonic()
            self.memory_mb = max(self.memory_mb, memory_mb(self._processes.members()))

    def pause(self) -> float:
        return LOOK_EVERY_S if self._has_begun else START_LOOK_EVERY_S
