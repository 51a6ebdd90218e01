"""Confidence bands by bootstrap over problems (percentile method; Efron and Tibshirani 1993, chapter 13)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polythink.selectors.panel import Reals

DRAWS = 1_000
COVERAGE = 0.95
_BLOCK = 10_000_000  # problem draws held at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Means over problems and their bands, one per column."""

    mean: Reals
    low: Reals
    high: Reals
    problems: list[int]  # that each mean is over


def bootstrap(values: Reals, seed: int = 0, draws: int = DRAWS, coverage: float = COVERAGE) -> Band:
    """Mean over problems per column of [P, K] values, NaN left out, with its percentile band.

    The same problems are drawn for every column. A draw in which a column has no problem does not count for it.
    Every column needs at least one value.
    """
    present = ~np.isnan(values)
    filled = np.where(present, values, 0.0)
    rng = np.random.default_rng(seed)
    size = max(1, _BLOCK // len(values))
    means = np.concatenate([_resample(filled, present, rng, min(size, draws - done)) for done in range(0, draws, size)])
    tail = 100 * (1 - coverage) / 2
    low, high = np.nanpercentile(means, [tail, 100 - tail], axis=0)
    counts = present.sum(axis=0)
    return Band(mean=filled.sum(axis=0) / counts, low=low, high=high, problems=counts.tolist())


def _resample(filled: Reals, present: np.ndarray, rng: np.random.Generator, draws: int) -> Reals:
    problems = len(filled)
    times = np.stack([np.bincount(rng.integers(0, problems, problems), minlength=problems) for _ in range(draws)])
    weights = times.astype(np.float64)
    counts = weights @ present
    return np.where(counts > 0, weights @ filled / np.maximum(counts, 1), np.nan)
