"""Stopping rules against their papers' formulas, and what a replay says of them."""

from __future__ import annotations

import json
import math
import random
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from polythink import facts
from polythink.cli.main import app
from polythink.selectors.greedy import Greedy, allocate
from polythink.selectors.panel import ABSTAINS, Panel, count
from polythink.selectors.replay import RULES, Replayed, replay
from polythink.selectors.stopping import (
    Beta,
    Dirichlet,
    StoppingRule,
    Window,
    holding_probability,
    lead_probability,
    stops_at,
    top_probability,
)
from polythink.simulator.latent import latent_of, success_probability
from polythink.simulator.problems import KnownProblem

labels = st.lists(st.integers(ABSTAINS, 3), max_size=40)
votes = st.integers(0, 30)


@given(votes, votes)
def test_the_lead_is_the_beta_integral(first: int, second: int) -> None:
    grid = (np.arange(20_000) + 0.5) / 20_000
    density = grid**first * (1 - grid) ** second
    assert lead_probability(first, second) == pytest.approx(density[grid > 0.5].sum() / density.sum(), abs=1e-6)
    assert lead_probability(first, second) + lead_probability(second, first) == pytest.approx(1.0)


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 5))
def test_a_lead_holds_as_often_as_going_through_all_votes_to_come_finds(first: int, second: int, left: int) -> None:
    ahead = 0.0
    for rest in product((True, False), repeat=left):
        chance, one, other = 1.0, first, second
        for vote in rest:  # each as likely as Laplace's rule of succession says after those before it
            chance *= ((one if vote else other) + 1) / (one + other + 2)
            one, other = one + vote, other + (not vote)
        ahead += chance * (1.0 if one > other else 0.5 if one == other else 0.0)
    assert holding_probability(first, second, left) == pytest.approx(ahead)


@given(votes, votes)
def test_with_endless_votes_to_come_the_larger_share_wins(first: int, second: int) -> None:
    assert holding_probability(first, second, 3_000) == pytest.approx(lead_probability(first, second), abs=0.02)


@given(votes, votes)
def test_of_two_answers_both_papers_rules_agree(first: int, second: int) -> None:
    assert top_probability((first, second)) == pytest.approx(lead_probability(first, second), abs=1e-9)


@pytest.mark.parametrize("several", [(5, 3, 2), (2, 2, 2), (10, 1, 1, 1), (0, 0, 0, 0, 0), (7, 6), (30, 20, 20)])
def test_the_top_is_what_drawing_from_the_dirichlet_finds(several: tuple[int, ...]) -> None:
    drawn = np.random.default_rng(0).dirichlet(np.array(several) + 1, 400_000)
    share = (drawn.argmax(axis=1) == 0).mean()
    assert top_probability(several) == pytest.approx(share, abs=4 * math.sqrt(0.25 / 400_000))


@given(st.lists(votes, min_size=2, max_size=6))
def test_the_chances_of_all_answers_are_one(several: list[int]) -> None:
    chances = [top_probability((several[i], *several[:i], *several[i + 1 :])) for i in range(len(several))]
    assert sum(chances) == pytest.approx(1.0, abs=1e-6)


@given(labels, st.sampled_from(RULES))
def test_no_rule_stops_before_its_least_or_looks_ahead(seen: list[int], rule: StoppingRule) -> None:
    n = stops_at(rule, seen)
    assert min(rule.at_least, len(seen)) <= n <= len(seen)
    assert stops_at(rule, [*seen[:n], *([0] * (len(seen) - n))]) == n
    if n < len(seen):
        assert (n - rule.at_least) % rule.wave == 0


