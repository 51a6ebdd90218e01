"""A batch job of 20,000 samples from its plan to its bill: a pilot, a kill -9 half way, a resume.

The bill must be what the plan foretold, to a percent, and the simulator must have billed every sample once.
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
from pathlib import Path
from typing import Any

import yaml

from benchmarks.ratio import Ratio
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive

PROBLEMS, SAMPLES, PILOT = 100, 100, 2_000  # and two arms
ARMS = [
    {"id": "plain", "model": "claude-haiku-4-5", "reasoning": "none"},
    {"id": "deep", "model": "claude-haiku-4-5", "reasoning": {"budget_tokens": 2048}},
]
_BILLED = "SELECT sum(cost_usd) AS usd, count(*) AS rows, count(DISTINCT sample_id) AS samples FROM attempts"
_OPEN = "SELECT count(*) AS n FROM batches WHERE state = 'created'"


def measure() -> list[Ratio]:
    """The bill over the interval's midpoint, and the meter's requests over the samples."""
    with tempfile.TemporaryDirectory() as folder, SimulatorProcess.start(["--batch-seconds", "8"]) as simulator:
        job = _job_file(Path(folder), simulator.base_url)
        archive = Archive(Path(folder) / "archive")
        where = ["--archive", archive.root]
        planned = _polythink("plan", str(job), "--pilot", str(PILOT), "--json", *where)
        whole = json.loads(planned)["whole_job"]
        started = time.monotonic()
        _run_and_kill(["run", str(job), *where], archive, simulator.base_url)
        _polythink("resume", "batched", *where)
        seconds = time.monotonic() - started
        subprocess.run([*_COMMAND, "verify", "batched", *where], stdout=subprocess.DEVNULL, check=True)
        (bill,) = archive.sql(_BILLED).to_pylist()
        meter = _meter(simulator.base_url)
    interval = f"${whole['low']:.4f} to ${whole['high']:.4f}"
    print(f"  predicted {interval}; {seconds:.0f} s from run to done; verified", file=sys.stderr)
    most = max(each["requests"] for each in meter["samples"].values())
    return [
        Ratio(
            name=f"20,000 batched samples, killed once: bill, predicted {interval} from {PILOT:,}",
            unit="USD",
            ours=bill["usd"],
            baseline=whole["expected"],
            baseline_is="midpoint of the plan's interval",
        ),
        Ratio(
            name="the same: requests billed by the meter, and the most for one sample",
            unit="requests",
            ours=meter["requests"] * most,
            baseline=PROBLEMS * SAMPLES * len(ARMS),
            baseline_is="samples of the job",
        ),
        Ratio(
            name="the same: the archive's bill",
            unit="USD",
            ours=bill["usd"],
            baseline=meter["cost_usd"],
            baseline_is="the meter's bill",
        ),
    ]


_COMMAND = [sys.executable, "-m", "polythink"]


def _polythink(*arguments: str) -> str:
    ended = subprocess.run([*_COMMAND, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode not in (0, 1):  # 1: a refused sample
        raise RuntimeError(f"{arguments[0]} ended with {ended.returncode}")
    return ended.stdout


def _run_and_kill(arguments: list[str], archive: Archive, base_url: str) -> None:
    """Kill the driver when its batch is at work: what was created is not yet collected."""
    running = subprocess.Popen([*_COMMAND, *arguments], stdout=subprocess.DEVNULL, start_new_session=True)
    while not archive.sql(_OPEN).to_pylist()[0]["n"] or _meter(base_url)["requests"] <= PILOT:
        if running.poll() is not None:
            raise RuntimeError("the run ended before it could be killed")
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def _job_file(folder: Path, base_url: str) -> Path:
    rows = ({"id": f"p{n:03d}", "problem": f"{n} + {n * 7}?", "gold": str(8 * n)} for n in range(PROBLEMS))
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = {
        "name": "batched",
        "problems": {"path": "problems.jsonl"},
        "arms": ARMS,
        "samples": SAMPLES,
        "answer": {"extract": "boxed", "equivalence": "number"},
        "endpoint": {"base_url": base_url},
        "lane": "batch",
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job))
    return path


def _meter(base_url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{base_url}/_simulator/meter", timeout=60) as reply:
        account: dict[str, Any] = json.load(reply)
    return account
