"""What samples that are still owed will cost, from samples that were paid. Pure.

A stratified estimate: the problems are the job's own, so each that was measured stands for itself by its mean, and
only the spread of samples within a problem makes it uncertain (Cochran, Sampling Techniques, 3rd ed., chapter 5).
Problems that were not measured are expected to cost the mean of those that were, with their spread (chapter 10). To the
error of the estimate comes the chance of the samples to come. A sum over many samples is near enough to normal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Ints = NDArray[np.int64]
Z = 1.959963984540054  # of a 95% interval
FEWEST = 8  # measured samples from which an interval is given


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """USD; 95% of such jobs end within. Symmetric: the expectation is its midpoint."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What one arm still costs."""

    expected: float  # USD
    own_variance: float  # USD^2, independent of other arms
    shared_sd: float  # USD, of problems nobody measured: hard ones are dear in every arm

    def interval(self) -> Interval:
        return total([self])


def estimate(costs: Reals, problem: Ints, owed: Ints) -> Estimate | None:
    """The cost of an arm's owed samples; None if too few were measured.

    Args:
        costs: [S] USD of each measured sample.
        problem: [S] which problem it is of, from 0; -1 for one that the job does not have.
        owed: [P] samples to come, of each of the job's problems.

    >>> found = estimate(np.array([1.0, 3.0] * 8), np.array([0, 0, 1, 1] * 4), np.array([5, 5]))
    >>> found.expected, found.shared_sd
    (20.0, 0.0)
    """
    if len(costs) < FEWEST:
        return None
    groups, place = np.unique(problem, return_inverse=True)
    counts = np.bincount(place).astype(np.float64)
    means = np.bincount(place, weights=costs) / counts
    within, between = _variances(costs, means[place], means, counts)
    measured = np.zeros(len(owed), dtype=np.bool_)
    measured[groups[groups >= 0]] = True
    strange = owed[~measured].astype(np.float64)
    weights = np.full(len(groups), strange.sum() / len(groups))  # how often each measured mean is paid
    weights[groups >= 0] += owed[groups[groups >= 0]]
    return Estimate(
        expected=float(weights @ means),
        own_variance=within * float((weights**2 / counts).sum() + owed.sum()),
        shared_sd=math.sqrt(between * float((strange**2).sum() + strange.sum() ** 2 / len(groups))),
    )


def _variances(costs: Reals, fitted: Reals, means: Reals, counts: Reals) -> tuple[float, float]:
    """Of samples within a problem, and of problems. Where a pilot cannot tell them apart, each is given all of it."""
    overall, of_means = float(np.var(costs, ddof=1)), float(np.var(means, ddof=1)) if len(means) > 1 else 0.0
    freedom = len(costs) - len(means)
    if freedom < FEWEST:
        return overall, of_means or overall
    within = float(((costs - fitted) ** 2).sum()) / freedom
    return within, max(0.0, of_means - within * float((1 / counts).mean()))


def total(estimates: Iterable[Estimate]) -> Interval:
    """The interval of several arms together."""
    arms = list(estimates)
    expected = sum(arm.expected for arm in arms)
    spread = Z * math.hypot(math.sqrt(sum(arm.own_variance for arm in arms)), sum(arm.shared_sd for arm in arms))
    return Interval(expected=expected, low=max(0.0, expected - spread), high=expected + spread)


def pilot_ordinals(problems: int, arms: int, samples: int, wanted: int, seed: int) -> Ints:
    """The numbers, in a `Grid`, of a pilot of about so many samples: whole rounds, then problems drawn by the seed.

    Every arm is asked the same problems; at least one, at most all the job has.

    >>> pilot_ordinals(2, 2, 5, 8, 0).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    per_arm = min(max(1, -(-wanted // arms)), problems * samples)
    rounds, rest = divmod(per_arm, problems)
    drawn = np.sort(np.random.default_rng(seed).permutation(problems)[:rest])
    rows = np.concatenate([np.arange(rounds * problems), rounds * problems + drawn])
    return (rows[:, None] * arms + np.arange(arms)).ravel().astype(np.int64)
