"""The line over thinking and its band, laid beside refits made one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.selectors.bands import DRAWS
from polythink.selectors.panel import Ints
from polythink.selectors.thinking import ByProblem, ThinkingPoint, fit_log2, fitted, thinking_line, thinking_point

SAMPLES = 3


def arms(problems: int, amounts: list[int], seed: int, ungraded: bool) -> tuple[list[ThinkingPoint], list[ByProblem]]:
    rng = np.random.default_rng(seed)
    points, measured = [], []
    for number, amount in enumerate(amounts):
        accuracies = rng.integers(0, SAMPLES + 1, problems) / SAMPLES
        tokens = amount * rng.uniform(0.5, 1.5, problems * SAMPLES)
        tokens[rng.uniform(size=len(tokens)) < 0.2] = np.nan
        tokens[0] = amount
        graded = np.arange(problems)[1 if ungraded and number == 0 else 0 :]
        point = thinking_point(str(number), accuracies[graded], tokens)
        assert point is not None
        points.append(point)
        owner = np.repeat(np.arange(problems), SAMPLES)
        measured.append(ByProblem.of(problems, graded, accuracies[graded], owner, tokens))
    return points, measured


def refit(measured: list[ByProblem], drawn: Ints, at: float) -> float:
    """The line through the arms over the problems as drawn, each as often as it was."""
    places = []
    for arm in measured:
        count, right = arm.measured[drawn].sum(), arm.accuracy[drawn]
        if count and not np.isnan(right).all():
            places.append((np.log2(arm.tokens[drawn].sum() / count), np.nanmean(right)))
    if len({round(x, 9) for x, _ in places}) < 2:
        return float("nan")
    slope, intercept = np.polyfit([x for x, _ in places], [right for _, right in places], 1)
    return float(intercept + slope * np.log2(at))


@pytest.mark.parametrize("families", [np.arange(6), np.array([0, 0, 1, 1, 2, 2]), np.array([5, 1, 5, 5, 1, 3])])
@pytest.mark.parametrize("ungraded", [False, True])
def test_the_band_is_that_of_refits_to_the_same_draws(families: Ints, ungraded: bool) -> None:
    points, measured = arms(6, [900, 2_000, 7_000], seed=3, ungraded=ungraded)
    line = thinking_line("m", points, measured, families, seed=5)
    assert line is not None and line.fit == fit_log2(points)
    order, rng = list(dict.fromkeys(families.tolist())), np.random.default_rng(5)
    draws = [
        np.concatenate([np.flatnonzero(families == order[k]) for k in rng.integers(0, len(order), len(order))])
        for _ in range(DRAWS)
    ]
    for place in (0, 16, 32):
        lines = [refit(measured, drawn, line.tokens[place]) for drawn in draws]
        low, high = np.nanpercentile(lines, [2.5, 97.5])
        assert [line.low[place], line.high[place]] == pytest.approx([low, high], abs=1e-9)
    amounts = [point.mean_tokens for point in points]
    assert [line.tokens[0], line.tokens[-1]] == pytest.approx([min(amounts), max(amounts)])


@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 1)), min_size=2, max_size=6, unique_by=lambda p: p[0]))
def test_a_fitted_line_is_the_one_of_least_squares(places: list[tuple[int, float]]) -> None:
    tokens, accuracies = (np.array([column], dtype=np.float64) for column in zip(*places, strict=True))
    slope, intercept = np.polyfit(np.log2(tokens[0]), accuracies[0], 1)
    at = np.array([3.0, 9.0])
    assert fitted(tokens, accuracies, at)[0] == pytest.approx(intercept + slope * at, abs=1e-6)


def test_arms_that_do_not_think_bend_no_line() -> None:
    tokens, accuracies = np.array([[0.0, 1024.0, 4096.0, np.nan]]), np.array([[0.9, 0.2, 0.4, 0.1]])
    assert fitted(tokens, accuracies, np.array([11.0]))[0] == pytest.approx([0.3])
    assert np.isnan(fitted(tokens[:, :2], accuracies[:, :2], np.array([11.0]))).all()


def test_one_amount_of_thinking_makes_no_line() -> None:
    points, measured = arms(4, [1_000], seed=1, ungraded=False)
    assert thinking_line("m", points, measured, np.arange(4)) is None
