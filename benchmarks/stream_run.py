"""A whole run on Ray against the benchmark's server: CPU of all its processes per generation, without start and end."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from benchmarks.processes import family
from polythink.jobs.control import Control
from polythink.jobs.load import load_job
from polythink.jobs.run import run_job
from polythink.jobs.workload import store
from polythink.storage.archive import Archive
from polythink.storage.state import JobState

GENERATIONS = 6_000
_TICKS = os.sysconf("SC_CLK_TCK")


def tree_cpu_s() -> float:
    """User and system time of this process and of all that came from it and still live, in seconds."""
    return sum((int(stat[11]) + int(stat[12])) / _TICKS for stat in family(os.getpid()).values())


def whole_run_ms(base_url: str, concurrency: int) -> float:
    """CPU milliseconds per generation, between the first and the last news of the run while it samples."""
    heard: list[tuple[int, float]] = []

    def watch(state: JobState) -> None:
        if state.status == "running" and state.done:
            heard.append((state.done, tree_cpu_s()))

    os.environ.setdefault("ANTHROPIC_API_KEY", "none")
    with tempfile.TemporaryDirectory() as folder:
        problems = Path(folder) / "problems.jsonl"
        problems.write_text(json.dumps({"id": "p", "problem": "What is 2 + 2?", "gold": "4"}) + "\n")
        job = Path(folder) / "job.yaml"
        job.write_text(
            f"name: bench\nproblems: {{path: problems.jsonl}}\nsamples: {GENERATIONS}\nconcurrency: {concurrency}\n"
            f"arms: [{{model: claude-haiku-4-5, reasoning: {{budget_tokens: 1024}}}}]\n"
            f"endpoint: {{base_url: '{base_url}'}}\n"
        )
        archive = Archive(Path(folder) / "archive")
        work = store(archive, load_job(job))
        run_job(archive, work, watch=watch, control=Control(archive, work.job_id))
    (first, before), (last, after) = heard[0], heard[-1]
    return (after - before) / (last - first) * 1000
