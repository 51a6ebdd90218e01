"""majority@k: the expected correctness of a majority vote over k of a problem's samples.

The expectation over all k-subsets, ties shared equally, has a closed form. Let class i have n_i of the N samples,
c_i of them right, and let a abstain. With t votes for the winner, it is the sum over t and i of

    c_i/n_i  C(n_i, t)  integral over y in [0, 1] of the coefficient of x^(k-t) in
    (1 + x)^a  product over l != i of ( sum over s < t of C(n_l, s) x^s  +  y C(n_l, t) x^t )

divided by C(N, k). Here y marks the classes tied with i: the integral of y^j is 1/(j + 1), the winner's share among
j + 1. The integrand is a polynomial in y, so Gauss-Legendre nodes integrate it exactly; every term is positive, so
nothing cancels; and one product holds every k, since its coefficients are indexed by subset size.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import comb

import numpy as np

from polythink.selectors.expectation import Expectation
from polythink.selectors.panel import Ints, Panel, Reals
from polythink.selectors.subsets import drawn_error

MAX_EXACT_WORK = 100_000_000  # multiply-adds per problem; above it, subsets are drawn instead
MAX_EXACT_SAMPLES = 900  # beyond it 2^-N leaves the range of floating point
DRAWS = 10_000  # subsets drawn per problem and k: standard error at most 0.005
_BLOCK = 1_000  # subsets drawn at a time

_Counts = tuple[int, ...]


def majority_curve(panel: Panel, ks: list[int], seed: int = 0) -> Expectation:
    """Expected correctness of the majority of k samples.

    Exact where the counting takes at most MAX_EXACT_WORK, else the mean over DRAWS subsets drawn by the seed, with
    its standard error.
    """
    values = np.full((len(panel.samples), len(ks)), np.nan)
    errors = np.zeros_like(values)
    known: dict[tuple[int, _Counts, _Counts], tuple[Reals, Reals]] = {}  # many problems fall out alike
    for p, samples in enumerate(panel.samples.tolist()):
        span = slice(panel.starts[p], panel.starts[p + 1])
        votes, right = tuple(panel.votes[span].tolist()), tuple(panel.right[span].tolist())
        reached = [k for k in ks if k <= samples]
        key = (samples, votes, right)
        if key not in known:
            known[key] = majority_at(samples, votes, right, reached, seed)
        values[p, : len(reached)], errors[p, : len(reached)] = known[key]
    return Expectation(values=values, errors=errors)


def majority_at(samples: int, votes: _Counts, right: _Counts, ks: list[int], seed: int = 0) -> tuple[Reals, Reals]:
    """Expected correctness of the majority of k of one problem's samples, and its standard error, [K] each.

    Args:
        samples: N, abstentions included.
        votes: n_i of each answer class.
        right: c_i, how many of these are right.
        ks: ascending, at most N.
        seed: of the draw, where there is one.
    """
    if not any(right):
        return np.zeros(len(ks)), np.zeros(len(ks))
    inner = [k for k in ks if k < samples]
    shares = np.array(right) / np.array(votes)
    whole = float(shares[np.array(votes) == max(votes)].mean())  # k = N: there is one subset
    rows = _rows(votes, right, max(inner, default=0))
    work = len(rows[0]) * (max(inner, default=0) + 1) * (sum(votes) + len(votes))
    if work <= MAX_EXACT_WORK and samples <= MAX_EXACT_SAMPLES:
        values, errors = _exact(samples, votes, shares, inner, rows), np.zeros(len(inner))
    else:
        values, errors = _drawn(samples, votes, right, inner, seed)
    last = len(ks) - len(inner)
    return np.append(values, [whole] * last), np.append(errors, [0.0] * last)


def _rows(votes: _Counts, right: _Counts, largest: int) -> tuple[Ints, Reals, Reals]:
    """The (t, y) pairs to evaluate, ascending in t, and the weight of each in the integral over y."""
    top = min(largest, max(n for n, c in zip(votes, right, strict=True) if c))
    levels: list[int] = []
    nodes, weights = [np.empty(0)], [np.empty(0)]
    for t in range(1, top + 1):
        rivals = min(sum(n >= t for n in votes), largest // t) - 1  # the degree in y
        y, weight = _nodes(rivals // 2 + 1)
        levels += [t] * len(y)
        nodes.append(y)
        weights.append(weight)
    return np.array(levels, dtype=np.int64), np.concatenate(nodes), np.concatenate(weights)


@cache
def _nodes(count: int) -> tuple[Reals, Reals]:
    """Gauss-Legendre nodes and weights on [0, 1]; exact for polynomials of degree 2 count - 1."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (nodes + 1) / 2, weights / 2


