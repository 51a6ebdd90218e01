"""weighted@k: the expected correctness of a weighted vote over k of a problem's samples.

The class whose drawn votes weigh most wins; classes of equal weight share; the winner is as right as its drawn votes
are. There is no count that stands for the weights, so small problems are enumerated and large ones drawn from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np

from polythink.selectors.expectation import Expectation
from polythink.selectors.majorityk import majority_at
from polythink.selectors.panel import ABSTAINS, Flags, Ints, Panel, Reals

MAX_EXACT_CELLS = 500_000  # k-subsets times samples of a problem; above it, subsets are drawn instead
DRAWS = 2_000  # subsets drawn per problem and k: standard error at most 0.0112, less by the root of P on the curve
_EQUAL = 1e-9  # relative; sums of the same weights in another order differ by rounding


def weighted_curve(panel: Panel, ks: list[int], seed: int = 0) -> Expectation:
    """Expected correctness of the vote weighted by `panel.weight` over k samples.

    Exact where a problem has few enough k-subsets (MAX_EXACT_CELLS) or all its votes weigh the same, else the mean
    over DRAWS subsets drawn by the seed, with its standard error. A vote without weight (0 or NaN) elects nothing.
    """
    values = np.full((len(panel.samples), len(ks)), np.nan)
    errors = np.zeros_like(values)
    for p, samples in enumerate(panel.samples.tolist()):
        span = slice(panel.offsets[p], panel.offsets[p + 1])
        reached = [k for k in ks if k <= samples]
        found, error = weighted_at(panel.label[span], panel.weight[span], panel.hit[span], reached, seed)
        values[p, : len(reached)], errors[p, : len(reached)] = found, error
    return Expectation(values=values, errors=errors)


def weighted_at(label: Ints, weight: Reals, hit: Flags, ks: list[int], seed: int = 0) -> tuple[Reals, Reals]:
    """Expected correctness of the weighted vote over k of one problem's samples, and its standard error, [K] each.

    Args:
        label: [N] answer class; ABSTAINS for none.
        weight: [N] of the vote; NaN and 0 withhold it.
        hit: [N] whether the sample is right.
        ks: ascending, at most N.
        seed: of the draw, which depends on it and on the multiset of samples alone.
    """
    votes = _grouped(label, weight, hit)
    if not any(right for group in votes for _, right in group):
        return np.zeros(len(ks)), np.zeros(len(ks))
    if len({value for group in votes for value, _ in group}) == 1:
        sizes = tuple(len(group) for group in votes)
        rights = tuple(sum(right for _, right in group) for group in votes)
        return majority_at(len(label), sizes, rights, ks, seed)
    ballot = _Ballot(votes, len(label))
    drawn = [k for k in ks if comb(len(label), k) * len(label) > MAX_EXACT_CELLS]
    ranks = ballot.ranks(seed) if drawn else np.empty((0, 0))
    means, errors = [], []
    for k in ks:
        if k in drawn:
            results = ballot.correctness((ranks < k).astype(np.float64))
            means.append(results.mean())
            errors.append(results.std(ddof=1) / np.sqrt(len(results)))
        else:
            means.append(ballot.correctness(_subsets(len(label), k)).mean())
            errors.append(0.0)
    return np.array(means), np.array(errors)


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
        leading = (totals >= most * (1 - _EQUAL)) & (totals > 0)
        shares = (chosen @ self._rights) / np.maximum(chosen @ self._members, 1)
        return np.asarray((leading * shares).sum(axis=1) / np.maximum(leading.sum(axis=1), 1))

    def ranks(self, seed: int) -> Ints:
        """[DRAWS, N]: each row a random order of the samples, whose first k are a random k-subset for every k."""
        votes = str(seed).encode() + self._weights.tobytes() + self._rights.tobytes()
        rng = np.random.default_rng(int.from_bytes(hashlib.blake2b(votes, digest_size=16).digest()))
        return rng.permuted(np.tile(np.arange(self._samples), (DRAWS, 1)), axis=1)


def _places(groups: list[_Group]) -> Iterator[tuple[int, tuple[float, bool]]]:
    for column, group in enumerate(groups):
        for vote in group:
            yield column, vote


@lru_cache(maxsize=16)
def _subsets(samples: int, k: int) -> Reals:
    """Every k-subset as a row of ones and zeros."""
    chosen = np.zeros((comb(samples, k), samples))
    members = np.array(list(combinations(range(samples), k)))
    np.put_along_axis(chosen, members, 1.0, axis=1)
    return chosen
