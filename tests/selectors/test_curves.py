"""Curves equal enumeration, forget order and repeat by seed."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.selectors import majorityk
from polythink.selectors.bands import bootstrap
from polythink.selectors.curves import curve, grid
from polythink.selectors.majorityk import majority_at, majority_curve
from polythink.selectors.panel import ABSTAINS, Panel, count
from polythink.selectors.passk import all_curve, first_curve, pass_at, pass_curve

Row = tuple[int, bool]  # answer class, right
ROWS = st.lists(st.tuples(st.integers(ABSTAINS, 3), st.booleans()), min_size=1, max_size=8)


def panel(*problems: list[Row]) -> Panel:
    rows = [(p, form, right and form != ABSTAINS) for p, samples in enumerate(problems) for form, right in samples]
    problem, form, right = (np.array(column) for column in zip(*rows, strict=True))
    return count(problem, form, right, len(problems))


def majority_of(subset: tuple[Row, ...]) -> float:
    tally: dict[int, list[bool]] = {}
    for form, right in subset:
        if form != ABSTAINS:
            tally.setdefault(form, []).append(right)
    best = max(map(len, tally.values()), default=0)
    shares = [sum(rights) / len(rights) for rights in tally.values() if len(rights) == best]
    return sum(shares) / len(shares) if shares else 0.0


def first_of(subset: tuple[Row, ...]) -> float:
    return next((float(right) for form, right in subset if form != ABSTAINS), 0.0)


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


@given(ROWS)
def test_every_curve_equals_enumeration_of_all_subsets(rows: list[Row]) -> None:
    ks = list(range(1, len(rows) + 1))
    counted = panel(rows)
    found = [f(counted, ks).values[0] for f in (majority_curve, pass_curve, all_curve)]
    for k in ks:
        subsets = list(combinations(rows, k))
        passed = mean([float(any(right and form != ABSTAINS for form, right in subset)) for subset in subsets])
        voted = mean([majority_of(subset) for subset in subsets])
        assert found[0][k - 1] == pytest.approx(voted, abs=1e-12)
        assert found[1][k - 1] == pytest.approx(passed, abs=1e-12)
        flawless = mean([float(all(right and form != ABSTAINS for form, right in subset)) for subset in subsets])
        assert found[2][k - 1] == pytest.approx(flawless, abs=1e-12)


@given(st.lists(st.tuples(st.integers(ABSTAINS, 1), st.booleans()), min_size=1, max_size=5))
def test_first_equals_enumeration_of_all_orders(rows: list[Row]) -> None:
    for k in range(1, len(rows) + 1):
        expected = mean([first_of(subset) for subset in permutations(rows, k)])
        assert first_curve(panel(rows), [k]).values[0, 0] == pytest.approx(expected, abs=1e-12)


@given(ROWS, st.randoms(use_true_random=False))
def test_order_of_samples_is_forgotten(rows: list[Row], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for function in (pass_curve, all_curve, majority_curve, first_curve):
        assert curve(panel(rows, rows), function) == curve(panel(shuffled, rows), function)


@given(st.integers(1, 200), st.data())
def test_pass_equals_the_binomial_ratio(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    expected = 1 - math.comb(n - c, k) / math.comb(n, k)
    assert pass_at(np.array([n]), np.array([c]), k)[0] == pytest.approx(expected, abs=1e-12)


def test_exact_majority_agrees_with_drawn_subsets_at_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    votes, right, ks = (1, 1, 2, 5, 9, 20, 30), (0, 0, 0, 5, 0, 10, 0), [1, 4, 16, 64, 80]
    exact, no_errors = majority_at(80, votes, right, ks)
    monkeypatch.setattr(majorityk, "MAX_EXACT_WORK", 0)
    drawn, errors = majority_at(80, votes, right, ks, seed=1)
    assert not no_errors.any() and (errors[:-1] > 0).all() and errors[-1] == 0
    assert (np.abs(exact - drawn) <= 4 * errors + 1e-12).all()
    assert drawn.tolist() == majority_at(80, votes, right, ks, seed=1)[0].tolist()


def test_votes_that_are_drawn_and_all_agree_are_not_said_to_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(majorityk, "MAX_EXACT_WORK", 0)
    drawn, errors = majority_at(80, (75, 5), (75, 0), [40, 80])
    assert drawn.tolist() == [1.0, 1.0]
    assert 0 < errors[0] <= 1 / majorityk.DRAWS and errors[1] == 0


def test_largest_exact_counts_stay_in_range() -> None:
    values, _ = majority_at(900, (300, 500), (0, 500), [1, 2, 4])
    assert values[0] == pytest.approx(500 / 900, abs=1e-12)
    assert np.isfinite(values).all()


def test_problem_counts_only_up_to_its_samples() -> None:
    points = curve(panel([(0, True)] * 4, [(0, False)] * 2), pass_curve)
    assert [(point.n, point.accuracy, point.problems) for point in points] == [(1, 0.5, 2), (2, 0.5, 2), (4, 1.0, 1)]
    assert grid(100) == [1, 2, 4, 8, 16, 32, 64, 100]


def test_band_holds_the_mean_and_repeats_by_seed() -> None:
    values = np.random.default_rng(0).uniform(size=(200, 2))
    band = bootstrap(values, seed=3)
    assert band.low.tolist() == bootstrap(values, seed=3).low.tolist() != bootstrap(values, seed=4).low.tolist()
    width = 2 * 1.96 * values.std(axis=0) / math.sqrt(200)
    assert (band.high - band.low) == pytest.approx(width, rel=0.15)
    assert ((band.low < band.mean) & (band.mean < band.high)).all()
    assert bootstrap(values[:1]).low.tolist() == values[0].tolist()
