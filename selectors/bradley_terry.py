"""Strengths from comparisons: the Bradley-Terry model, P(i beats j) = s_i / (s_i + s_j).

Estimated by the MM iteration of Hunter 2004 (MM algorithms for generalized Bradley-Terry models, Annals of Statistics
32(1), 384-406), equation 3. Each candidate also wins half and loses half of one game against an opponent of strength 1:
this prior keeps the strengths of who wins, or loses, everything finite, and fixes their scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_ITERATIONS = 500
_SETTLED = 1e-10  # largest relative change of a strength
_DIGITS = 9  # that a score keeps: candidates of equal results tie whatever the order of sums


def strengths(candidates: Sequence[int], shares: Mapping[tuple[int, int], float]) -> dict[int, float]:
    """The chance of each candidate to beat an average one, s / (1 + s), from 0 to 1.

    `shares` gives, by pair, the part of a game that its first member won: 1 all, 0 nothing, 0.5 a tie.

    >>> strengths([3, 5], {(3, 5): 0.5})
    {3: 0.5, 5: 0.5}
    """
    place = {candidate: n for n, candidate in enumerate(candidates)}
    size = len(candidates)
    games, wins = np.zeros((size, size)), np.full(size, 0.5)
    for (one, other), share in shares.items():
        i, j = place[one], place[other]
        games[i, j] += 1
        games[j, i] += 1
        wins[i] += share
        wins[j] += 1 - share
    found = np.ones(size)
    for _ in range(_ITERATIONS):
        weights = (games / (found[:, None] + found[None, :])).sum(axis=1) + 1 / (found + 1)
        renewed = wins / weights
        change = np.abs(renewed / found - 1).max(initial=0.0)
        found = renewed
        if change < _SETTLED:
            break
    return {candidate: round(float(s / (1 + s)), _DIGITS) for candidate, s in zip(candidates, found, strict=True)}
