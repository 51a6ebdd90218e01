"""How well scores tell right from wrong: by rank, and as probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polythink.selectors.panel import Flags, Ints, Reals

BINS = 10  # of equal width, for calibration


def auc(score: Reals, right: Flags, group: Ints) -> float | None:
    """The chance that a right sample scores above a wrong one of the same group, ties counting half.

    All pairs of all groups weigh the same. None if no group has both right and wrong samples. With one group it is the
    area under the ROC curve (Hanley and McNeil 1982).

    >>> auc(np.array([0.1, 0.9, 0.9]), np.array([False, True, False]), np.zeros(3, dtype=np.int64))
    0.75
    """
    _, group = np.unique(group, return_inverse=True)
    _, tied = np.unique(score, return_inverse=True)
    tie, size = np.unique(group * (len(score) + 1) + tied, return_inverse=True, return_counts=True)[1:]
    below = np.concatenate(([0], np.cumsum(size)))[:-1]  # samples of lower groups or scores
    rank = below[tie] + (size[tie] + 1) / 2
    total, rights = np.bincount(group), np.bincount(group, weights=right)
    start = np.concatenate(([0], np.cumsum(total)))[:-1]
    sums = np.bincount(group, weights=right * (rank - start[group]))
    above = sums - rights * (rights + 1) / 2
    pairs = float((rights * (total - rights)).sum())
    return float(above.sum() / pairs) if pairs else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Samples that were given about the same chance."""

    samples: int
    expected: float  # 0..1, mean of what they were given
    right: float  # 0..1, share that is right


def bins(chance: Reals, right: Flags) -> list[Bin]:
    """The samples by tenths of the chance that they were given; empty tenths are left out."""
    tenth = np.minimum((chance * BINS).astype(np.int64), BINS - 1)
    return [
        Bin(samples=int(inside.sum()), expected=float(chance[inside].mean()), right=float(right[inside].mean()))
        for inside in (tenth == number for number in range(BINS))
        if inside.any()
    ]


def calibration_error(found: list[Bin]) -> float:
    """Expected calibration error: the mean distance of chance and share, samples weighing the same (Naeini 2015)."""
    return sum(b.samples * abs(b.expected - b.right) for b in found) / sum(b.samples for b in found)


def brier(chance: Reals, right: Flags) -> float:
    """The mean squared distance of chance and truth (Brier 1950)."""
    return float(((chance - right) ** 2).mean())
