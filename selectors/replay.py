"""What stopping early would have saved on samples that are all there, and at what cost in accuracy. Pure.

Every problem is replayed in several random orders of its samples, drawn by a seed: one order is one draw of many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polythink.selectors.bands import standard_error
from polythink.selectors.greedy import Greedy, allocate
from polythink.selectors.panel import ABSTAINS, Flags, Ints, Panel, Reals
from polythink.selectors.stopping import Beta, Dirichlet, StoppingRule, Window, stops_at

ORDERS = 10  # random orders of each problem's samples
RULES: tuple[StoppingRule, ...] = (
    Beta(confidence=0.9), Beta(confidence=0.95), Beta(confidence=0.99), Dirichlet(confidence=0.95),
    Window(size=4), Window(size=8),
)  # fmt: skip
BUDGETS = (Greedy(share=0.25), Greedy(share=0.5))


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
    budgets: Sequence[Greedy] = BUDGETS,
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
    for greedy in budgets:
        budget = greedy.budget(int(panel.samples.sum()))
        used = [allocate([problem.tolist() for problem in each], budget, greedy) for each in labels]
        found.append(_replayed(greedy.name, panel, used, _accuracies(labels, hits, used), fixed))
    return found


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
