"""The k-subsets of one problem's samples: all of them where they are few, else drawn by a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np

from polythink.selectors.panel import Ints, Reals

MAX_EXACT_CELLS = 500_000  # k-subsets times samples of a problem; above it, subsets are drawn instead
DRAWS = 2_000  # subsets drawn per problem and k: standard error at most 0.0112, less by the root of P on the curve
MOST_DRAWS = 200_000  # for all problems of a panel: standard error of the curve at most 0.0012
LEAST_DRAWS = 200  # per problem all the same: standard error at most 0.0354


def draws_for(problems: int) -> int:
    """How many subsets to draw of each of so many problems: the more there are, the less each matters to the curve.

    >>> draws_for(1), draws_for(400), draws_for(25_000)
    (2000, 500, 200)
    """
    return min(DRAWS, max(LEAST_DRAWS, MOST_DRAWS // problems))


def over_subsets(
    samples: int,
    ks: Sequence[int],
    correctness: Callable[[Reals], Reals],
    *,
    seed: int,
    votes: bytes,
    draws: int = DRAWS,
) -> tuple[Reals, Reals]:
    """The mean of `correctness` over the k-subsets of N samples, and its standard error, [K] each.

    All subsets are gone through where they times N are at most MAX_EXACT_CELLS; else some are drawn.

    Args:
        samples: N.
        ks: ascending, at most N.
        correctness: of D subsets given as [D, N] of ones and zeros, [D].
        seed: of the draw.
        votes: what the samples are, in an order that their places do not decide; the draw depends on it.
        draws: how many are drawn.
    """
    drawn = [k for k in ks if k < samples and comb(samples, k) * samples > MAX_EXACT_CELLS]
    ranks = _ranks(samples, seed, votes, draws) if drawn else np.empty((0, 0))
    means, errors = [], []
    for k in ks:
        results = correctness((ranks < k).astype(np.float64) if k in drawn else _every(samples, k))
        means.append(results.mean())
        errors.append(drawn_error(results) if k in drawn else 0.0)
    return np.array(means), np.array(errors)


def drawn_error(results: Reals) -> float:
    """The standard error of the mean of drawn results, each 0 to 1, of which there are at least two.

    Never 0, which says of a mean that it was counted: results that all agree are as good as n + 2 of which one is
    otherwise (Laplace's rule of succession: p (1 - p) / n with p = (n + 1) / (n + 2)).

    >>> round(drawn_error(np.ones(2_000)), 5), round(drawn_error(np.array([0.0, 1.0] * 1_000)), 5)
    (0.0005, 0.01118)
    """
    n = len(results)
    return float(max(results.std(ddof=1), np.sqrt(n + 1) / (n + 2)) / np.sqrt(n))


def _ranks(samples: int, seed: int, votes: bytes, draws: int) -> Ints:
    """[D, N]: each row a random order of the samples, whose first k are a random k-subset for every k."""
    digest = hashlib.blake2b(str(seed).encode() + votes, digest_size=16).digest()
    rng = np.random.default_rng(int.from_bytes(digest))
    return rng.permuted(np.tile(np.arange(samples), (draws, 1)), axis=1)


@lru_cache(maxsize=16)
def _every(samples: int, k: int) -> Reals:
    """Every k-subset as a row of ones and zeros."""
    chosen = np.zeros((comb(samples, k), samples))
    members = np.array(list(combinations(range(samples), k)))
    np.put_along_axis(chosen, members, 1.0, axis=1)
    return chosen
