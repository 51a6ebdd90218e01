"""weighted@k: the expected correctness of a weighted vote over k of a problem's samples.

The class whose drawn votes weigh most wins; classes of equal weight share; the winner is as right as its drawn votes
are. There is no count that stands for the weights, so small problems are enumerated and large ones drawn from.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from polythink.selectors.expectation import Expectation
from polythink.selectors.majorityk import majority_at
from polythink.selectors.panel import ABSTAINS, Flags, Ints, Panel, Reals
from polythink.selectors.scored import EQUAL
from polythink.selectors.subsets import DRAWS, draws_for, over_subsets

_HUGE = 1e290  # weights beyond it might add up to infinity


def weighted_curve(panel: Panel, ks: list[int], seed: int = 0) -> Expectation:
    """Expected correctness of the vote weighted by `panel.weight` over k samples.

    Exact where a problem has few enough k-subsets (`over_subsets`) or all its votes weigh the same, else the mean
    over subsets drawn by the seed, as many as `draws_for` says, with its standard error. A vote without weight (0 or
    NaN) elects nothing.
    """
    values = np.full((len(panel.samples), len(ks)), np.nan)
    errors, draws = np.zeros_like(values), draws_for(max(len(panel.samples), 1))
    for p, samples in enumerate(panel.samples.tolist()):
        span = slice(panel.offsets[p], panel.offsets[p + 1])
        reached = [k for k in ks if k <= samples]
        found, error = weighted_at(panel.label[span], panel.weight[span], panel.hit[span], reached, seed, draws)
        values[p, : len(reached)], errors[p, : len(reached)] = found, error
    return Expectation(values=values, errors=errors)


def weighted_at(
    label: Ints, weight: Reals, hit: Flags, ks: list[int], seed: int = 0, draws: int = DRAWS
) -> tuple[Reals, Reals]:
    """Expected correctness of the weighted vote over k of one problem's samples, and its standard error, [K] each.

    Args:
        label: [N] answer class; ABSTAINS for none.
        weight: [N] of the vote; NaN and 0 withhold it.
        hit: [N] whether the sample is right.
        ks: ascending, at most N.
        seed: of the draw, which depends on it and on the multiset of samples alone.
        draws: subsets per k, where they are drawn.
    """
    largest = float(np.nanmax(weight, initial=0.0))
    votes = _grouped(label, weight / largest if largest > _HUGE else weight, hit)
    if not any(right for group in votes for _, right in group):
        return np.zeros(len(ks)), np.zeros(len(ks))
    if len({value for group in votes for value, _ in group}) == 1:
        sizes = tuple(len(group) for group in votes)
        rights = tuple(sum(right for _, right in group) for group in votes)
        return majority_at(len(label), sizes, rights, ks, seed)
    ballot = _Ballot(votes, len(label))
    return over_subsets(len(label), ks, ballot.correctness, seed=seed, votes=ballot.content(), draws=draws)


_Group = tuple[tuple[float, bool], ...]  # the votes of a class: weight, right


def _grouped(label: Ints, weight: Reals, hit: Flags) -> list[_Group]:
    """The votes that count, by class, in an order that depends on neither labels nor places."""
    groups: dict[int, list[tuple[float, bool]]] = {}
    for form, value, right in zip(label.tolist(), weight.tolist(), hit.tolist(), strict=True):
        if form != ABSTAINS and value > 0:
            groups.setdefault(form, []).append((value, right))
    return sorted(tuple(sorted(group)) for group in groups.values())


class _Ballot:
    """One problem's votes as matrices over its N samples; those that do not count stand last and weigh nothing."""

    def __init__(self, groups: list[_Group], samples: int) -> None:
        self._weights, self._members, self._rights = (np.zeros((samples, len(groups))) for _ in range(3))
        self._samples = samples
        for place, (column, (value, right)) in enumerate(_places(groups)):
            self._weights[place, column] = value
            self._members[place, column] = 1.0
            self._rights[place, column] = right

    def correctness(self, chosen: Reals) -> Reals:
        """[D] of subsets given as [D, N] of ones and zeros."""
        totals = chosen @ self._weights
        most = totals.max(axis=1, keepdims=True)
        leading = (totals >= most * (1 - EQUAL)) & (totals > 0)
        shares = (chosen @ self._rights) / np.maximum(chosen @ self._members, 1)
        return np.asarray((leading * shares).sum(axis=1) / np.maximum(leading.sum(axis=1), 1))

    def content(self) -> bytes:
        """All of it, whatever the places of the samples."""
        return self._weights.tobytes() + self._rights.tobytes()


def _places(groups: list[_Group]) -> Iterator[tuple[int, tuple[float, bool]]]:
    for column, group in enumerate(groups):
        for vote in group:
            yield column, vote
