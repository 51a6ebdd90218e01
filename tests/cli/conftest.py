"""An archive as a killed run leaves it: the job stored, every sample in a journal, nothing in Parquet yet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from polythink.cli.main import app
from polythink.jobs.load import load_job
from polythink.jobs.workload import store
from polythink.records import Attempt, SampleKey, Usage
from polythink.storage.archive import Archive
from polythink.storage.segments import Journal

JOB = """\
name: sums
problems: {path: problems.jsonl, gold: gold}
arms:
  - {id: plain, model: claude-haiku-4-5, reasoning: none}
  - {id: deep, model: claude-haiku-4-5, reasoning: {budget_tokens: 1024}}
samples: 4
answer: {extract: last_number, equivalence: number}
cap: {usd: 5}
"""
ANSWERS = ("4", "4", "5", "no idea")  # of every problem in every arm, by sample index
Call = Callable[..., Result]


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    rows = [{"id": name, "problem": f"({name}) 2 + 2?", "gold": "4"} for name in ("a", "b")]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return path


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """The command line, on an archive of the test's own."""

    def invoke(*args: str) -> Result:
        return CliRunner().invoke(app, list(args), env={"POLYTHINK_ARCHIVE": str(tmp_path / "archive")})

    return invoke


@pytest.fixture
def job_id(tmp_path: Path, job_file: Path) -> str:
    archive = Archive(tmp_path / "archive")
    work = store(archive, load_job(job_file))
    keys = [
        SampleKey(problem_id=problem.problem_id, arm_id=arm.arm_id, sample_index=index)
        for problem in work.problems
        for arm in work.arms
        for index in range(4)
    ]
    writer = Journal(archive, work.job_id).begin()
    writer.append([attempt(key) for key in keys])
    writer.close()
    return work.job_id


def attempt(key: SampleKey) -> Attempt:
    """A finished attempt; the last sample of problem b in arm deep was given up."""
    failed = key == SampleKey(problem_id="b", arm_id="deep", sample_index=3)
    thinking = {"type": "thinking", "thinking": "two and\x1b[31m two", "signature": "c2ln"}
    content = [thinking, {"type": "text", "text": f"It is {ANSWERS[key.sample_index]}"}]
    return Attempt(
        key=key,
        number=1,
        status="failed" if failed else "complete",
        lane="live",
        endpoint="default",
        queued_at=1_795_000_000.0,
        started_at=1_795_000_001.0,
        finished_at=1_795_000_002.0,
        content="[]" if failed else json.dumps(content),
        stop_reason=None if failed else "end_turn",
        usage=Usage(input_tokens=10, output_tokens=20, thinking_tokens=15),
        cost_usd=0.001,
        model="claude-haiku-4-5",
        error_type="invalid_request_error" if failed else None,
        error_message="messages: too odd" if failed else None,
        simulator="synthetic",
    )
