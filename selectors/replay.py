"""What stopping early would have saved on samples that are all there, and at what cost in accuracy. Pure.

Every problem is replayed in several random orders of its samples, drawn by a seed: one order is one draw of many.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polythink.selectors.bands import standard_error
from polythink.selectors.panel import ABSTAINS, Flags, Ints, Panel, Reals
from polythink.selectors.stopping import Beta, Dirichlet, StoppingRule, Window, lead_probability, stops_at

ORDERS = 10  # random orders of each problem's samples
RULES: tuple[StoppingRule, ...] = (
    Beta(confidence=0.9), Beta(confidence=0.95), Beta(confidence=0.99), Dirichlet(confidence=0.95),
    Window(size=4), Window(size=8),
)  # fmt: skip
BUDGETS = (0.25, 0.5)  # of all samples, for the greedy allocation
FIRST = 2  # samples of each problem before the greedy allocation compares them


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One rule on one arm: averages over problems and orders."""

    rule: str
    samples: float  # asked for, per problem
    of_samples: float  # there, per problem
    accuracy: float  # of the majority when it stops
    fixed_accuracy: float  # of the majority of all samples
    difference: float  # of the two, per problem
    error: float  # standard error of the difference, over problems, those of a family together; NaN for one family
    problems: int


def replay(
    panel: Panel,
    rules: Sequence[StoppingRule] = RULES,
    budgets: Sequence[float] = BUDGETS,
    *,
    seed: int = 0,
    orders: int = ORDERS,
) -> list[Replayed]:
    """Every rule on every problem of a panel, in so many orders of its samples; the budgets by greedy allocation."""
    rng = np.random.default_rng(seed)
    spans = [slice(panel.offsets[p], panel.offsets[p + 1]) for p in range(len(panel.samples))]
    drawn = [[rng.permutation(int(size)) for size in panel.samples] for _ in range(orders)]
    labels = [[panel.label[span][order] for span, order in zip(spans, each, strict=True)] for each in drawn]
    hits = [[panel.hit[span][order] for span, order in zip(spans, each, strict=True)] for each in drawn]
    fixed = _accuracies(labels, hits, [panel.samples.tolist()] * orders)
    found = []
    for rule in rules:
        used = [[stops_at(rule, problem.tolist()) for problem in each] for each in labels]
        found.append(_replayed(rule.name, panel, used, _accuracies(labels, hits, used), fixed))
    for share in budgets:
        used = [allocate([problem.tolist() for problem in each], int(share * panel.samples.sum())) for each in labels]
        found.append(_replayed(f"greedy {share:g} of all", panel, used, _accuracies(labels, hits, used), fixed))
    return found


def allocate(labels: Sequence[Sequence[int]], budget: int) -> list[int]:
    """How many samples of each problem are asked for if the next always goes to the vote that is least decided.

    Each gets `FIRST` before votes are compared, as far as the budget reaches; undecided is a low probability that the
    leader beats the runner-up. Ties go to the problem with fewer samples, then to the first.

    >>> allocate([[0, 0, 0, 0], [0, 1, 0, 1]], 6)
    [2, 4]
    """
    used = [0] * len(labels)
    for p, problem in enumerate(labels):
        used[p] = min(FIRST, len(problem), max(0, budget - sum(used[:p])))
    left = budget - sum(used)
    queue = [
        (_lead(problem[:n]), n, p) for p, (problem, n) in enumerate(zip(labels, used, strict=True)) if n < len(problem)
    ]
    heapq.heapify(queue)
    while left > 0 and queue:
        _, n, p = heapq.heappop(queue)
        used[p], left = n + 1, left - 1
        if used[p] < len(labels[p]):
            heapq.heappush(queue, (_lead(labels[p][: used[p]]), used[p], p))
    return used


def _lead(labels: Sequence[int]) -> float:
    counts: dict[int, int] = {}
    for label in labels:
        if label != ABSTAINS:
            counts[label] = counts.get(label, 0) + 1
    first, second, *_ = [*sorted(counts.values(), reverse=True), 0, 0]
    return lead_probability(first, second)


def _accuracies(labels: list[list[Ints]], hits: list[list[Flags]], used: Sequence[Sequence[int]]) -> Reals:
    """[P] how often, over the orders, the majority of the first so many samples is right."""
    right = [
        [_majority_is_right(problem[:n], hit[:n]) for problem, hit, n in zip(*each, strict=True)]
        for each in zip(labels, hits, used, strict=True)
    ]
    return np.asarray(np.mean(np.array(right, dtype=np.float64), axis=0))


def _majority_is_right(labels: Ints, hits: Flags) -> bool:
    """Of the class with most votes, among equals that of the earliest voter, the first voter's verdict."""
    voters = np.flatnonzero(labels != ABSTAINS)
    if not len(voters):
        return False
    _classes, first, counts = np.unique(labels[voters], return_index=True, return_counts=True)
    leaders = first[counts == counts.max()]
    return bool(hits[voters[leaders.min()]])


def _replayed(rule: str, panel: Panel, used: Sequence[Sequence[int]], accuracy: Reals, fixed: Reals) -> Replayed:
    apart = accuracy - fixed
    return Replayed(
        rule=rule,
        samples=float(np.mean(np.array(used))),
        of_samples=float(panel.samples.mean()),
        accuracy=float(accuracy.mean()),
        fixed_accuracy=float(fixed.mean()),
        difference=float(apart.mean()),
        error=standard_error(apart, panel.family),
        problems=len(apart),
    )
