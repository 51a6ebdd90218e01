"""Whole jobs for tests: a job file, a run of it here, and a run of it in a process that can be killed.

As a program, `python -m tests.running ARCHIVE JOB.yaml`, it stores the job and runs it.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from polythink.jobs.control import Control
from polythink.jobs.load import load_job
from polythink.jobs.run import run_job
from polythink.jobs.workload import Workload, store
from polythink.storage.archive import Archive
from polythink.storage.state import JobState

EXACTLY_ONCE = """
    SELECT count(*) AS rows, count(DISTINCT (problem_id, arm_id, sample_index)) AS samples,
        count(*) FILTER (outcome = 'failed') AS failed
    FROM traces
"""


def job_file(folder: Path, base_url: str, *, problems: Sequence[str] = ("a", "b", "c"), **changes: Any) -> Path:
    """A small job over sums, one problem for each id; `changes` replace keys of the job file."""
    rows = [{"id": problem, "problem": f"({problem}) 2 + 2?", "gold": "4"} for problem in problems]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = {
        "name": "sums",
        "problems": {"path": "problems.jsonl"},
        "arms": [{"id": "plain", "model": "claude-haiku-4-5", "reasoning": "none"}],
        "samples": 10,
        "max_tokens": 2000,
        "answer": {"extract": "boxed", "equivalence": "number"},
        "endpoint": {"base_url": base_url},
        "concurrency": 8,
        "workers": 2,
        **changes,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job))
    return path


def run(
    archive: Archive,
    path: Path,
    *,
    patience_s: float = 30.0,
    outage_s: float = 3600.0,
    states: list[JobState] | None = None,
) -> tuple[JobState, Workload]:
    """Store the job and run it in this process; `states` gets every state it told."""
    work = store(archive, load_job(path))
    heard = [] if states is None else states
    control = Control(archive, work.job_id)
    return run_job(archive, work, watch=heard.append, control=control, patience_s=patience_s, outage_s=outage_s), work


def one_row(archive: Archive, query: str) -> dict[str, Any]:
    (row,) = archive.sql(query).to_pylist()
    return dict(row)


def meter(base_url: str) -> Mapping[str, Any]:
    """The simulator's own account."""
    with urllib.request.urlopen(f"{base_url}/_simulator/meter", timeout=10) as reply:
        account: Mapping[str, Any] = json.load(reply)
    return account


if __name__ == "__main__":
    print(run(Archive(sys.argv[1]), Path(sys.argv[2]))[0].status)
