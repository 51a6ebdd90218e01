"""A whole run (Ray, governor, journal, Parquet, grading) next to the bare SDK against the same simulator.

Both send the same requests at the same concurrency; the time is from the first request sent to the last reply read.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

import anthropic

from benchmarks.ratio import Ratio
from polythink.jobs.control import Control
from polythink.jobs.load import load_job
from polythink.jobs.run import run_job
from polythink.jobs.workload import store
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive

GENERATIONS = 2_000
CONCURRENCY = 128
MODEL, BUDGET = "claude-haiku-4-5", 1_024


def measure() -> list[Ratio]:
    with SimulatorProcess.start() as simulator:
        ours = _run(simulator.base_url)
    with SimulatorProcess.start() as simulator:
        baseline = asyncio.run(_bare_sdk(simulator.base_url))
    return [
        Ratio(
            name=f"{GENERATIONS:,} generations, zero pace, concurrency {CONCURRENCY}",
            unit="generations/s",
            ours=ours,
            baseline=baseline,
            baseline_is="AsyncAnthropic, .stream() helper, a semaphore; nothing kept",
        )
    ]


def _run(base_url: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        problems = Path(folder) / "problems.jsonl"
        problems.write_text(json.dumps({"id": "p", "problem": "What is 2 + 2?", "gold": "4"}) + "\n")
        job = Path(folder) / "job.yaml"
        job.write_text(
            f"name: bench\nproblems: {{path: problems.jsonl}}\nsamples: {GENERATIONS}\nconcurrency: {CONCURRENCY}\n"
            f"arms: [{{model: {MODEL}, reasoning: {{budget_tokens: {BUDGET}}}}}]\n"
            f"endpoint: {{base_url: '{base_url}'}}\n"
        )
        archive = Archive(Path(folder) / "archive")
        work = store(archive, load_job(job))
        run_job(archive, work, watch=lambda state: None, control=Control(archive, work.job_id))
        seconds = "SELECT epoch(max(finished_at)) - epoch(min(started_at)) AS s, count(*) AS n FROM traces"
        row = archive.sql(seconds).to_pylist()[0]
        return float(row["n"] / row["s"])


async def _bare_sdk(base_url: str) -> float:
    client = anthropic.AsyncAnthropic(api_key="none", base_url=base_url, max_retries=0)
    turns = asyncio.Semaphore(CONCURRENCY)

    async def generate() -> None:
        async with (
            turns,
            client.messages.stream(
                model=MODEL,
                max_tokens=BUDGET + 4_096,
                messages=[{"role": "user", "content": "What is 2 + 2?"}],
                thinking={"type": "enabled", "budget_tokens": BUDGET},
            ) as stream,
        ):
            await stream.get_final_message()

    started = time.perf_counter()
    await asyncio.gather(*(generate() for _ in range(GENERATIONS)))
    return GENERATIONS / (time.perf_counter() - started)
