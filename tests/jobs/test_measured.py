"""What a forecast of cost rests on: samples of the job's own, or of an earlier job that asks the same."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from polythink.jobs.load import load_job
from polythink.jobs.measured import measure
from polythink.jobs.workload import Workload, store
from polythink.storage import schema
from polythink.storage.archive import Archive

JOB = """\
name: {name}
problems: {{path: problems.jsonl, gold: gold}}
arms: [{{id: plain, model: claude-haiku-4-5, reasoning: none}}]
samples: 8
answer: {{extract: last_number, equivalence: number}}
"""


def stored(archive: Archive, folder: Path, name: str, kept: int) -> Workload:
    """A job of two problems, with so many samples of each kept."""
    rows = [{"id": name, "problem": f"({name}) 2 + 2?", "gold": "4"} for name in ("a", "b")]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / f"{name}.yaml").write_text(JOB.format(name=name))
    work = store(archive, load_job(folder / f"{name}.yaml"))
    traces = [
        {
            "sample_id": f"{problem.problem_id}{index}",
            "problem_id": problem.problem_id,
            "arm_id": "plain",
            "sample_index": index,
            "outcome": "answered",
            "input_tokens": 10,
            "cache_read_tokens": 0,
            "cache_write_tokens": 0,
            "output_tokens": 100,
            "cost_usd": 0.0005,
            "simulated": False,
        }
        for problem in work.problems
        for index in range(kept)
    ]
    table = pa.Table.from_pylist(traces, schema=schema.TRACES.arrow)
    archive.replace_part(schema.TRACES, work.job_id, "all", table)
    return work


def test_an_earlier_job_serves_until_the_own_samples_are_enough(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    earlier = stored(archive, tmp_path, "earlier", 8)
    for kept, source in ((0, earlier.job_id), (1, earlier.job_id), (3, earlier.job_id)):
        work = stored(archive, tmp_path, "later", kept)
        (found,) = measure(archive, work)
        assert (found.source, found.samples) == (source, 16)
        assert found.ways["live"].expected > 0
    work = stored(archive, tmp_path, "later", 4)
    (found,) = measure(archive, work)
    assert (found.source, found.samples) == (work.job_id, 8)


def test_where_no_job_has_enough_nothing_is_foretold(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    stored(archive, tmp_path, "earlier", 3)
    assert measure(archive, stored(archive, tmp_path, "later", 2)) == []
