"""The samples of one arm as arrays for curves: per problem, how many, how many right, how the votes fell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]

ABSTAINS = -1  # class of a sample without an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Logits:
    """Log-odds that each of S samples is right, where they depend on which other samples are at hand."""

    own: Reals  # [S] whatever the others say; NaN where there are none
    by_share: Reals  # [S] for the share of the other votes that agree, 0..1
    by_spread: Reals  # [S] for the spread of the votes: classes but one over votes but one, 0..1

    def at(self, places: Ints) -> Logits:
        """Those of the samples at these places."""
        return Logits(own=self.own[places], by_share=self.by_share[places], by_spread=self.by_spread[places])


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """P problems in a fixed order with their S samples, and the C answer classes that got votes, grouped by problem.

    Order of samples carries no meaning: every curve is an expectation over subsets, and must not depend on it.
    """

    samples: Ints  # [P] finished samples, failed ones included
    correct: Ints  # [P] of them right
    starts: Ints  # [P + 1] classes of problem p are starts[p]:starts[p + 1]
    votes: Ints  # [C] votes of each class, ascending within a problem
    right: Ints  # [C] of these votes, how many are right
    offsets: Ints  # [P + 1] samples of problem p are offsets[p]:offsets[p + 1] of the columns below
    label: Ints  # [S] answer class, any numbering; ABSTAINS for none
    hit: Flags  # [S] whether the sample is right
    weight: Reals  # [S] of its vote, at least 0; NaN withholds the vote
    score: Reals  # [S] higher is better; NaN where nothing scored it
    family: Ints  # [P] any numbering; bands draw whole families of problems
    logits: Logits | None = None  # [S] of a learned scorer

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

    @property
    def owner(self) -> Ints:
        """[S] the problem of each sample."""
        return np.repeat(np.arange(len(self.samples)), self.samples)


def count(
    problem: Ints,
    classes: Ints,
    correct: Flags,
    problems: int,
    *,
    weight: Reals | None = None,
    score: Reals | None = None,
    family: Ints | None = None,
    logits: Logits | None = None,
) -> Panel:
    """Count S samples of so many problems, each with at least one sample.

    Args:
        problem: [S] which problem, 0 to problems - 1.
        classes: [S] answer class, any numbering within a problem; ABSTAINS for none.
        correct: [S] whether the sample is right; a sample nobody graded is not.
        problems: P.
        weight: [S] of each vote, at least 0, NaN to withhold it; None: every vote weighs 1.
        score: [S] of each sample, higher is better, NaN for none; None: nothing was scored.
        family: [P] of each problem; None: each is one of its own.
        logits: of a learned scorer, each [S].

    Raises ValueError if a problem has no sample, or a weight is negative or infinite.
    """
    samples = np.bincount(problem, minlength=problems)
    if len(samples) != problems or not samples.all():
        raise ValueError("every problem of a panel needs at least one sample")
    if weight is not None and ((weight < 0) | np.isinf(weight)).any():
        raise ValueError("weight: found a negative or infinite one; give numbers of at least 0, NaN for no vote")
    order = np.argsort(problem, kind="stable")
    hits = np.bincount(problem, weights=correct, minlength=problems).astype(np.int64)
    owner, votes, right = _count_classes(problem, classes, correct)
    return Panel(
        samples=samples.astype(np.int64),
        correct=hits,
        starts=np.searchsorted(owner, np.arange(problems + 1)),
        votes=votes,
        right=right,
        offsets=np.concatenate(([0], np.cumsum(samples))).astype(np.int64),
        label=classes[order],
        hit=correct[order],
        weight=np.ones(len(problem)) if weight is None else weight[order],
        score=np.full(len(problem), np.nan) if score is None else score[order],
        family=np.arange(problems) if family is None else family,
        logits=None if logits is None else logits.at(order),
    )


def _count_classes(problem: Ints, classes: Ints, correct: Flags) -> tuple[Ints, Ints, Ints]:
    """Owner, votes and right votes of each class, sorted by owner, votes, right votes."""
    cast = classes != ABSTAINS
    span = int(classes.max(initial=0)) + 1
    unique, member = np.unique(problem[cast] * span + classes[cast], return_inverse=True)
    votes = np.bincount(member, minlength=len(unique)).astype(np.int64)
    right = np.bincount(member, weights=correct[cast], minlength=len(unique)).astype(np.int64)
    owner = unique // span
    order = np.lexsort((right, votes, owner))
    return owner[order], votes[order], right[order]
