"""`compact` and `export` on a job whose samples are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import Result

from polythink.jobs.keeper import Reader
from polythink.jobs.workload import recall
from polythink.selectors.grading import Grader
from polythink.storage.archive import Archive
from polythink.storage.landing import land
from polythink.storage.segments import segments

Call = Callable[..., Result]


def landed(folder: Path, job_id: str) -> None:
    archive = Archive(folder / "archive")
    work = recall(archive, job_id)
    with Grader(work.job.answer.rule(), mode="gold") as grader:
        reader = Reader(work.problems_by_id, work.job.answer.rule(), grader)
        for ref in segments(archive, job_id):
            land(archive, job_id, ref, reader.read)


def test_a_job_with_a_journal_is_not_compacted_and_a_landed_one_is(tmp_path: Path, job_id: str, call: Call) -> None:
    refused = call("compact", "sums")
    assert refused.exit_code == 3 and "resume it first" in refused.stderr
    landed(tmp_path, job_id)
    assert json.loads(call("compact", "sums", "--json").stdout)[0] == {"table": "traces", "before": 1, "after": 1}


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_all_traces_go_into_one_file(tmp_path: Path, job_id: str, call: Call, suffix: str) -> None:
    landed(tmp_path, job_id)
    output = tmp_path / f"it's all.{suffix}"
    assert call("export", "sums", "-o", str(output)).exit_code == 0
    readers: dict[str, Callable[[str], Any]] = {
        "jsonl": duckdb.read_json,
        "csv": duckdb.read_csv,
        "parquet": duckdb.read_parquet,
    }
    rows = readers[suffix](str(output))
    assert {"job_id", "sample_id", "thinking", "text"} <= set(rows.columns)
    assert rows.aggregate("count(*), count(DISTINCT sample_id)").fetchall() == [(16, 16)]


def test_an_export_that_cannot_be_written_says_so(tmp_path: Path, job_id: str, call: Call) -> None:
    assert call("export", "sums", "-o", str(tmp_path / "x.pdf")).exit_code == 2
    refused = call("export", "sums", "-o", str(tmp_path / "nowhere" / "x.csv"))
    assert refused.exit_code == 3 and "cannot write" in refused.stderr
