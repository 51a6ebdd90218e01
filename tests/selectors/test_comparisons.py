"""Paired comparisons: the test is exact where it can be, holds its level, and finds a real difference."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.selectors.comparisons import compare, holm, sign_flips

SHARES = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=8)


@given(SHARES)
def test_few_problems_are_tested_by_all_flips(differences: list[float]) -> None:
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    expected = sum(total >= abs(sum(differences)) - 1e-9 for total in sums) / len(sums)
    assert sign_flips(np.array(differences)[:, None])[0] == pytest.approx(expected, abs=1e-12)


def test_arms_that_are_alike_seldom_seem_to_differ() -> None:
    values = np.random.default_rng(1).normal(size=(40, 1_000))
    found = (sign_flips(values) < 0.05).mean()
    assert 0.03 < found < 0.07
    assert sign_flips(values, 3).tolist() == sign_flips(values, 3).tolist()


def test_many_pairs_leave_room_for_a_clear_one() -> None:
    values = np.random.default_rng(4).normal(size=(40, 600))
    values[:, 0] += 3
    adjusted = holm(sign_flips(values))
    assert adjusted[0] <= 0.0101
    assert (adjusted[1:] > 0.01).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.randoms(use_true_random=False))
def test_holm_never_lowers_a_p_and_forgets_order(p_values: list[float], random: object) -> None:
    adjusted = holm(np.array(p_values))
    assert (adjusted >= np.array(p_values) - 1e-12).all() and (adjusted <= 1).all()
    order = list(range(len(p_values)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert holm(np.array(p_values)[order]).tolist() == pytest.approx(adjusted[order].tolist())


def test_a_real_difference_is_found_over_the_problems_in_common() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.2, 0.8, 60)
    arms = {
        "a": (np.arange(60), base),
        "b": (np.arange(60), base + 0.1 + rng.normal(0, 0.05, 60)),
        "c": (np.arange(50, 70), np.append(base[50:], rng.uniform(size=10))),
        "d": (np.arange(100, 110), base[:10]),
    }
    found = {(c.first, c.second): c for c in compare(arms)}
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    clear, equal = found["a", "b"], found["a", "c"]
    assert clear.low < clear.difference < clear.high < 0
    assert clear.p_value < clear.p_holm < 0.01 and clear.effect is not None and clear.effect < -1
    assert (equal.problems, equal.difference, equal.p_value, equal.effect) == (10, 0.0, 1.0, None)
    assert compare({"a": arms["a"]}) == compare({}) == []
