"""Accuracy over measured thinking: one point per arm, and a model's line through its arms over log2 of the tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from polythink.selectors.bands import DRAWS, bootstrap, by_family, family_draws, percentiles, ratio
from polythink.selectors.panel import Ints, Reals

LINE_PLACES = 33  # at which the band of a line is given
_SAME = 1e-12  # squared spread of log2 tokens below which arms think alike


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingLine:
    """A model's fitted line from its least to its most thinking arm, with its 95% band."""

    model: str
    fit: ThinkingFit
    tokens: list[float]  # ascending, at equal ratios: where the band is given
    low: list[float]  # of the line there; below 0 and above 1 where the line goes there
    high: list[float]

    def at(self, tokens: float) -> float:
        """The line's accuracy there."""
        return self.fit.intercept + self.fit.slope * float(np.log2(tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class ByProblem:
    """An arm over the N problems of its job: what a point of the line is made of."""

    accuracy: Reals  # [N] share of right samples; NaN where the problem was not graded
    tokens: Reals  # [N] sum of the thinking tokens that are known
    measured: Reals  # [N] samples whose tokens are known

    @classmethod
    def of(cls, count: int, graded: Ints, accuracies: Reals, owner: Ints, tokens: Reals) -> ByProblem:
        """From the numbers of the graded problems and their accuracies, and each sample's problem and tokens."""
        accuracy, known = np.full(count, np.nan), ~np.isnan(tokens)
        accuracy[graded] = accuracies
        return cls(
            accuracy=accuracy,
            tokens=np.bincount(owner[known], tokens[known], minlength=count).astype(np.float64),
            measured=np.bincount(owner[known], minlength=count).astype(np.float64),
        )


def thinking_point(
    arm_id: str, accuracies: Reals, tokens: Reals, seed: int = 0, *, families: Ints | None = None
) -> ThinkingPoint | None:
    """The arm's point; None where no problem was graded or no sample's thinking tokens are known.

    Args:
        arm_id: the arm.
        accuracies: [P] per graded problem, the share of its samples that are right.
        tokens: [S] thinking tokens of each sample; NaN where the server did not say, or that does not count.
        seed: of the band's draws.
        families: [P] of each problem; None: each is one of its own.
    """
    known = tokens[~np.isnan(tokens)]
    if not len(known) or not len(accuracies):
        return None
    band = bootstrap(accuracies[:, None], seed, families=families)
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


def thinking_line(
    model: str, points: Sequence[ThinkingPoint], measured: Sequence[ByProblem], families: Ints, seed: int = 0
) -> ThinkingLine | None:
    """The line through a model's arms and its band; None where there is no line.

    The band is a bootstrap over problems, whole families of them, that draws the same ones for every arm: of each draw
    the arms' accuracies and mean tokens are taken, a line fitted, and read off between the least and the most thinking
    arm. A draw that leaves fewer than two different amounts of thinking does not count.

    Args:
        model: whose arms they are.
        points: of A arms.
        measured: of the same arms, each over N problems.
        families: [N] of each problem, any numbering.
        seed: of the draws.
    """
    fit = fit_log2(points)
    if fit is None:
        return None
    amounts = [point.mean_tokens for point in points if point.mean_tokens > 0]
    at = np.linspace(np.log2(min(amounts)), np.log2(max(amounts)), LINE_PLACES)
    lines = [fitted(tokens, accuracies, at) for tokens, accuracies in _drawn_arms(measured, families, seed)]
    low, high = percentiles(np.concatenate(lines))
    return ThinkingLine(model=model, fit=fit, tokens=(2**at).tolist(), low=low.tolist(), high=high.tolist())


def fitted(tokens: Reals, accuracies: Reals, at: Reals) -> Reals:
    """[D, X] least-squares lines over log2 of the tokens of [D, A] arms, read off at [X]; arms of 0 or NaN left out.

    NaN where fewer than two different amounts are left.
    """
    known = (tokens > 0) & ~np.isnan(accuracies)
    counts = np.maximum(known.sum(axis=1, keepdims=True), 1)
    x, y = np.log2(np.where(known, tokens, 1.0)), np.where(known, accuracies, 0.0)
    middle, level = x.sum(axis=1, keepdims=True) / counts, y.sum(axis=1, keepdims=True) / counts
    dx = np.where(known, x - middle, 0.0)
    spread = (dx**2).sum(axis=1, keepdims=True)
    slope = (dx * y).sum(axis=1, keepdims=True) / np.where(spread > _SAME, spread, np.nan)
    return np.asarray(level + slope * (at - middle))


def _drawn_arms(measured: Sequence[ByProblem], families: Ints, seed: int) -> Iterator[tuple[Reals, Reals]]:
    """Mean tokens and accuracy of each arm over each draw, [B, A]; NaN where the draw has none."""
    accuracy = np.stack([each.accuracy for each in measured], axis=1)
    graded = ~np.isnan(accuracy)
    columns = (np.where(graded, accuracy, 0.0), graded, *_stacked(measured))
    right, counts, tokens, samples = (by_family(column.astype(np.float64), families) for column in columns)
    for weights in family_draws(len(right), seed, DRAWS):
        yield ratio(weights @ tokens, weights @ samples), ratio(weights @ right, weights @ counts)


def _stacked(measured: Sequence[ByProblem]) -> tuple[Reals, Reals]:
    return np.stack([each.tokens for each in measured], axis=1), np.stack([each.measured for each in measured], axis=1)