@cache
def _thinned(n: int) -> Reals:
    """C(n, s) / 2^n for s = 0..n: scaled so that products stay in range; the scale cancels in the end."""
    return np.array([comb(n, s) / 2**n for s in range(n + 1)])


def _exact(samples: int, votes: _Counts, shares: Reals, ks: list[int], rows: tuple[Ints, Reals, Reals]) -> Reals:
    """The closed form. `ways` holds the product over the classes so far, [0], and the ways one of them wins, [1]."""
    if not ks:
        return np.empty(0)
    levels, nodes, weights = rows
    ways = np.zeros((2, len(levels), max(ks) + 1))
    ways[0] = _free(samples, votes, levels, max(ks) + 1)
    *smaller, (most, share) = sorted(zip(votes, shares.tolist(), strict=True))
    for n, its_share in smaller:
        reach = int(np.searchsorted(levels, n, side="right"))  # rows whose t this class can reach
        ways[:, :reach] = _add_class(ways[:, :reach], levels[:reach], nodes[:reach], _thinned(n), its_share)
    won = weights @ _add_largest(ways, levels, nodes, _thinned(most), share, np.array(ks))
    return np.asarray(won / _thinned(samples)[ks])


def _free(samples: int, votes: _Counts, levels: Ints, width: int) -> Reals:
    """[rows, width] ways to draw what can neither win nor tie with t votes: abstentions, and the classes below t."""
    free = np.zeros((len(levels), width))
    bounds = np.searchsorted(levels, np.arange(1, int(levels[-1]) + 2)).tolist()
    for t, (first, last) in enumerate(pairwise(bounds), start=1):
        drawn = _thinned(samples - sum(n for n in votes if n >= t))[:width]
        free[first:last, : len(drawn)] = drawn
    return free


def _add_class(ways: Reals, levels: Ints, nodes: Reals, draws: Reals, share: float) -> Reals:
    """Multiply one class in: s of its votes drawn, s < t as a loser, s = t as a rival (y) or as the winner (share)."""
    width = ways.shape[2]
    bounds = np.searchsorted(levels, np.arange(min(len(draws), width) + 1)).tolist()
    found: Reals = ways * draws[0]
    for s in range(1, len(bounds) - 1):
        first, last, head = bounds[s], bounds[s + 1], width - s  # rows with t = s; those after have t > s
        found[:, last:, s:] += draws[s] * ways[:, last:, :head]
        found[:, first:last, s:] += (draws[s] * nodes[first:last])[:, None] * ways[:, first:last, :head]
        if share:
            found[1, first:last, s:] += draws[s] * share * ways[0, first:last, :head]
    return found


def _add_largest(ways: Reals, levels: Ints, nodes: Reals, draws: Reals, share: float, ks: Ints) -> Reals:
    """[rows, K] the ways that one class wins, the last multiplied in: no more is needed of it than these sizes."""
    others, won = ways
    rows, rest = np.arange(len(levels))[:, None], ks - levels[:, None]  # rest: of a subset, when the class has its t
    tied = nodes[:, None] * won[rows, rest] + share * others[rows, rest]
    found = np.where(rest >= 0, draws[levels][:, None] * tied, 0.0)
    contested = int(np.flatnonzero(won.any(axis=1)).max(initial=-1)) + 1  # rows in which another class can win
    bounds = np.searchsorted(levels, np.arange(int(levels[contested - 1]) + 1), side="right").tolist()
    for s in range(len(bounds) - 1 if contested else 0):
        first, column = bounds[s], int(np.searchsorted(ks, s))
        found[first:contested, column:] += draws[s] * won[first:contested, ks[column:] - s]
    return found


def _drawn(samples: int, votes: _Counts, right: _Counts, ks: list[int], seed: int) -> tuple[Reals, Reals]:
    """Mean over drawn subsets and its standard error. The draw depends on the seed and the counts alone."""
    rng = np.random.default_rng([seed, samples, *votes, *right])
    shares = np.array(right) / np.array(votes)
    pools = [*votes, samples - sum(votes)]
    results = np.empty((len(ks), DRAWS))
    for row, k in zip(results, ks, strict=True):
        for block in range(0, DRAWS, _BLOCK):
            tally = rng.multivariate_hypergeometric(pools, k, size=_BLOCK)[:, :-1]
            leading = (tally == tally.max(axis=1, keepdims=True)) & (tally > 0)
            row[block : block + _BLOCK] = leading @ shares / np.maximum(leading.sum(axis=1), 1)
    return results.mean(axis=1), np.array([drawn_error(row) for row in results])
