"""Curves over weights and scores equal enumeration, forget order and repeat by seed."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.selectors import subsets
from polythink.selectors.bestofk import best_curve
from polythink.selectors.curves import CurveFunction, curve
from polythink.selectors.majorityk import majority_curve
from polythink.selectors.panel import ABSTAINS, Panel, count
from polythink.selectors.subsets import MOST_DRAWS, drawn_error, draws_for
from polythink.selectors.weightedk import weighted_curve

Row = tuple[int, bool, float, float]  # answer class, right, weight, score
ROWS = st.lists(
    st.tuples(
        st.integers(ABSTAINS, 2),
        st.booleans(),
        st.sampled_from([0.0, 0.1, 0.2, 0.3, 1.0, 2.5, math.nan]),
        st.sampled_from([-1.0, 0.0, 0.5, 3.0, math.nan]),
    ),
    min_size=1,
    max_size=7,
)


def panel(*problems: list[Row]) -> Panel:
    rows = [(p, *row) for p, samples in enumerate(problems) for row in samples]
    problem, form, right, weight, score = (np.array(column) for column in zip(*rows, strict=True))
    return count(problem, form, right, len(problems), weight=weight, score=score)


def weighted_of(subset: tuple[Row, ...]) -> float:
    classes: dict[int, list[Row]] = {}
    for row in subset:
        if row[0] != ABSTAINS and row[2] > 0:
            classes.setdefault(row[0], []).append(row)
    totals = {form: math.fsum(row[2] for row in rows) for form, rows in classes.items()}
    best = max(totals.values(), default=0.0)
    leaders = [form for form, total in totals.items() if math.isclose(total, best, rel_tol=1e-9)]
    return mean([mean([float(row[1]) for row in classes[form]]) for form in leaders]) if leaders else 0.0


def best_of(subset: tuple[Row, ...]) -> float:
    best = max((row[3] for row in subset if not math.isnan(row[3])), default=None)
    return 0.0 if best is None else mean([float(row[1]) for row in subset if row[3] == best])


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


@given(st.lists(ROWS, min_size=1, max_size=3))
def test_curves_equal_enumeration_of_all_subsets(problems: list[list[Row]]) -> None:
    ks = list(range(1, max(map(len, problems)) + 1))
    found, best = weighted_curve(panel(*problems), ks), best_curve(panel(*problems), ks)
    assert not found.errors.any() and not best.errors.any()
    for p, rows in enumerate(problems):
        for k in ks:
            chosen = list(combinations(rows, k))
            voted = mean([weighted_of(subset) for subset in chosen]) if chosen else math.nan
            picked = mean([best_of(subset) for subset in chosen]) if chosen else math.nan
            assert found.values[p, k - 1] == pytest.approx(voted, abs=1e-12, nan_ok=True)
            assert best.values[p, k - 1] == pytest.approx(picked, abs=1e-12, nan_ok=True)


@given(ROWS, st.randoms(use_true_random=False))
def test_order_of_samples_and_names_of_classes_are_forgotten(rows: list[Row], random: object) -> None:
    shuffled = [(form if form == ABSTAINS else 7 - form, *rest) for form, *rest in rows]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    functions: list[CurveFunction] = [weighted_curve, best_curve]
    for function in functions:
        assert curve(panel(rows), function) == curve(panel(shuffled), function)  # type: ignore[arg-type]


def test_drawn_subsets_agree_with_counted_ones_within_their_error(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    rows = [
        (int(form), bool(form == 1), float(w), 0.0)
        for form, w in zip(rng.integers(0, 4, 14), rng.random(14), strict=True)
    ]
    ks = [1, 2, 4, 8, 13, 14]
    counted = weighted_curve(panel(rows), ks)
    monkeypatch.setattr(subsets, "MAX_EXACT_CELLS", 0)
    drawn = weighted_curve(panel(rows), ks, seed=5)
    assert not counted.errors.any()
    assert (drawn.errors[0, :4] > 0).all()
    assert (np.abs(drawn.values - counted.values) <= 4 * drawn.errors + 1e-12).all()
    assert drawn.values.tolist() == weighted_curve(panel(rows[::-1]), ks, seed=5).values.tolist()
    assert drawn.values.tolist() != weighted_curve(panel(rows), ks, seed=6).values.tolist()


def test_draws_that_all_agree_are_not_said_to_be_counted() -> None:
    """One right sample in 300 that weighs next to nothing: no draw shows the subsets that it wins."""
    rows: list[Row] = [(0, False, 1.0 + n / 1_000, 0.0) for n in range(299)]
    rows.append((1, True, 1e-9, 0.0))
    found = weighted_curve(panel(rows), [150, 300])
    assert found.values[0, 0] == 0.0 and 0.0 < found.errors[0, 0] <= 1 / 2_000
    assert found.errors[0, 1] == 0.0, "of all samples there is one subset, and it was counted"


@given(st.integers(2, 300), st.floats(0, 1))
def test_the_error_of_draws_is_that_of_their_spread_wherever_they_differ(draws: int, share: float) -> None:
    results = np.arange(draws) < share * draws
    spread = results.std(ddof=1) / math.sqrt(draws)
    error = drawn_error(results.astype(np.float64))
    assert error == pytest.approx(spread) if spread else 0 < error < 1 / draws


def test_the_error_of_a_curve_holds_where_problems_fell_out_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Row] = [(k % 3, k % 3 == 1, 1.0 + k / 10, 0.0) for k in range(12)]
    others: list[Row] = [(form, right, weight**2, 0.0) for form, right, weight, _ in rows]
    monkeypatch.setattr(subsets, "MAX_EXACT_CELLS", 0)
    one, other = (curve(panel(each), weighted_curve)[2].error for each in (rows, others))
    assert one > 0
    alike = curve(panel(*[rows] * 9), weighted_curve)
    assert alike[2].error == pytest.approx(one), "nine of the same draw are no better known than one"
    assert alike[-1].error == 0.0
    mixed = curve(panel(*[rows] * 3, others), weighted_curve)[2].error
    assert mixed == pytest.approx(math.hypot(3 * one, other) / 4)


def test_many_problems_are_drawn_from_less_and_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    problems: list[list[Row]] = [
        [(int(form), bool(form == 1), float(w), 0.0) for form, w in zip(forms, rng.random(10), strict=True)]
        for forms in rng.integers(0, 3, (400, 10))
    ]
    counted = curve(panel(*problems), weighted_curve)
    monkeypatch.setattr(subsets, "MAX_EXACT_CELLS", 0)
    drawn = curve(panel(*problems), weighted_curve)
    assert [draws_for(count) for count in (1, 100, 400, 1_000, 25_000)] == [2_000, 2_000, 500, 200, 200]
    for exactly, found in zip(counted[:-1], drawn[:-1], strict=True):
        assert 0 < found.error < 0.5 / math.sqrt(MOST_DRAWS)
        assert abs(found.accuracy - exactly.accuracy) <= 4 * found.error


def test_equal_weights_are_a_majority_vote_whatever_they_are() -> None:
    rows = [(form, form == 2, 0.3, 0.0) for form in (0, 0, 0, 1, 1, 2, 2, 2, 2, ABSTAINS) * 4]
    ks = [1, 3, 20, 40]
    found = weighted_curve(panel(rows), ks)
    assert found.values == pytest.approx(majority_curve(panel(rows), ks).values, abs=1e-12)
    assert not found.errors.any()


def test_weights_whose_sum_is_no_number_are_compared_in_another_unit() -> None:
    rows = [(0, False, 0.9, 0.0), (1, True, 1.0, 0.0), (1, True, 0.5, 0.0), (0, False, 0.5, 0.0)]
    found = [
        weighted_curve(panel([(*row[:2], row[2] * unit, 0.0) for row in rows]), [1, 2, 3, 4]) for unit in (1, 1.5e308)
    ]
    assert found[0].values == pytest.approx(found[1].values, abs=1e-12)


def test_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="weight: found a negative"):
        panel([(0, True, -1.0, 0.0)])