@given(labels, st.floats(0.5, 0.99), st.floats(0.5, 0.99))
def test_more_confidence_never_asks_for_less(seen: list[int], one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert stops_at(Beta(confidence=low), seen) <= stops_at(Beta(confidence=high), seen)
    assert stops_at(Dirichlet(confidence=low), seen) <= stops_at(Dirichlet(confidence=high), seen)


def test_small_cases_by_hand() -> None:
    careful = Beta(confidence=0.95, at_least=1, wave=1)
    assert stops_at(careful, [0] * 1_000) == 4  # 1 - 1/32 after four, 1 - 1/16 after three, with endless more to come
    assert stops_at(careful, [0, 1, 0, 1, 0, 1, 0]) == 7, "level before the last"
    assert stops_at(careful, [0, 0, 1, 0, 0, 0, 1]) == 5, "three ahead, with two to come"
    assert stops_at(Beta(confidence=0.9), [ABSTAINS] * 9) == 9
    assert stops_at(Window(size=2), [0, 1, 1, 0, 2, 2, 2]) == 6
    assert stops_at(Window(size=2), [ABSTAINS] * 4) == 4


@given(st.lists(st.lists(st.integers(ABSTAINS, 2), min_size=1, max_size=8), min_size=1, max_size=6), st.integers(0, 60))
def test_an_allocation_spends_its_budget_and_no_more_than_there_is(problems: list[list[int]], budget: int) -> None:
    used = allocate(problems, budget, Greedy())
    least = sum(min(2, len(problem)) for problem in problems)
    assert sum(used) == max(least, min(budget, sum(map(len, problems))))
    assert all(0 <= n <= len(problem) for n, problem in zip(used, problems, strict=True))


def test_the_least_decided_vote_gets_the_next_sample() -> None:
    for budget in range(4, 9):
        used = allocate([[0] * 6, [0, 1] * 3], budget, Greedy(wave=1))
        assert used[1] == min(6, budget - 2)


def panel_of(problems: list[list[tuple[int, bool]]]) -> Panel:
    owner = [p for p, samples in enumerate(problems) for _ in samples]
    flat = [sample for samples in problems for sample in samples]
    return count(
        np.array(owner), np.array([label for label, _ in flat]), np.array([hit for _, hit in flat]), len(problems)
    )


def test_a_replay_counts_every_order_of_a_small_case() -> None:
    """Of all orders of two right and one wrong sample a window of two stops in a third, and is then right."""
    found = replay(panel_of([[(0, True), (0, True), (1, False)]]), [Window(size=2)], [], orders=3_000)
    (row,) = found
    orders = list(permutations("RrW"))
    stopped = sum("W" not in order[:2] for order in orders) / len(orders)
    assert row.samples == pytest.approx(3 - stopped, abs=0.04)
    assert row.accuracy == row.fixed_accuracy == 1.0


def test_a_replay_is_the_same_for_the_same_seed() -> None:
    panel = synthetic(problems=20, samples=12, seed=3)
    assert replay(panel, seed=5) == replay(panel, seed=5) != replay(panel, seed=6)


def synthetic(*, problems: int, samples: int, seed: int) -> Panel:
    """Answers of the synthetic mind: its latent traits, traps and near misses included."""
    model = facts.find("claude-sonnet-4-6")
    assert model is not None
    rng, rows = random.Random(seed), []
    for n in range(problems):
        known = KnownProblem(problem_id=str(n), question=f"problem {n}", gold=str(17 * n), row={})
        latent = latent_of(known, seed)
        chance = success_probability(model, latent, 4_096)
        wrong = range(1, len(latent.wrong_answers) + 1)
        drawn = rng.choices(wrong, cum_weights=latent.wrong_weights, k=samples)
        rows.append([(0, True) if rng.random() < chance else (label, False) for label in drawn])
    return panel_of(rows)


def test_stopping_when_decided_reaches_the_accuracy_of_forty_samples_with_a_third_of_them() -> None:
    rows: dict[str, Replayed] = {row.rule: row for row in replay(synthetic(problems=400, samples=40, seed=1))}
    beta = rows["beta 0.95"]
    assert beta.samples <= 40 / 3
    assert abs(beta.difference) <= math.sqrt(beta.fixed_accuracy * (1 - beta.fixed_accuracy) / beta.problems)
    assert rows["beta 0.9"].samples < beta.samples < rows["beta 0.99"].samples


def test_the_command_replays_imported_samples(tmp_path: Path) -> None:
    rows = [
        {"question_id": f"q{q}", "question": "?", "gold": "4", "sample_index": n, "answer": "4" if (q + n) % 3 else "5"}
        for q in range(5)
        for n in range(12)
    ]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    where = ["--archive", str(tmp_path / "archive")]
    call = CliRunner().invoke
    assert call(app, ["import", str(tmp_path / "samples.jsonl"), "--job", "theirs", *where]).exit_code == 0
    result = call(app, ["replay", "theirs", "--json", *where])
    assert result.exit_code == 0, result.stderr
    (found,) = json.loads(result.stdout).values()
    assert {row["rule"] for row in found} >= {rule.name for rule in RULES}
    assert all(row["of_samples"] == 12 and row["samples"] <= 12 and row["problems"] == 5 for row in found)
    shown = call(app, ["replay", "theirs", *where])
    assert shown.exit_code == 0 and "window 4" in shown.stdout
