"""`make bench-peers`: the same generations by polythink and by its peers, against the same static server, in one run.

    python -m benchmarks.peers [--rounds 3] [NAME ...]

Prints the tables of docs/peers.md and keeps every single run as JSON. Each round runs everybody in turn, so that
whatever else the machine does falls on all alike.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.peers.machine import describe
from benchmarks.peers.measure import Crash, PeerFailure, Speed, measure_crash, measure_speed
from benchmarks.peers.peers import Peer, Work, everybody
from benchmarks.peers.report import Outcome, crash_table, speed_table, versions_table
from benchmarks.peers.static_server import DELTAS
from benchmarks.peers.tree import tree

RESULTS = Path("benchmarks/peers/results.json")
WORK = Work(problems=20, samples=100, concurrency=256)
DELAYS_MS = (0.0, 500.0)
KILL_DELAY_MS = 500.0

Measured = TypeVar("Measured")


class Comparison:
    """What has been measured so far. A peer that failed at something is not asked for it again."""

    def __init__(self, peers: Mapping[str, Peer]) -> None:
        self._peers = peers
        self._speeds: dict[str, dict[float, list[Speed]]] = {name: {} for name in peers}
        self._crashes: dict[str, list[Crash]] = {name: [] for name in peers}
        self._failures: dict[str, dict[str, str]] = {name: {} for name in peers}

    def prepare(self) -> None:
        for name, peer in self._peers.items():
            print(f"set-up: {peer.title} ...", file=sys.stderr)
            if reason := peer.prepare():
                self._failures[name]["set-up"] = reason

    def speed(self, delay_ms: float) -> None:
        """Everybody once."""
        for name, peer in self._peers.items():
            run = self._try(name, f"{delay_ms:.0f} ms", partial(measure_speed, peer, WORK, delay_ms))
            if run is not None:
                self._speeds[name].setdefault(delay_ms, []).append(run)

    def crash(self) -> None:
        """Everybody once."""
        for name, peer in self._peers.items():
            run = self._try(name, "kill", partial(measure_crash, peer, WORK, KILL_DELAY_MS))
            if run is not None:
                self._crashes[name].append(run)

    def outcomes(self) -> list[Outcome]:
        return [
            Outcome(
                title=peer.title,
                versions=peer.versions,
                speeds=self._speeds[name],
                crashes=self._crashes[name],
                failures=self._failures[name],
            )
            for name, peer in self._peers.items()
        ]

    def _try(self, name: str, what: str, measure: Callable[[], Measured]) -> Measured | None:
        failures = self._failures[name]
        if failures.keys() & {"set-up", what}:
            return None
        print(f"{what}: {self._peers[name].title} ...", file=sys.stderr, end=" ", flush=True)
        started = time.monotonic()
        try:
            return measure()
        except PeerFailure as failure:
            failures[what] = str(failure)
            return None
        finally:
            print(failures.get(what, f"{time.monotonic() - started:.1f} s"), file=sys.stderr)


def main() -> None:
    peers = everybody()
    parser = argparse.ArgumentParser(description="polythink and its peers, measured alike.")
    parser.add_argument("--rounds", type=int, default=3, help="runs of which each number is the median")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(peers)}")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(peers)):
        parser.error(f"no such peer: {', '.join(unknown)}; there are {', '.join(peers)}")
    comparison = Comparison({name: peers[name] for name in options.names or peers})
    comparison.prepare()
    for _ in range(options.rounds):
        for delay_ms in DELAYS_MS:
            comparison.speed(delay_ms)
        comparison.crash()
    keep(comparison.outcomes(), options.rounds)


def keep(outcomes: list[Outcome], rounds: int) -> None:
    """Print the tables and write every run down."""
    counted = tree()
    counted.close()
    machine = {"machine": describe(), "cpu_counted_by": counted.how, "rounds": rounds}
    others = [run.others_cores for outcome in outcomes for runs in outcome.speeds.values() for run in runs]
    print(f"{machine['machine']}. CPU counted by {counted.how}. Everything else on it took", end=" ")
    print(f"{min(others, default=0):.2f} to {max(others, default=0):.2f} cores during a run.\n")
    for delay_ms in DELAYS_MS:
        print(
            f"{WORK.generations:,} generations of {DELTAS} deltas, concurrency {WORK.concurrency}, {delay_ms:.0f} ms\n"
        )
        print(speed_table(outcomes, WORK, delay_ms))
    print("kill -9 at half way, then a rerun\n")
    print(crash_table(outcomes, WORK))
    print(versions_table(outcomes))
    RESULTS.write_text(json.dumps({**machine, "peers": [asdict(outcome) for outcome in outcomes]}, indent=1) + "\n")
    print(RESULTS)


if __name__ == "__main__":
    main()
