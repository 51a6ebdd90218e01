"""Kept samples may be read and graded by another rule: nothing is sent, and what was cut off is done again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from polythink.cli.main import app
from polythink.errors import ArchiveError, JobBusyError, JobChangedError, UnknownJobError
from polythink.jobs.load import load_job
from polythink.jobs.rereading import Reread, reread
from polythink.jobs.verify import verify_job
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from polythink.storage.compaction import compact
from tests.running import job_file, meter, run

SAMPLES = 60
NUMBERS = {"extract": "last_number", "equivalence": "number"}
EVERYTHING = "SELECT * FROM traces ORDER BY problem_id, arm_id, sample_index"
POPULAR = """
    SELECT answer, count(*) AS n FROM traces WHERE problem_id = 'b' AND correct IS FALSE
    GROUP BY answer ORDER BY n DESC, answer LIMIT 1
"""
RIGHT = "SELECT problem_id, bool_or(correct) AS right FROM traces GROUP BY problem_id ORDER BY problem_id"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("simulator")
    job_file(folder, "http://127.0.0.1:1")  # for its problems
    with SimulatorProcess.start(["--problems", str(folder / "problems.jsonl"), "--refusals", "0"]) as server:
        yield server.base_url


@pytest.fixture(scope="module")
def ran(simulator: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a job's archive of several parts."""
    folder = tmp_path_factory.mktemp("ran")
    archive = Archive(folder / "archive")
    for samples in (10, 20):
        state, _ = run(archive, wanted(folder, simulator, samples=samples))
        assert state.status == "done"
    assert len(archive.parts("traces")) > 1
    return folder


@pytest.fixture
def archive(ran: Path, tmp_path: Path) -> Archive:
    shutil.copytree(ran / "archive", tmp_path / "archive")
    return Archive(tmp_path / "archive")


def wanted(folder: Path, url: str, **changes: Any) -> Path:
    prompt = {"template": "{{ problem }} Put the answer in \\boxed{}."}
    return job_file(folder, url, **{"prompt": prompt, "samples": 20, "select": ["majority"], **changes})


def read_as(archive: Archive, folder: Path, url: str, **changes: Any) -> Reread:
    return reread(archive, load_job(wanted(folder, url, **changes)))


def differing(archive: Archive) -> set[str]:
    return {check for audit in verify_job(archive, archive.resolve("sums")) for check in audit.differing}


@pytest.mark.parametrize("is_compacted", [False, True])
def test_there_and_back_is_where_it_was(archive: Archive, simulator: str, tmp_path: Path, is_compacted: bool) -> None:
    if is_compacted:
        compact(archive, archive.resolve("sums"))
    before, sent = archive.sql(EVERYTHING), meter(simulator)["requests"]
    parts = archive.parts("traces")
    there = read_as(archive, tmp_path, simulator, answer={"extract": "verbatim", "equivalence": "string"})
    assert (there.samples, there.changed) == (SAMPLES, SAMPLES)
    assert differing(archive) == set()
    assert archive.sql(EVERYTHING).select(["text"]) == before.select(["text"])
    assert all(row["answer"] == row["text"].strip() for row in archive.sql(EVERYTHING).to_pylist())
    back = read_as(archive, tmp_path, simulator)
    assert (back.samples, back.changed) == (SAMPLES, SAMPLES)
    assert archive.sql(EVERYTHING) == before
    assert archive.parts("traces") == parts
    assert read_as(archive, tmp_path, simulator).changed == 0
    assert meter(simulator)["requests"] == sent


def test_a_corrected_gold_turns_the_verdicts_and_the_selections(
    archive: Archive, simulator: str, tmp_path: Path
) -> None:
    path = wanted(tmp_path, simulator)
    (popular,) = archive.sql(POPULAR).to_pylist()
    rows = [json.loads(line) for line in (tmp_path / "problems.jsonl").read_text().splitlines()]
    rows[1]["gold"] = popular["answer"]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(JobChangedError, match=r"problem b: its gold(.|\n)*polythink reread"):
        run(archive, path)
    wrong_before = {row["sample_id"] for row in archive.sql(EVERYTHING).to_pylist() if row["correct"] is False}
    done = reread(archive, load_job(path))
    of_b = [row for row in archive.sql(EVERYTHING).to_pylist() if row["problem_id"] == "b"]
    assert all((row["answer"] == popular["answer"]) == bool(row["correct"]) for row in of_b)
    assert done.changed >= popular["n"] > 0
    assert {row["sample_id"] for row in of_b if row["correct"]} <= wrong_before
    assert differing(archive) == set()


