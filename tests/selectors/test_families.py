"""Families of problems: whole ones are drawn and flipped, and repeating a problem in its family adds no certainty."""

from __future__ import annotations

from itertools import product
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.selectors.bands import bootstrap, by_family, family_draws, standard_error
from polythink.selectors.comparisons import compare, sign_flips
from polythink.selectors.curves import curve
from polythink.selectors.panel import Ints, Reals, count
from polythink.selectors.passk import pass_curve

VALUES = st.lists(
    st.lists(st.one_of(st.just(float("nan")), st.floats(0, 1)), min_size=2, max_size=2), min_size=1, max_size=12
).map(lambda rows: np.array([[0.5, 0.5], *rows]))


@given(VALUES, st.integers(0, 5))
def test_families_of_one_are_the_plain_bootstrap_draw_by_draw(values: Reals, seed: int) -> None:
    names = np.random.default_rng(seed).permutation(len(values)) * 7
    plain, grouped = bootstrap(values, seed, 50), bootstrap(values, seed, 50, families=names)
    for name in ("mean", "low", "high"):
        assert getattr(plain, name).tolist() == getattr(grouped, name).tolist()
    assert plain.problems == grouped.problems
    assert sign_flips(values - 0.5, seed).tolist() == sign_flips(values - 0.5, seed, names).tolist()


@given(VALUES, st.integers(0, 5), st.data())
def test_bands_are_those_of_families_drawn_one_by_one(values: Reals, seed: int, data: st.DataObject) -> None:
    families = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values))))
    order = list(dict.fromkeys(families.tolist()))
    rng, means = np.random.default_rng(seed), []
    for _ in range(40):
        drawn = [values[families == order[place]] for place in rng.integers(0, len(order), len(order))]
        rows = np.concatenate(drawn)
        means.append([c[~np.isnan(c)].mean() if not np.isnan(c).all() else np.nan for c in rows.T])
    band = bootstrap(values, seed, 40, families=families)
    low, high = np.nanpercentile(means, [2.5, 97.5], axis=0)
    assert band.low == pytest.approx(low, abs=1e-12, nan_ok=True)
    assert band.high == pytest.approx(high, abs=1e-12, nan_ok=True)


@given(st.integers(1, 5), st.integers(0, 3))
def test_repeating_every_problem_in_its_family_changes_no_band(copies: int, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(size=(30, 2))
    once, families = bootstrap(values, seed), np.repeat(np.arange(30), copies)
    repeated = bootstrap(np.repeat(values, copies, axis=0), seed, families=families)
    assert repeated.low == pytest.approx(once.low, abs=1e-12)
    assert repeated.high == pytest.approx(once.high, abs=1e-12)
    apart = np.repeat(values[:, 0], copies)
    assert standard_error(apart, families) == pytest.approx(standard_error(values[:, 0]), abs=1e-12)


def test_bands_that_know_nothing_of_families_shrink_by_the_root_of_the_copies() -> None:
    values = np.random.default_rng(7).uniform(size=(100, 1))
    once, copies = bootstrap(values, draws=4_000), 9
    naive = bootstrap(np.repeat(values, copies, axis=0), draws=4_000)
    assert (once.high - once.low) / (naive.high - naive.low) == pytest.approx(sqrt(copies), rel=0.1)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0])), min_size=1, max_size=20))
def test_signs_of_a_family_flip_together(problems: list[tuple[int, float]]) -> None:
    families, differences = (np.array(column) for column in zip(*problems, strict=True))
    sums = [differences[families == family].sum() for family in set(families.tolist())]
    totals = [abs(np.dot(signs, sums)) for signs in product((-1, 1), repeat=len(sums))]
    expected = np.mean([total >= abs(sum(sums)) - 1e-9 for total in totals])
    assert sign_flips(differences[:, None], families=families)[0] == pytest.approx(expected, abs=1e-12)


def test_arms_are_compared_by_the_families_of_their_problems() -> None:
    numbers, families = np.array([0, 2, 3, 5]), np.array([9, 1, 9, 9, 1, 4])
    found = compare({"a": (numbers, np.ones(4)), "b": (numbers, np.zeros(4))}, families=families)[0]
    assert found.p_value == pytest.approx(2 / 2**2)  # problems 0, 2 and 3 are one family, 5 another
    assert compare({"a": (numbers, np.ones(4)), "b": (numbers, np.zeros(4))})[0].p_value == pytest.approx(2 / 2**4)


def test_a_curve_takes_the_families_of_its_panel() -> None:
    problem, hit = np.repeat(np.arange(6), 2), np.repeat([True, True, True, False, False, False], 2)
    alone = count(problem, np.zeros(12, dtype=np.int64), hit, 6)
    halves = count(problem, np.zeros(12, dtype=np.int64), hit, 6, family=np.array([0, 0, 0, 1, 1, 1]))
    assert curve(halves, pass_curve)[0].low == 0 < curve(alone, pass_curve)[0].low
    assert curve(halves, pass_curve)[0].accuracy == curve(alone, pass_curve)[0].accuracy == 0.5


def test_the_error_of_a_mean_is_the_usual_one_where_families_are_of_one() -> None:
    values = np.random.default_rng(1).normal(size=25)
    assert standard_error(values) == pytest.approx(values.std(ddof=1) / 5, abs=1e-12)
    assert np.isnan(standard_error(values, np.zeros(25, dtype=np.int64)))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20).map(np.array))
def test_sums_by_family_keep_the_order_of_first_problems(families: Ints) -> None:
    values = np.arange(1.0, len(families) + 1)[:, None]
    order = dict.fromkeys(families.tolist())
    assert by_family(values, families)[:, 0].tolist() == [values[families == family].sum() for family in order]
    blocks = list(family_draws(len(order), 0, 7))
    assert sum(map(len, blocks)) == 7 and all((block.sum(axis=1) == len(order)).all() for block in blocks)
