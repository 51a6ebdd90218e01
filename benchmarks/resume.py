"""Going on with a job of 1,000,000 finished samples: how long until the first new request, and how much memory.

The archive is read in a process of its own, next to one in which bare DuckDB selects the sample ids of the same
Parquet. The whole command, with imports and Ray's start, is compared with the same command on an empty archive.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from benchmarks.ratio import Ratio
from polythink.jobs.load import load_job
from polythink.jobs.workload import Workload, store
from polythink.records import SampleKey
from polythink.simulator.process import SimulatorProcess
from polythink.storage import schema
from polythink.storage.archive import Archive

PROBLEMS, SAMPLES = 10_000, 100
ROWS_PER_PART = 20_000
RUNS = 3

OURS = """
import json, resource, sys, time
from polythink.jobs.standing import standing
from polythink.jobs.workload import recall
from polythink.storage.archive import Archive
archive = Archive(sys.argv[1])
(job_id,) = archive.job_ids()
started = time.perf_counter()
state = archive.state(job_id)
due = standing(archive, recall(archive, job_id), state).scheduler.next_due(time.monotonic(), ["plain"])
peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([time.perf_counter() - started, due.ordinal, peak_kib / 1024]))
"""
BARE = """
import json, resource, sys, time
import duckdb
started = time.perf_counter()
query = f"SELECT sample_id FROM read_parquet('{sys.argv[1]}/tables/traces/*/*.parquet')"
ids = duckdb.connect().execute(query).fetchall()
peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([time.perf_counter() - started, len(ids), peak_kib / 1024]))
"""


def measure() -> list[Ratio]:
    """Seconds and MiB, reading the archive; seconds of the whole command."""
    with tempfile.TemporaryDirectory() as name, SimulatorProcess.start() as first, SimulatorProcess.start() as second:
        full, work = _archive(Path(name) / "full", first.base_url)
        empty, _ = _archive(Path(name) / "empty", second.base_url)
        _fill(full, work)
        ours = min(_said(OURS, full) for _ in range(RUNS))
        bare = min(_said(BARE, full) for _ in range(RUNS))
        whole, nothing = _first_request_s(full, first), _first_request_s(empty, second)
    done = f"{PROBLEMS * SAMPLES:,} samples done"
    return [
        Ratio(
            name=f"{done}: from the archive to the first sample due",
            unit="s",
            ours=ours[0],
            baseline=bare[0],
            baseline_is="bare DuckDB, SELECT sample_id over the same files",
        ),
        Ratio(
            name=f"{done}: memory of that process at its peak",
            unit="MiB",
            ours=ours[2],
            baseline=bare[2],
            baseline_is="bare DuckDB, the same",
        ),
        Ratio(
            name=f"{done}: `resume` to its first request, imports and Ray's start included",
            unit="s",
            ours=whole,
            baseline=nothing,
            baseline_is="the same command on an archive without any",
        ),
    ]


def _archive(folder: Path, base_url: str) -> tuple[Archive, Workload]:
    folder.mkdir()
    rows = (
        json.dumps({"id": f"problem-{n}", "problem": f"What is {n} + {n}?", "gold": f"{2 * n}"})
        for n in range(PROBLEMS)
    )
    (folder / "problems.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "job.yaml").write_text(
        f"name: large\nproblems: {{path: problems.jsonl}}\nsamples: {SAMPLES + 1}\n"
        "arms: [{id: plain, model: claude-haiku-4-5, reasoning: none}]\n"
        f"answer: {{extract: boxed, equivalence: number}}\nendpoint: {{base_url: '{base_url}'}}\n"
    )
    archive = Archive(folder / "archive")
    return archive, store(archive, load_job(folder / "job.yaml"))


def _fill(archive: Archive, work: Workload) -> None:
    """The first samples of every problem, as an earlier run would have left them, but for their texts."""
    keys = [
        SampleKey(problem_id=problem.problem_id, arm_id="plain", sample_index=index)
        for index in range(SAMPLES)
        for problem in work.problems
    ]
    for number, start in enumerate(range(0, len(keys), ROWS_PER_PART), 1):
        part = keys[start : start + ROWS_PER_PART]
        for table in (schema.TRACES, schema.ATTEMPTS):
            archive.replace_part(table, work.job_id, f"{number:06d}", _rows(table, work.job_id, part))


def _rows(table: schema.Table, job_id: str, keys: list[SampleKey]) -> pa.Table:
    now = datetime.now(UTC)
    common: dict[str, object] = {
        "arm_id": "plain",
        "status": "complete",
        "outcome": "answered",
        "attempt": 1,
        "attempts": 1,
        "correct": True,
        "answer": "42",
        "canonical_answer": "42",
        "http_status": 200,
        "input_tokens": 40,
        "output_tokens": 900,
        "cost_usd": 0.0045,
        "finished_at": now,
        "model": "claude-haiku-4-5-20251001",
        "lane": "live",
        "simulated": True,
        "text": "The answer is \\boxed{42}." * 4,
    }
    own = {
        "problem_id": [key.problem_id for key in keys],
        "sample_index": [key.sample_index for key in keys],
        "sample_id": [key.sample_id(job_id) for key in keys],
    }
    columns = [
        pa.array(own.get(field.name) or [common.get(field.name)] * len(keys), type=field.type) for field in table.arrow
    ]
    return pa.Table.from_arrays(columns, schema=table.arrow)


def _said(script: str, archive: Archive) -> list[float]:
    done = subprocess.run([sys.executable, "-c", script, archive.root], stdout=subprocess.PIPE, check=True)
    said: list[float] = json.loads(done.stdout)
    return said


def _first_request_s(archive: Archive, simulator: SimulatorProcess) -> float:
    before, started = _requests(simulator), time.monotonic()
    command = [sys.executable, "-m", "polythink", "resume", "large", "--archive", archive.root]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while _requests(simulator) == before:
            if run.poll() is not None:
                raise RuntimeError(f"{' '.join(command)} ended with {run.returncode} before it sent anything")
            time.sleep(0.05)
        seconds = time.monotonic() - started
        run.kill()
    return seconds


def _requests(simulator: SimulatorProcess) -> int:
    with urllib.request.urlopen(f"{simulator.base_url}/_simulator/meter?samples=0") as reply:
        return int(json.load(reply)["requests"])
