"""Judging is a job: what judges ask is sent, kept, capped and resumed as samples are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from polythink.jobs.control import Control
from polythink.jobs.run import run_judges
from polythink.jobs.selection import select
from polythink.jobs.workload import recall
from polythink.selectors.registry import parse_selector
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from tests.running import job_file, meter, run

pytestmark = pytest.mark.usefixtures("one_ray")

MODEL = "claude-haiku-4-5"
PERFECT = ["--judge-sensitivity", "1", "--judge-specificity", "1", "--judge-position-bias", "0"]
PROMPT = {"template": "{{ problem }} Put the answer in \\boxed{}."}
QUIET = ["--refusals", "0", "--unreadable", "0"]


def judge(archive: Archive, job_id: str, selector: Any) -> Any:
    """Ask and select, as the command does; returns the state of what could not be finished."""
    work = recall(archive, job_id)
    config = parse_selector(selector)
    with archive.lock(job_id):
        broken_off = run_judges(archive, work, [config], watch=lambda state: None, control=Control(archive, job_id))
    select(archive, work, [selector])
    return broken_off


def rows(archive: Archive, job_id: str, query: str) -> list[dict[str, Any]]:
    return list(archive.sql(query, [job_id]).to_pylist())


def test_a_run_judges_what_it_sampled_and_sends_nothing_twice(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    problems = [f"p{n}" for n in range(6)]
    with _simulator(tmp_path, problems, PERFECT) as simulator:
        path = job_file(
            tmp_path,
            simulator.base_url,
            prompt=PROMPT,
            problems=problems,
            samples=4,
            select=["majority", {"judge": {"model": MODEL}}],
        )
        state, work = run(archive, path)
        assert (state.status, state.reason) == ("done", None)
        [derived] = rows(archive, work.job_id, "SELECT * FROM jobs WHERE parent_job_id = ?")
        assert (derived["status"], derived["selector"]) == ("done", "judge")
        assert derived["total"] == derived["done"] == 6 * 4
        served = meter(simulator.base_url)["requests"]
        assert served == 2 * 6 * 4
        judged = rows(archive, work.job_id, "SELECT * FROM selections WHERE job_id = ? AND selector = 'judge'")
        [right] = rows(
            archive, work.job_id, "SELECT count(DISTINCT problem_id) AS n FROM traces WHERE job_id = ? AND correct"
        )
        assert sum(row["correct"] for row in judged) == right["n"], "a judge that never errs picks as pass@n"
        assert sum(row["selector_cost_usd"] for row in judged) == pytest.approx(derived["spent_usd"])
        assert {row["n"] for row in judged} == {4}
        assert judge(archive, work.job_id, {"judge": {"model": MODEL}}) is None
        assert meter(simulator.base_url)["requests"] == served, "all had been asked"
        assert judge(archive, work.job_id, {"judge": {"model": MODEL, "votes": 2, "as": "twice"}}) is None
        assert meter(simulator.base_url)["requests"] == served + 6 * 4, "a second vote each, and nothing anew"
        again = rows(archive, work.job_id, "SELECT * FROM selections WHERE job_id = ? AND selector = 'judge'")
        assert again == judged


@pytest.mark.parametrize("kind", ["pairwise", "knockout", "swiss", "genselect"])
def test_a_judge_that_never_errs_finds_a_right_answer_where_there_is_one(tmp_path: Path, kind: str) -> None:
    archive = Archive(tmp_path / "archive")
    problems = [f"p{n}" for n in range(6)]
    with _simulator(tmp_path, problems, PERFECT) as simulator:
        selector = {kind: {"model": MODEL, **({"window": 3} if kind == "genselect" else {})}}
        path = job_file(tmp_path, simulator.base_url, prompt=PROMPT, problems=problems, samples=5, select=[selector])
        state, work = run(archive, path)
    assert (state.status, state.reason) == ("done", None)
    missed = rows(
        archive,
        work.job_id,
        "SELECT problem_id FROM selections WHERE job_id = ? AND NOT correct AND problem_id IN "
        "(SELECT problem_id FROM traces WHERE correct)",
    )
    assert missed == []


def test_the_cap_bounds_samples_and_judging_together(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with _simulator(tmp_path, ["a", "b", "c"], PERFECT) as simulator:
        first, work = run(archive, job_file(tmp_path, simulator.base_url, prompt=PROMPT, samples=4))
        cap = first.spent_usd + 0.02  # a request may cost 0.04 by its max_tokens
        path = job_file(
            tmp_path,
            simulator.base_url,
            prompt=PROMPT,
            samples=4,
            select=[{"judge": {"model": MODEL}}],
            cap={"usd": cap},
        )
        state, _ = run(archive, path)
    assert state.status == "stopped"
    assert state.reason is not None and "judging for judge" in state.reason and "cap" in state.reason
    [spent] = rows(archive, work.job_id, "SELECT sum(cost_usd) AS usd FROM attempts WHERE starts_with(job_id, ?)")
    assert spent["usd"] <= cap
    assert rows(archive, work.job_id, "SELECT * FROM selections WHERE job_id = ? AND selector = 'judge'") == []


def test_the_cap_of_tokens_bounds_samples_and_judging_together(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    batched: dict[str, Any] = {"prompt": PROMPT, "samples": 4, "lane": "batch"}
    judged = {**batched, "select": [{"judge": {"model": MODEL}}]}
    with _simulator(tmp_path, ["a", "b", "c"], [*PERFECT, "--batch-seconds", "0.2"]) as simulator:
        first, work = run(archive, job_file(tmp_path, simulator.base_url, **batched))
        most = first.output_tokens + 100  # less than a verdict may take
        state, _ = run(
            archive, job_file(tmp_path, simulator.base_url, cap={"usd": 100, "output_tokens": most}, **judged)
        )
        assert state.status == "stopped"
        assert state.reason is not None and "judging for judge" in state.reason and "cap.output_tokens" in state.reason
        assert meter(simulator.base_url)["requests"] == 12, "not one verdict fits"
        state, _ = run(
            archive, job_file(tmp_path, simulator.base_url, cap={"usd": 100, "output_tokens": 1_000_000}, **judged)
        )
    assert state.status == "done"
    [verdicts] = rows(archive, work.job_id, "SELECT count(*) AS n FROM traces WHERE starts_with(job_id, ? || '.')")
    assert verdicts["n"] == 12


def _simulator(folder: Path, problems: list[str], options: list[str]) -> SimulatorProcess:
    """One that knows the gold answers of `job_file`."""
    job_file(folder, "http://127.0.0.1:1", problems=problems)
    return SimulatorProcess.start([*options, *QUIET, "--problems", str(folder / "problems.jsonl")])
