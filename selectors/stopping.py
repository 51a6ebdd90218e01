"""When a problem's vote is decided, so that no more samples of it need be paid for. Pure.

A rule looks at the answer classes of the samples so far, in the order of their index, and at nothing else: the same
samples give the same decision, whenever they arrived.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Protocol

import numpy as np

from polythink.selectors.panel import ABSTAINS, Reals

_NODES = 400  # of the quadrature; its error is below 1e-9


class StoppingRule(Protocol):
    """Decides on one problem in one arm."""

    @property
    def name(self) -> str:
        """With its setting, as in `beta 0.95`."""
        ...

    @property
    def at_least(self) -> int:
        """Samples before it may stop."""
        ...

    @property
    def wave(self) -> int:
        """Samples from one look to the next."""
        ...

    def is_decided(self, labels: Sequence[int], left: int) -> bool:
        """Whether no more samples are wanted after these: the class of each, ABSTAINS for none; so many are left."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Beta:
    """Stops when the leader will be ahead of the runner-up after all samples, with this probability.

    Source: Adaptive-Consistency, Aggarwal et al. 2023, arXiv:2305.11860, section 3. There the question is whether the
    leader's share is the larger one, which no number of samples settles where two answers are level; here it is whether
    the samples that are left would still change the vote. The more are left, the less the two differ.
    """

    confidence: float = 0.95
    at_least: int = 4
    wave: int = 2

    @property
    def name(self) -> str:
        return f"beta {self.confidence:g}"

    def is_decided(self, labels: Sequence[int], left: int) -> bool:
        first, second, *_ = [*leaders(labels), 0, 0]
        return first > 0 and holding_probability(first, second, left) > self.confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Dirichlet:
    """Stops when the leader beats every other answer that was given with this probability.

    Source: Adaptive-Consistency, arXiv:2305.11860, section 3 and appendix; there by sampling, here by quadrature.
    """

    confidence: float = 0.95
    at_least: int = 4
    wave: int = 2

    @property
    def name(self) -> str:
        return f"dirichlet {self.confidence:g}"

    def is_decided(self, labels: Sequence[int], left: int) -> bool:
        votes = leaders(labels)
        return bool(votes) and top_probability(votes) > self.confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Stops after a window of samples that all gave the same answer; windows do not overlap.

    Source: early-stopping self-consistency, Li et al. 2024, arXiv:2401.10480, section 2.
    """

    size: int = 4

    @property
    def name(self) -> str:
        return f"window {self.size}"

    @property
    def at_least(self) -> int:
        return self.size

    @property
    def wave(self) -> int:
        return self.size

    def is_decided(self, labels: Sequence[int], left: int) -> bool:
        last = labels[-self.size :]
        return len(last) == self.size and len(set(last)) == 1 and last[0] != ABSTAINS


def stops_at(rule: StoppingRule, labels: Sequence[int]) -> int:
    """How many of the samples a rule would have asked for, if these are all there can be.

    >>> stops_at(Window(size=3), [0, 1, 0, 0, 0, 0, 0]), stops_at(Beta(confidence=0.95), [0] * 40)
    (6, 4)
    """
    n = rule.at_least
    while n < len(labels):
        if rule.is_decided(labels[:n], len(labels) - n):
            return n
        n += rule.wave
    return len(labels)


@lru_cache(maxsize=65_536)
def lead_probability(first: int, second: int) -> float:
    """P(p1 > p2) after so many votes for each, under a uniform prior over their shares.

    >>> lead_probability(0, 0), lead_probability(3, 0)
    (0.5, 0.9375)
    """
    tosses = first + second + 1
    return float(sum(math.comb(tosses, heads) for heads in range(first + 1)) / 2**tosses)


@lru_cache(maxsize=65_536)
def holding_probability(first: int, second: int, left: int) -> float:
    """P(the first is ahead after so many votes more, all for one of the two), a tie counted half; same prior.

    The votes still to come are beta-binomial: P(x of them for the first) is
    C(first + x, x) C(second + left - x, left - x) / C(first + second + left + 1, left).

    >>> holding_probability(3, 0, 2), holding_probability(3, 0, 3), round(holding_probability(3, 0, 100), 3)
    (1.0, 0.9857142857142858, 0.941)
    """
    halves = sum(
        math.comb(first + x, x) * math.comb(second + left - x, left - x) * (1 + _sign(first + 2 * x - second - left))
        for x in range(left + 1)
    )
    return halves / (2 * math.comb(first + second + left + 1, left))


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


@lru_cache(maxsize=65_536)
def top_probability(votes: tuple[int, ...]) -> float:
    """P(the first share is the largest) after these votes, under a uniform prior over the shares of these answers.

    Shares are Dirichlet(v + 1): independent gammas over their sum. The chance that the first gamma is the largest is
    the integral of its density times the others' distribution functions.

    >>> round(top_probability((3, 0)), 9), round(top_probability((2, 2, 2)), 9)
    (0.9375, 0.333333333)
    """
    shape = votes[0] + 1
    top = shape + 12 * math.sqrt(shape) + 40
    nodes, weights = _legendre()
    x = (nodes + 1) * top / 2
    density = np.exp((shape - 1) * np.log(x) - x - math.lgamma(shape))
    for other, times in Counter(votes[1:]).items():
        j = np.arange(other + 1)[:, None]
        below = np.exp(j * np.log(x) - x - np.array([math.lgamma(k + 1) for k in range(other + 1)])[:, None]).sum(
            axis=0
        )
        density = density * (1.0 - below) ** times
    return float(min(1.0, (density * weights).sum() * top / 2))


@cache
def _legendre() -> tuple[Reals, Reals]:
    return np.polynomial.legendre.leggauss(_NODES)


def leaders(labels: Sequence[int]) -> tuple[int, ...]:
    """The votes of each class that has any, most first.

    >>> leaders([2, 0, 2, ABSTAINS])
    (2, 1)
    """
    return tuple(sorted(Counter(label for label in labels if label != ABSTAINS).values(), reverse=True))
