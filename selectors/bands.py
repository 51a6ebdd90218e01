"""Confidence bands by bootstrap over problems (percentile method; Efron and Tibshirani 1993, chapter 13).

Problems of one family (variants of a template, questions on one passage) stand or fall together, so whole families are
drawn: the cluster bootstrap (Davison and Hinkley 1997, section 3.8). A problem without a family is one of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from polythink.selectors.panel import Ints, Reals

DRAWS = 1_000
COVERAGE = 0.95
_BLOCK = 10_000_000  # family draws held at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Means over problems and their bands, one per column."""

    mean: Reals
    low: Reals
    high: Reals
    problems: list[int]  # that each mean is over


def bootstrap(
    values: Reals, seed: int = 0, draws: int = DRAWS, coverage: float = COVERAGE, *, families: Ints | None = None
) -> Band:
    """Mean over problems per column of [P, K] values, NaN left out, with its percentile band.

    The same families are drawn for every column, as many as there are, each with all its problems. A draw in which a
    column has no problem does not count for it. Every column needs at least one value.

    Args:
        values: [P, K].
        seed: of the draws.
        draws: how many.
        coverage: share of the draws that the band holds.
        families: [P] of each problem, any numbering; None: each is one of its own.
    """
    present = ~np.isnan(values)
    filled = np.where(present, values, 0.0)
    sums, sizes = by_family(filled, families), by_family(present.astype(np.float64), families)
    means = np.concatenate([ratio(w @ sums, w @ sizes) for w in family_draws(len(sums), seed, draws)])
    low, high = percentiles(means, coverage)
    counts = present.sum(axis=0)
    return Band(mean=filled.sum(axis=0) / counts, low=low, high=high, problems=counts.tolist())


def by_family(values: Reals, families: Ints | None) -> Reals:
    """[F, K] sums over the problems of each family, in the order in which families first come; [P, K] values."""
    if families is None:
        return values
    _, first, member = np.unique(families, return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))  # so that families of one stay where their problem stands
    sums = np.zeros((len(first), values.shape[1]))
    np.add.at(sums, place[member], values)
    return sums


def family_draws(families: int, seed: int, draws: int) -> Iterator[Reals]:
    """How often each family was drawn, in blocks of [B, F]: as many families as there are, with replacement."""
    rng = np.random.default_rng(seed)
    size = max(1, _BLOCK // families)
    for done in range(0, draws, size):
        drawn = (rng.integers(0, families, families) for _ in range(min(size, draws - done)))
        yield np.stack([np.bincount(each, minlength=families) for each in drawn]).astype(np.float64)


def percentiles(drawn: Reals, coverage: float = COVERAGE) -> tuple[Reals, Reals]:
    """Both ends of the band that holds so much of what was drawn, per column of [D, K]; NaN left out."""
    tail = 100 * (1 - coverage) / 2
    low, high = np.nanpercentile(drawn, [tail, 100 - tail], axis=0)
    return low, high


def standard_error(values: Reals, families: Ints | None = None) -> float:
    """Of the mean over [P] problems, those of a family varying together (Liang and Zeger 1986); NaN for one family.

    With families of one it is the standard deviation over the root of the number of problems.
    """
    apart = by_family((values - values.mean())[:, None], families)[:, 0]
    count = len(apart)
    if count < 2:
        return float("nan")
    return float(np.sqrt((apart**2).sum() * count / (count - 1)) / len(values))


def ratio(sums: Reals, sizes: Reals) -> Reals:
    """Means of what was drawn; NaN where nothing was."""
    return np.where(sizes > 0, sums / np.maximum(sizes, 1), np.nan)
