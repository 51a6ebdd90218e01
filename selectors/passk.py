"""pass@k: the chance that at least one of k samples is right (Chen et al. 2021, arXiv:2107.03374)."""

from __future__ import annotations

import numpy as np

from polythink.selectors.panel import Ints, Panel, Reals


def pass_at(samples: Ints, correct: Ints, k: int) -> Reals:
    """Unbiased pass@k per problem, [P]: 1 - C(n - c, k) / C(n, k), as a product so that nothing overflows.

    The share of k-subsets without a hit is the product over j < k of (n - c - j) / (n - j). NaN where n < k.

    >>> pass_at(np.array([2, 1]), np.array([1, 1]), 2).tolist()
    [1.0, nan]
    """
    missed = np.ones(len(samples))
    for j in range(k):
        missed *= np.maximum(samples - correct - j, 0) / np.maximum(samples - j, 1)
    return np.where(samples >= k, 1.0 - missed, np.nan)


def pass_curve(panel: Panel, ks: list[int]) -> Reals:
    """pass@k per problem and k, [P, K]; NaN where the problem has fewer than k samples."""
    return np.stack([pass_at(panel.samples, panel.correct, k) for k in ks], axis=1)


def first_curve(panel: Panel, ks: list[int]) -> Reals:
    """Expected correctness of the first answered of k samples, [P, K]; NaN where n < k.

    The chance that any of the k has an answer, times the share of answers that are right: which of the answered
    comes first does not depend on how many there are.
    """
    answered = np.stack([pass_at(panel.samples, panel.voters, k) for k in ks], axis=1)
    share = panel.right_voters / np.maximum(panel.voters, 1)
    return answered * share[:, None]
