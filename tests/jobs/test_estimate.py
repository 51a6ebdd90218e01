"""What a job will cost, estimated from a pilot: right on average, honest about its spread, and never paid twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from polythink.cli.main import app
from polythink.jobs.estimate import FEWEST, estimate, pilot_ordinals, total
from polythink.jobs.grid import Grid
from polythink.jobs.measured import prediction
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from tests.running import job_file, meter, one_row


def draws(seed: int, rounds: int, problems: int = 30, rest: int = 50) -> float:
    """The share of intervals, each from a pilot of its own, that the cost of the samples to come falls into."""
    rng = np.random.default_rng(seed)
    inside = 0
    means = rng.lognormal(0.0, 1.0, problems)
    for _ in range(rounds):
        problem = np.tile(np.arange(problems), 4)
        pilot = means[problem] * rng.lognormal(-0.125, 0.5, len(problem))
        future = means.repeat(rest) * rng.lognormal(-0.125, 0.5, problems * rest)
        found = estimate(pilot, problem, np.full(problems, rest))
        assert found is not None
        interval = found.interval()
        inside += interval.low <= future.sum() <= interval.high
    return inside / rounds


def test_nineteen_of_twenty_intervals_hold_what_is_paid_in_the_end() -> None:
    assert 0.90 <= draws(seed=0, rounds=400) <= 0.99


def test_problems_nobody_measured_make_the_interval_wider() -> None:
    rng = np.random.default_rng(1)
    problem = np.arange(80) % 10
    costs = rng.lognormal(size=10)[problem] * rng.lognormal(0, 0.2, 80)
    known = estimate(costs, problem, np.full(10, 20))
    partly = estimate(costs, problem, np.full(20, 10))
    strange = estimate(costs, np.full(80, -1), np.full(10, 20))
    assert known and partly and strange
    assert strange.expected == pytest.approx(200 * costs.mean())
    widths = [each.interval().high - each.expected for each in (known, partly)]
    assert 2 * widths[0] < widths[1]


@given(st.lists(st.floats(0.01, 10), min_size=FEWEST, max_size=60), st.integers(1, 9), st.integers(0, 50))
def test_an_estimate_scales_with_prices_and_is_nothing_for_nothing(
    costs: list[float], problems: int, owed: int
) -> None:
    problem = np.arange(len(costs)) % problems
    one = estimate(np.array(costs), problem, np.full(problems, owed))
    double = estimate(2 * np.array(costs), problem, np.full(problems, owed))
    assert one and double
    assert double.expected == pytest.approx(2 * one.expected)
    assert double.own_variance == pytest.approx(4 * one.own_variance)
    nothing = estimate(np.array(costs), problem, np.zeros(problems, dtype=np.int64))
    assert nothing and total([nothing]).high == 0.0
    assert min(costs) * owed * problems <= one.expected * (1 + 1e-9) <= max(costs) * owed * problems * (1 + 2e-9)


def test_too_small_a_pilot_says_nothing() -> None:
    assert estimate(np.ones(FEWEST - 1), np.zeros(FEWEST - 1, dtype=np.int64), np.array([5])) is None


@given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 9), st.integers(1, 1_000), st.integers(0, 5))
def test_a_pilot_asks_every_arm_the_same_and_spreads_over_problems(
    problems: int, arms: int, samples: int, wanted: int, seed: int
) -> None:
    grid = Grid([str(n) for n in range(problems)], [str(n) for n in range(arms)], samples)
    chosen = pilot_ordinals(problems, arms, samples, wanted, seed).tolist()
    assert len(set(chosen)) == len(chosen) and set(chosen) <= set(range(len(grid)))
    assert min(wanted, len(grid)) <= len(chosen) < max(wanted, 1) + arms
    keys = [grid.key(ordinal) for ordinal in chosen]
    per_arm = {arm: sorted((k.problem_id, k.sample_index) for k in keys if k.arm_id == arm) for arm in grid.arm_ids}
    assert len({tuple(map(tuple, each)) for each in per_arm.values()}) == 1
    per_problem = Counter(key.problem_id for key in keys if key.arm_id == "0")
    counts = [per_problem[str(n)] for n in range(problems)]
    assert max(counts) - min(counts) <= 1


def test_a_pilot_is_part_of_its_job_and_the_end_is_compared_with_it(tmp_path: Path) -> None:
    arms = [
        {"id": "plain", "model": "claude-haiku-4-5", "reasoning": "none"},
        {"id": "deep", "model": "claude-haiku-4-5", "reasoning": {"budget_tokens": 2048}},
    ]
    with SimulatorProcess.start(["--refusals", "0"]) as simulator:
        path = job_file(tmp_path, simulator.base_url, arms=arms, samples=20, max_tokens="auto")
        where = ["--archive", str(tmp_path / "archive")]
        unmeasured = CliRunner().invoke(app, ["plan", str(path), "--json", *where])
        assert json.loads(unmeasured.stdout)["measured"] == []
        piloted = CliRunner().invoke(app, ["plan", str(path), "--pilot", "60", "--json", *where])
        assert piloted.exit_code == 0, piloted.stderr
        plan = json.loads(piloted.stdout)
        assert meter(simulator.base_url)["requests"] == 60
        assert [arm["kept"] for arm in plan["arms"]] == [30, 30]
        plain, deep = plan["measured"]
        assert (plain["samples"], plain["simulated"]) == (30, True)
        assert deep["live"]["expected"] > 2 * plain["live"]["expected"]
        assert deep["batch"]["expected"] == pytest.approx(deep["live"]["expected"] / 2)
        assert "cached" not in deep, "the prompt is too short for it"
        archive = Archive(tmp_path / "archive")
        assert one_row(archive, "SELECT status, reason FROM jobs")["status"] == "stopped"
        done = CliRunner().invoke(app, ["resume", "sums", *where])
        assert done.exit_code == 0, done.stderr
        assert "plan     $" in done.stdout
        assert meter(simulator.base_url)["requests"] == 120
    said = prediction(archive, archive.resolve("sums"))
    spent = one_row(archive, "SELECT spent_usd FROM jobs")["spent_usd"]
    assert said is not None and (said.samples, said.measured) == (120, 60)
    assert said.low <= spent <= said.high
    shown = CliRunner().invoke(app, ["plan", str(path), *where])
    assert shown.exit_code == 0 and "live" in shown.stdout
    other = job_file(tmp_path, "http://127.0.0.1:9", arms=arms, samples=5, max_tokens="auto", name="others")
    new = json.loads(CliRunner().invoke(app, ["plan", str(other), "--json", *where]).stdout)
    assert {arm["source"] for arm in new["measured"]} == {archive.resolve("sums")}
    assert new["whole_job"]["low"] < new["whole_job"]["expected"] < new["whole_job"]["high"]
