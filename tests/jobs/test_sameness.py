"""Which free-text answers are the same, decided by a judge: asked as a job, once, and before any other judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polythink.errors import JobChangedError
from polythink.jobs.load import load_job
from polythink.jobs.replaying import replay_job
from polythink.jobs.rereading import reread
from polythink.jobs.verify import verify_job
from polythink.jobs.workload import recall
from polythink.simulator.judgement import said
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from tests.running import job_file, meter, run

pytestmark = pytest.mark.usefixtures("one_ray")

MODEL = "claude-haiku-4-5"
PERFECT = ["--judge-sensitivity", "1", "--judge-specificity", "1", "--judge-position-bias", "0"]
QUIET = ["--refusals", "0", "--unreadable", "0"]
PROBLEMS = [f"p{n}" for n in range(4)]
JUDGED = {"extract": "verbatim", "equivalence": {"judge": {"model": MODEL}}}
ANSWERS = "SELECT problem_id, text FROM traces WHERE job_id = ? AND outcome = 'answered'"
DERIVED = "SELECT * FROM jobs WHERE parent_job_id = ? AND selector = 'equivalence'"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def rows(archive: Archive, job_id: str, query: str) -> list[dict[str, Any]]:
    return list(archive.sql(query, [job_id]).to_pylist())


def free_text(folder: Path, base_url: str, **changes: Any) -> Path:
    """A job whose samples say the same in many words."""
    fields = {"problems": PROBLEMS, "answer": JUDGED, "samples": 6, "select": ["majority"], "lane": "batch", **changes}
    return job_file(folder, base_url, **fields)


def simulator(folder: Path, *options: str) -> SimulatorProcess:
    """One that knows the gold answers of `job_file`, and by default a judge that never errs."""
    job_file(folder, "http://127.0.0.1:1", problems=PROBLEMS)
    known = ["--problems", str(folder / "problems.jsonl"), "--batch-seconds", "0.3"]
    return SimulatorProcess.start([*(options or PERFECT), *QUIET, *known])


def check_votes(archive: Archive, job_id: str) -> None:
    """The vote is that over what the texts say, as a judge that never errs finds it."""
    counts: dict[str, dict[str, int]] = {}
    for row in rows(archive, job_id, ANSWERS):
        found = counts.setdefault(row["problem_id"], {})
        found[said(row["text"])] = found.get(said(row["text"]), 0) + 1
    selected = rows(archive, job_id, "SELECT * FROM selections WHERE job_id = ? AND selector = 'majority'")
    tallies = {row["problem_id"]: json.loads(row["tally"]) for row in selected}
    assert {p: sorted(tally.values()) for p, tally in tallies.items()} == {
        p: sorted(found.values()) for p, found in counts.items()
    }
    assert any(len(tally) < 6 for tally in tallies.values()), "different words for the same met"


def test_equivalence_is_asked_once_and_of_more_samples_only_what_is_new(tmp_path: Path, archive: Archive) -> None:
    with simulator(tmp_path) as server:
        state, work = run(archive, free_text(tmp_path, server.base_url))
        assert (state.status, state.reason) == ("done", None)
        check_votes(archive, work.job_id)
        [derived] = rows(archive, work.job_id, DERIVED)
        served = meter(server.base_url)["requests"]
        assert derived["status"] == "done" and derived["spent_usd"] > 0
        assert served == 4 * 6 + derived["total"]
        assert run(archive, free_text(tmp_path, server.base_url))[0].status == "done"
        assert meter(server.base_url)["requests"] == served, "all had been asked"
        assert run(archive, free_text(tmp_path, server.base_url, samples=9))[0].status == "done"
        check_votes(archive, work.job_id)
        [grown] = rows(archive, work.job_id, DERIVED)
        assert grown["job_id"] == derived["job_id"] and grown["total"] > derived["total"]
        assert meter(server.base_url)["requests"] == served + 4 * 3 + grown["total"] - derived["total"]
    assert [audit.differing for audit in verify_job(archive, work.job_id)] == [{}, {}]


def test_other_judges_are_asked_of_the_classes_that_are_found(tmp_path: Path, archive: Archive) -> None:
    with simulator(tmp_path) as server:
        selector = {"judge": {"model": MODEL, "per": "answer"}}
        state, work = run(archive, free_text(tmp_path, server.base_url, select=["majority", selector]))
    assert state.status == "done"
    selected = rows(archive, work.job_id, "SELECT * FROM selections WHERE job_id = ? AND selector = 'majority'")
    rated = rows(archive, work.job_id, "SELECT total FROM jobs WHERE parent_job_id = ? AND selector = 'judge'")
    assert rated[0]["total"] == sum(len(json.loads(row["tally"])) for row in selected), "a rating for each class"


def test_the_cap_bounds_equivalence_too_and_a_larger_one_goes_on(tmp_path: Path, archive: Archive) -> None:
    with simulator(tmp_path) as server:
        plain = {"extract": "verbatim", "equivalence": "string"}
        first, work = run(archive, free_text(tmp_path, server.base_url, answer=plain))
        cap = first.spent_usd + 0.022  # a request may cost 0.021 by its max_tokens
        capped = free_text(tmp_path, server.base_url, cap={"usd": cap})
        with pytest.raises(JobChangedError, match="polythink reread"):
            run(archive, capped)
        (note,) = reread(archive, load_job(capped)).notes
        alone = note.partition(" ")[0]
        assert int(alone) > 0
        [audit] = verify_job(archive, work.job_id)
        assert audit.differing == {} and f"{alone} answers stand each for itself" in audit.warnings[-1]
        notes: list[str] = []
        replay_job(archive, recall(archive, work.job_id), notes.append)
        assert f"{alone} answers stand each for itself" in notes[0]
        state, _ = run(archive, capped)
        assert state.status == "stopped"
        assert state.reason is not None and "judging for equivalence" in state.reason and "cap" in state.reason
        [spent] = rows(archive, work.job_id, "SELECT sum(cost_usd) AS usd FROM attempts WHERE starts_with(job_id, ?)")
        assert spent["usd"] <= cap
        [begun] = rows(archive, work.job_id, DERIVED)
        assert 0 < begun["done"] < begun["total"]
        assert run(archive, free_text(tmp_path, server.base_url, cap={"usd": 5.0}))[0].status == "done"
        [whole] = rows(archive, work.job_id, DERIVED)
        assert meter(server.base_url)["requests"] == 4 * 6 + whole["total"], "what had been heard was not asked again"
    check_votes(archive, work.job_id)


def test_votes_of_a_judge_that_errs_are_taken_together(tmp_path: Path, archive: Archive) -> None:
    options = ["--judge-sensitivity", "0.9", "--judge-specificity", "0.9"]
    judged = {"extract": "verbatim", "equivalence": {"judge": {"model": MODEL, "votes": 3}}}
    with simulator(tmp_path, *options) as server:
        state, work = run(archive, free_text(tmp_path, server.base_url, answer=judged))
        [derived] = rows(archive, work.job_id, DERIVED)
        assert state.status == "done" and derived["total"] == derived["done"]
        assert derived["total"] % 3 == 0 and meter(server.base_url)["requests"] == 4 * 6 + derived["total"]