def test_a_grading_function_grades_what_is_kept(archive: Archive, simulator: str, tmp_path: Path) -> None:
    (tmp_path / "grade.py").write_text("def grade(answer, problem):\n    return problem['id'] == 'c'\n")
    read_as(archive, tmp_path, simulator, grade={"python": "grade.py:grade"})
    assert [row["right"] for row in archive.sql(RIGHT).to_pylist()] == [False, False, True]
    assert differing(archive) == set()


@pytest.mark.parametrize("written", range(8))
def test_cut_off_anywhere_it_is_not_run_before_it_is_done_again(
    archive: Archive, simulator: str, tmp_path: Path, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, left = type(archive.store).put, [written]

    def full(store: Any, name: str, data: bytes) -> None:
        if not name.endswith("lease.json"):
            left[0] -= 1
            if left[0] < 0:
                raise ArchiveError("the disk is full")
        put(store, name, data)

    path = wanted(tmp_path, simulator, answer=NUMBERS)
    loaded = load_job(path)
    with monkeypatch.context() as patched:
        patched.setattr(type(archive.store), "put", full)
        with pytest.raises(ArchiveError, match="disk is full"):
            reread(archive, loaded)
    if written:
        with pytest.raises(JobChangedError, match=r"cut off|polythink reread"):
            run(archive, path)
    reread(archive, loaded)
    assert differing(archive) == set()
    assert run(archive, path)[0].status == "done"


def test_what_would_make_samples_unlike_is_refused_as_ever(archive: Archive, simulator: str, tmp_path: Path) -> None:
    before = archive.sql(EVERYTHING)
    with pytest.raises(JobChangedError, match="max_tokens: was 2000, is 1000"):
        read_as(archive, tmp_path, simulator, answer=NUMBERS, max_tokens=1000)
    assert archive.sql(EVERYTHING) == before
    with archive.lock(archive.resolve("sums")), pytest.raises(JobBusyError):
        read_as(archive, tmp_path, simulator, answer=NUMBERS)
    with pytest.raises(UnknownJobError):
        read_as(archive, tmp_path, simulator, name="another")


def test_the_command_says_what_it_read_and_sends_nothing(archive: Archive, simulator: str, tmp_path: Path) -> None:
    path, sent = wanted(tmp_path, simulator, answer=NUMBERS), meter(simulator)["requests"]
    refused = CliRunner().invoke(app, ["run", str(path), "--archive", archive.root])
    assert refused.exit_code == 2 and "polythink reread" in refused.stderr
    result = CliRunner().invoke(app, ["reread", str(path), "--archive", archive.root])
    assert result.exit_code == 0, result.output
    assert f"{SAMPLES} samples of {archive.resolve('sums')} read anew" in result.stdout
    assert "majority" in result.stdout
    assert meter(simulator)["requests"] == sent


def test_new_arms_stand_beside_the_kept_ones(archive: Archive, simulator: str, tmp_path: Path) -> None:
    deep = [{"id": "plain", "model": "claude-haiku-4-5", "reasoning": {"budget_tokens": 1024}}]
    path, sent = wanted(tmp_path, simulator, arms=deep, max_tokens=2000), meter(simulator)["requests"]
    refused = CliRunner().invoke(app, ["run", str(path), "--archive", archive.root])
    assert refused.exit_code == 2 and "--new-arms" in refused.stderr
    result = CliRunner().invoke(app, ["run", str(path), "--archive", archive.root, "--new-arms", "--json"])
    assert json.loads(result.stdout)["status"] == "done", result.output
    rows = archive.sql("SELECT arm_id, count(*) AS n FROM traces GROUP BY arm_id ORDER BY arm_id").to_pylist()
    assert rows == [{"arm_id": "plain", "n": SAMPLES}, {"arm_id": "plain-2", "n": SAMPLES}]
    assert meter(simulator)["requests"] == sent + SAMPLES
    assert differing(archive) == set()
