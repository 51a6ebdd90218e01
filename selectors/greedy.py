"""A budget of samples spent in rounds, each on the problems whose votes are least decided. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from polythink.selectors.stopping import lead_probability, leaders

_PART = 4  # of the problems that can have more samples, one in so many gets some in a round


@dataclass(frozen=True, slots=True, kw_only=True)
class Greedy:
    """Budget-aware allocation: every problem gets a few samples, what is left goes round by round to the least decided.

    Least decided is a low probability that the leader beats the runner-up (the measure of Adaptive-Consistency,
    Aggarwal et al. 2023, arXiv:2305.11860); ties go to the problem with fewer samples, then to the first. A round looks
    at votes that are all in, so the same samples give the same rounds.
    """

    share: float = 0.5  # of all samples; the first of each problem are taken even where they are more
    at_least: int = 2  # samples of each problem before votes are compared
    wave: int = 2  # samples of a problem from one round to the next

    @property
    def name(self) -> str:
        """With its setting, as in `greedy 0.5 of all`."""
        return f"greedy {self.share:g} of all"

    def budget(self, samples: int) -> int:
        """Of so many samples, how many may be asked for.

        >>> Greedy(share=0.29).budget(100)
        29
        """
        return math.floor(self.share * samples + 1e-9)

    def chosen(self, leads: Sequence[float], used: Sequence[int], most: Sequence[int], left: int) -> list[int]:
        """The problems that get another wave, each cut to what it and the budget still have.

        Args:
            leads: [P] how sure each leader is, 0.5 to 1.
            used: [P] samples so far.
            most: [P] samples there can be.
            left: of the budget.
        """
        open_ones = [p for p, n in enumerate(used) if n < most[p]]
        ranked = sorted(open_ones, key=lambda p: (leads[p], used[p], p))[: -(-len(open_ones) // _PART)]
        taken = []
        for p in ranked:
            if left <= 0:
                break
            taken.append(p)
            left -= min(self.wave, most[p] - used[p])
        return taken


def lead(labels: Sequence[int]) -> float:
    """How sure the leader of these votes is.

    >>> lead([0, 0, 0]), lead([])
    (0.9375, 0.5)
    """
    first, second, *_ = [*leaders(labels), 0, 0]
    return lead_probability(first, second)


def allocate(labels: Sequence[Sequence[int]], budget: int, rule: Greedy) -> list[int]:
    """How many samples of each problem are asked for, given the classes of all that there could be.

    >>> allocate([[0, 0, 0, 0], [0, 1, 0, 1]], 6, Greedy())
    [2, 4]
    """
    most = [len(problem) for problem in labels]
    used = [min(rule.at_least, there) for there in most]
    left = budget - sum(used)
    leads = [lead(problem[:n]) for problem, n in zip(labels, used, strict=True)]
    while taken := rule.chosen(leads, used, most, left):
        for p in taken:
            more = min(rule.wave, most[p] - used[p], left)
            used[p], left = used[p] + more, left - more
            leads[p] = lead(labels[p][: used[p]])
    return used
