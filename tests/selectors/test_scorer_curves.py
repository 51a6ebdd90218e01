"""A scorer's curve equals enumeration, in which every subset is scored as if it were all there is."""

from __future__ import annotations

import math
from functools import partial
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.selectors import subsets
from polythink.selectors.curves import curve
from polythink.selectors.panel import ABSTAINS, Logits, Panel, count
from polythink.selectors.scorerk import scorer_curve

Row = tuple[int, bool, float]  # answer class, right, log-odds of its own
Problem = tuple[list[Row], float, float]  # and the log-odds for agreement and for spread
ROWS = st.lists(
    st.tuples(st.integers(ABSTAINS, 2), st.booleans(), st.sampled_from([-2.0, -0.5, 0.0, 0.5, 1.25, math.nan])),
    min_size=1,
    max_size=7,
)
PROBLEMS = st.tuples(ROWS, st.sampled_from([-1.5, 0.0, 0.75, 3.0]), st.sampled_from([-1.0, 0.0, 2.0]))


def panel(*problems: Problem) -> Panel:
    rows = [
        (p, *row, by_share, by_spread) for p, (samples, by_share, by_spread) in enumerate(problems) for row in samples
    ]
    problem, form, right, own, share, spread = (np.array(column) for column in zip(*rows, strict=True))
    logits = Logits(own=own, by_share=share, by_spread=spread)
    return count(problem, form, right, len(problems), logits=logits)


def odds_of(votes: list[Row], by_share: float, by_spread: float) -> list[float]:
    """What a sample's log-odds are where these votes are all there are."""
    others = len(votes) - 1
    if not others:
        return [own for _, _, own in votes]
    spread = (len({form for form, _, _ in votes}) - 1) / others
    shares = [(sum(other[0] == form for other in votes) - 1) / others for form, _, _ in votes]
    return [own + by_share * share + by_spread * spread for (_, _, own), share in zip(votes, shares, strict=True)]


def best_of(subset: tuple[Row, ...], by_share: float, by_spread: float) -> float:
    votes = [row for row in subset if row[0] != ABSTAINS and not math.isnan(row[2])]
    odds = odds_of(votes, by_share, by_spread)
    leaders = [vote for vote, o in zip(votes, odds, strict=True) if math.isclose(o, max(odds), abs_tol=1e-9)]
    return mean([float(right) for _, right, _ in leaders]) if leaders else 0.0


def weighted_of(subset: tuple[Row, ...], by_share: float, by_spread: float) -> float:
    votes = [row for row in subset if row[0] != ABSTAINS and not math.isnan(row[2])]
    odds = odds_of(votes, by_share, by_spread)
    totals: dict[int, float] = {}
    for (form, _, _), o in zip(votes, odds, strict=True):
        totals[form] = totals.get(form, 0.0) + 1 / (1 + math.exp(-o))
    leaders = [form for form, total in totals.items() if math.isclose(total, max(totals.values()), rel_tol=1e-9)]
    shares = [mean([float(right) for other, right, _ in votes if other == form]) for form in leaders]
    return mean(shares) if leaders else 0.0


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


@given(st.lists(PROBLEMS, min_size=1, max_size=3))
def test_curves_equal_enumeration_of_all_subsets(problems: list[Problem]) -> None:
    ks = list(range(1, max(len(rows) for rows, _, _ in problems) + 1))
    for is_weighted, choose in ((False, best_of), (True, weighted_of)):
        found = scorer_curve(panel(*problems), ks, is_weighted=is_weighted)
        assert not found.errors.any()
        for p, (rows, by_share, by_spread) in enumerate(problems):
            for k in ks:
                values = [choose(subset, by_share, by_spread) for subset in combinations(rows, k)]
                expected = mean(values) if values else math.nan
                assert found.values[p, k - 1] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(PROBLEMS, st.randoms(use_true_random=False))
def test_order_of_samples_and_names_of_classes_are_forgotten(problem: Problem, random: object) -> None:
    rows, by_share, by_spread = problem
    shuffled = [(form if form == ABSTAINS else 7 - form, *rest) for form, *rest in rows]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for is_weighted in (False, True):
        function = partial(scorer_curve, is_weighted=is_weighted)
        assert curve(panel(problem), function) == curve(panel((shuffled, by_share, by_spread)), function)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_weighted", [False, True])
def test_drawn_subsets_agree_with_counted_ones_within_their_error(
    monkeypatch: pytest.MonkeyPatch, is_weighted: bool
) -> None:
    rng = np.random.default_rng(2)
    labels, odds = rng.integers(0, 4, 14), rng.normal(size=14)
    rows: list[Row] = [(int(form), bool(form == 1), float(own)) for form, own in zip(labels, odds, strict=True)]
    ks, problem = [1, 2, 4, 8, 13, 14], (rows, 2.0, -0.5)
    counted = scorer_curve(panel(problem), ks, is_weighted=is_weighted)
    monkeypatch.setattr(subsets, "MAX_EXACT_CELLS", 14)
    drawn = scorer_curve(panel(problem), ks, is_weighted=is_weighted, seed=5)
    again = scorer_curve(panel((rows[::-1], 2.0, -0.5)), ks, is_weighted=is_weighted, seed=5)
    assert not counted.errors.any()
    assert (drawn.errors[0, 1:4] > 0).all()
    assert (np.abs(drawn.values - counted.values) <= 4 * drawn.errors + 1e-12).all()
    assert drawn.values[0, [0, -1]] == pytest.approx(counted.values[0, [0, -1]], abs=1e-12), "the ends are exact"
    assert drawn.values.tolist() == again.values.tolist()


def test_a_score_frozen_at_all_samples_would_be_another_curve() -> None:
    rows: list[Row] = [(0, True, 0.5), (1, False, 0.0), (1, False, 0.0), (1, False, 0.0)]
    found = scorer_curve(panel((rows, 1.0, 0.0)), [2, 4], is_weighted=False)
    assert found.values[0].tolist() == [0.5, 0.0], "of two the right one leads, of four the three that agree"
