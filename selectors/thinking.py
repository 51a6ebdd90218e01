"""Accuracy over measured thinking: one point per arm, and the line through them over log2 of the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polythink.selectors.bands import bootstrap
from polythink.selectors.panel import Reals


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingPoint:
    """One arm: how long it thought, how often it was right."""

    arm_id: str
    mean_tokens: float  # thinking tokens per sample, over samples where they are known
    median_tokens: float
    measured: int  # samples where they are known
    accuracy: float  # 0..1, mean over problems of the share of right samples; unanswered ones are wrong
    low: float  # 0..1, bootstrap over problems
    high: float
    problems: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingFit:
    """Least squares over arms that think: accuracy = intercept + slope * log2(mean thinking tokens)."""

    intercept: float
    slope: float  # accuracy gained per doubling of thinking tokens
    r_squared: float | None  # None where every arm is equally accurate
    arms: int


def thinking_point(arm_id: str, accuracies: Reals, tokens: Reals, seed: int = 0) -> ThinkingPoint | None:
    """The arm's point; None where no problem was graded or no sample's thinking tokens are known.

    Args:
        arm_id: the arm.
        accuracies: [P] per graded problem, the share of its samples that are right.
        tokens: [S] thinking tokens of each sample; NaN where the server did not say.
    """
    known = tokens[~np.isnan(tokens)]
    if not len(known) or not len(accuracies):
        return None
    band = bootstrap(accuracies[:, None], seed)
    return ThinkingPoint(
        arm_id=arm_id,
        mean_tokens=float(known.mean()),
        median_tokens=float(np.median(known)),
        measured=len(known),
        accuracy=float(band.mean[0]),
        low=float(band.low[0]),
        high=float(band.high[0]),
        problems=band.problems[0],
    )


def fit_log2(points: Sequence[ThinkingPoint]) -> ThinkingFit | None:
    """The line over arms that think at all; None with fewer than two different amounts of thinking."""
    thinking = [point for point in points if point.mean_tokens > 0]
    if len({point.mean_tokens for point in thinking}) < 2:
        return None
    x = np.log2([point.mean_tokens for point in thinking])
    y = np.array([point.accuracy for point in thinking])
    dx, dy = x - x.mean(), y - y.mean()
    slope = float(dx @ dy / (dx @ dx))
    spread = float(dy @ dy)
    residual = float(((dy - slope * dx) ** 2).sum())
    return ThinkingFit(
        intercept=float(y.mean() - slope * x.mean()),
        slope=slope,
        r_squared=1 - residual / spread if spread > 0 else None,
        arms=len(thinking),
    )
