"""The samples of one arm counted for curves: per problem, how many, how many right, how the votes fell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]

ABSTAINS = -1  # class of a sample without an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """P problems in a fixed order, and the C answer classes that got votes, grouped by problem.

    Order of samples is forgotten: every curve is an expectation over subsets, and so cannot depend on it.
    """

    samples: Ints  # [P] finished samples, failed ones included
    correct: Ints  # [P] of them right
    starts: Ints  # [P + 1] classes of problem p are starts[p]:starts[p + 1]
    votes: Ints  # [C] votes of each class, ascending within a problem
    right: Ints  # [C] of these votes, how many are right

    @property
    def voters(self) -> Ints:
        """[P] samples that cast a vote."""
        sums = np.concatenate(([0], np.cumsum(self.votes)))
        return np.asarray(sums[self.starts[1:]] - sums[self.starts[:-1]], dtype=np.int64)

    @property
    def right_voters(self) -> Ints:
        """[P] votes cast for a right answer."""
        sums = np.concatenate(([0], np.cumsum(self.right)))
        return np.asarray(sums[self.starts[1:]] - sums[self.starts[:-1]], dtype=np.int64)


def count(problem: Ints, classes: Ints, correct: Flags, problems: int) -> Panel:
    """Count S samples of so many problems, each with at least one sample.

    Args:
        problem: [S] which problem, 0 to problems - 1.
        classes: [S] answer class, any numbering within a problem; ABSTAINS for none.
        correct: [S] whether the sample is right; a sample nobody graded is not.

    Raises ValueError if a problem has no sample.
    """
    samples = np.bincount(problem, minlength=problems)
    if len(samples) != problems or not samples.all():
        raise ValueError("every problem of a panel needs at least one sample")
    hits = np.bincount(problem, weights=correct, minlength=problems).astype(np.int64)
    owner, votes, right = _count_classes(problem, classes, correct)
    starts = np.searchsorted(owner, np.arange(problems + 1))
    return Panel(samples=samples.astype(np.int64), correct=hits, starts=starts, votes=votes, right=right)


def _count_classes(problem: Ints, classes: Ints, correct: Flags) -> tuple[Ints, Ints, Ints]:
    """Owner, votes and right votes of each class, sorted by owner, votes, right votes."""
    cast = classes != ABSTAINS
    pairs = np.stack((problem[cast], classes[cast]), axis=1)
    unique, member = np.unique(pairs, axis=0, return_inverse=True)
    votes = np.bincount(member.ravel(), minlength=len(unique)).astype(np.int64)
    right = np.bincount(member.ravel(), weights=correct[cast], minlength=len(unique)).astype(np.int64)
    order = np.lexsort((right, votes, unique[:, 0]))
    return unique[order, 0], votes[order], right[order]
