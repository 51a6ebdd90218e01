"""What is stored comes back whole, without the files it came from."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polythink.errors import ArchiveError, JobBusyError, JobChangedError
from polythink.jobs.functions import loadable
from polythink.jobs.load import load_job
from polythink.jobs.spec_parts import PythonGrade
from polythink.jobs.workload import Workload, recall, store
from polythink.selectors.sandbox import Sandbox
from polythink.storage.archive import Archive
from tests.running import job_file

ROOT = Path(__file__).parents[2]
STORE = """
import sys
from pathlib import Path
from polythink.jobs.load import load_job
from polythink.jobs.spec_parts import PythonGrade
from polythink.jobs.workload import store
from polythink.storage.archive import Archive
loaded = load_job(Path(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
print(store(Archive(sys.argv[1]), loaded).job_id)
"""
ARMS = [
    {"id": "plain", "model": "claude-haiku-4-5", "reasoning": "none"},
    {"id": "budget", "model": "claude-haiku-4-5", "reasoning": {"budget_tokens": 1024}},
    {"id": "told", "model": "claude-opus-4-6", "reasoning": {"effort": "high"}, "prompt": {"system": "Be {{ id }}."}},
]


def stored(archive: Archive, folder: Path, **changes: Any) -> Workload:
    return store(archive, load_job(job_file(folder, "http://127.0.0.1:9", **changes)))


@pytest.mark.parametrize(
    "answer",
    [{"extract": {"json": "a.b"}}, {"extract": {"regex": "x(.)"}}, {"extract": "choice", "equivalence": "string"}],
)
def test_a_job_comes_back_as_it_was_stored_without_its_files(tmp_path: Path, answer: dict[str, Any]) -> None:
    archive, folder = Archive(tmp_path / "archive"), tmp_path / "job"
    folder.mkdir()
    work = stored(archive, folder, arms=ARMS, answer=answer, cap={"usd": 1.5}, select=["majority", "first"])
    shutil.rmtree(folder)
    assert recall(archive, work.job_id) == work
    assert recall(archive, archive.resolve("sums")) == work
    assert work.total == 3 * 3 * 10


def test_a_stored_job_is_listed_before_it_ever_ran(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    work = stored(archive, tmp_path, cap={"usd": 2.0})
    (row,) = archive.sql("SELECT job_id, name, status, total, done, cap_usd FROM jobs").to_pylist()
    assert row == {
        "job_id": work.job_id,
        "name": "sums",
        "status": "submitted",
        "total": 30,
        "done": 0,
        "cap_usd": 2.0,
    }
    assert archive.read_text(work.job_id, "spec.yaml") == (tmp_path / "job.yaml").read_text()


def test_rows_of_any_shape_come_back_though_dates_come_as_text(tmp_path: Path) -> None:
    path = job_file(tmp_path, "http://127.0.0.1:9")
    rows = [{"id": "é\u2028", "problem": "x", "gold": "4", "deep": {"list": [1, None, "\x00"]}, "n": 1.5}]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    archive = Archive(tmp_path / "archive")
    work = store(archive, load_job(path))
    assert recall(archive, work.job_id).problems == work.problems
    assert store(archive, load_job(path)).job_id == work.job_id


def test_storing_the_same_again_is_the_same_job_and_more_extends_it(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    first = stored(archive, tmp_path, problems=("a",))
    assert stored(archive, tmp_path, problems=("a",)) == first
    more = stored(archive, tmp_path, problems=("a", "b"), samples=20)
    assert (more.job_id, more.total) == (first.job_id, 40)
    assert recall(archive, first.job_id) == more
    assert archive.sql("SELECT count(*) AS n FROM problems").to_pylist() == [{"n": 2}]


def test_processes_that_store_one_new_name_at_once_make_one_job(tmp_path: Path) -> None:
    path = job_file(tmp_path, "http://127.0.0.1:9", problems=[str(n) for n in range(500)])
    command = [sys.executable, "-c", STORE, str(tmp_path / "archive"), str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [subprocess.Popen(command, cwd=ROOT, text=True, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    job_ids = {process.communicate(timeout=60)[0] for process in processes}
    assert len(job_ids) == 1
    assert [f"{job_id}\n" for job_id in Archive(tmp_path / "archive").job_ids()] == list(job_ids)


def test_unlike_samples_are_refused_and_the_kept_job_stands(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    kept = stored(archive, tmp_path)
    with pytest.raises(JobChangedError, match=r"max_tokens: was 2000, is 1500(.|\n)*another name; --new-arms"):
        stored(archive, tmp_path, max_tokens=1500)
    assert recall(archive, kept.job_id) == kept


def test_a_job_that_runs_cannot_be_extended_meanwhile(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    kept = stored(archive, tmp_path)
    with archive.lock(kept.job_id), pytest.raises(JobBusyError):
        stored(archive, tmp_path, samples=20)
    assert recall(archive, kept.job_id) == kept


def test_a_grading_file_is_kept_with_the_job_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    archive, folder = Archive(tmp_path / "archive"), tmp_path / "job"
    folder.mkdir()
    graded = {"grade": {"python": "grade.py:grade"}}
    (folder / "grade.py").write_text("def grade(answer, problem):\n    return answer == problem['gold']\n")
    work = stored(archive, folder, **graded)
    assert stored(archive, folder, **graded) == work
    (folder / "grade.py").write_text("def grade(answer, problem):\n    return True\n")
    with pytest.raises(JobChangedError, match="grade: was"):
        stored(archive, folder, **graded)
    shutil.rmtree(folder)
    kept = recall(archive, work.job_id)
    assert isinstance(kept.job.grade, PythonGrade)
    with loadable(archive, kept.job_id, kept.job.grade.python) as function, Sandbox(function) as sandbox:
        assert archive.root in function
        assert sandbox.call([("4", {"gold": "4"}), ("5", {"gold": "4"})]) == [True, False]


def test_problems_from_parquet_with_dates_can_be_stored_twice(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "problem": ["x"], "when": [datetime.date(2026, 1, 2)]})
    pq.write_table(table, tmp_path / "p.parquet")
    archive = Archive(tmp_path / "archive")
    path = job_file(tmp_path, "http://127.0.0.1:9")
    path.write_text(path.read_text().replace("problems.jsonl", "p.parquet"))
    assert store(archive, load_job(path)).job_id == store(archive, load_job(path)).job_id


def test_a_job_that_is_not_whole_says_what_is_missing(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    work = stored(archive, tmp_path)
    archive.write_text(work.job_id, "job.json", "{torn")
    with pytest.raises(ArchiveError, match=r"job\.json cannot be read"):
        recall(archive, work.job_id)
