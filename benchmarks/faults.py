"""A run under fire: 5% overloads, 2% cut streams, 1% resets, and a worker killed every 10 seconds.

Every sample must end exactly once in the archive, and every request that the simulator's meter billed must have its row
in `attempts`: the one that made the trace, one that failed, or one that was lost with its worker.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import family
from benchmarks.ratio import Ratio
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive

PROBLEMS, SAMPLES, WORKERS, CONCURRENCY = 50, 40, 4, 64
KILL_EVERY_S = 10.0
PACE, LATENCY_S = 300.0, 0.5  # output tokens per second and stream; seconds to the first byte
PLAN = """
seed: 1
faults:
  - {kind: overloaded, probability: 0.05}
  - {kind: cut, probability: 0.02}
  - {kind: reset, probability: 0.01}
"""
WORKER_TITLE = "ray::Worker"
_ROWS = "SELECT sample_id, count(*) AS n FROM traces GROUP BY ALL"
_REQUESTS = """
    SELECT sample_id, count(*) AS n, count(*) FILTER (status = 'lost') AS lost
    FROM attempts WHERE message_id IS NOT NULL OR status = 'lost' GROUP BY ALL
"""
_BY_KIND = "SELECT coalesce(error_type, status) AS kind, count(*) AS n FROM attempts GROUP BY ALL ORDER BY n DESC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the meter served, and what the archive says of it. Requests, by sample."""

    traces: Mapping[str, int]
    served: Mapping[str, int]
    recorded: Mapping[str, tuple[int, int]]  # rows of requests that may have been served, and how many were lost
    kinds: Mapping[str, int]  # rows of `attempts` by what became of them
    kills: int

    @property
    def unexplained(self) -> int:
        """Served requests without a row, and rows of answered requests that were never served."""
        gaps = 0
        for sample, served in self.served.items():
            rows, lost = self.recorded.get(sample, (0, 0))
            gaps += max(0, served - rows) + max(0, rows - lost - served)
        return gaps


def measure() -> list[Ratio]:
    """Traces for samples, and explained requests for served ones: both ratios must be 1."""
    account = run_under_fire()
    print(f"  {account.kills} workers killed; attempts: {dict(account.kinds)}", file=sys.stderr)
    wanted, served = PROBLEMS * SAMPLES, sum(account.served.values())
    once = sum(1 for rows in account.traces.values() if rows == 1)
    return [
        Ratio(
            name=f"under faults, {account.kills} workers killed: samples with exactly one trace",
            unit="samples",
            ours=once,
            baseline=wanted,
            baseline_is="samples of the job",
        ),
        Ratio(
            name="under faults: requests explained by a row of attempts",
            unit="requests",
            ours=served - account.unexplained,
            baseline=served,
            baseline_is="requests the simulator's meter served",
        ),
    ]


def run_under_fire() -> Account:
    """The whole run, from the command line as a user would, and its account."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "faults.yaml").write_text(PLAN)
        options = ["--pace", str(PACE), "--latency", str(LATENCY_S), "--faults", str(folder / "faults.yaml")]
        with SimulatorProcess.start(options) as simulator:
            run = subprocess.Popen(_command(folder, simulator.base_url), stdout=subprocess.DEVNULL)
            kills = _kill_workers_until_it_ends(run)
            served = _meter(simulator.base_url)["samples"]
        archive = Archive(folder / "archive")
        rows, requests = archive.sql(_ROWS).to_pylist(), archive.sql(_REQUESTS).to_pylist()
        return Account(
            traces={row["sample_id"]: row["n"] for row in rows},
            served={sample: tally["requests"] for sample, tally in served.items()},
            recorded={row["sample_id"]: (row["n"], row["lost"]) for row in requests},
            kinds={row["kind"]: row["n"] for row in archive.sql(_BY_KIND).to_pylist()},
            kills=kills,
        )


def _command(folder: Path, base_url: str) -> list[str]:
    problems = "".join(json.dumps({"id": f"p{n}", "problem": f"What is {n} + {n}?"}) + "\n" for n in range(PROBLEMS))
    (folder / "problems.jsonl").write_text(problems)
    (folder / "job.yaml").write_text(
        f"name: fire\nproblems: {{path: problems.jsonl}}\nsamples: {SAMPLES}\nworkers: {WORKERS}\n"
        f"concurrency: {CONCURRENCY}\narms: [{{model: claude-haiku-4-5, reasoning: {{budget_tokens: 1024}}}}]\n"
    )
    job = [str(folder / "job.yaml"), "--archive", str(folder / "archive"), "--base-url", base_url, "--yes"]
    return [sys.executable, "-m", "polythink", "run", *job]


def _kill_workers_until_it_ends(run: subprocess.Popen[bytes]) -> int:
    kills = 0
    while True:
        try:
            run.wait(KILL_EVERY_S)
        except subprocess.TimeoutExpired:
            workers = _workers_of(run.pid)
            if workers:
                os.kill(workers[kills % len(workers)], signal.SIGKILL)
                kills += 1
            continue
        return kills


def _workers_of(ancestor: int) -> list[int]:
    """Process ids of the actors that came from a process."""
    return sorted(process for process in family(ancestor) if _title(process).startswith(WORKER_TITLE))


def _title(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:  # it has just ended
        return ""


def _meter(base_url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{base_url}/_simulator/meter") as reply:
        meter: dict[str, Any] = json.load(reply)
        return meter


if __name__ == "__main__":
    began = time.monotonic()
    for ratio in measure():
        print(f"{ratio.name}: {ratio.ours:,.0f} of {ratio.baseline:,.0f}")
    print(f"{time.monotonic() - began:.0f} s")
