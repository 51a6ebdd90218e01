"""Curves with a closed form in counts: pass@k, pass^k, and the first answer of k."""

from __future__ import annotations

import numpy as np

from polythink.selectors.expectation import Expectation, exact
from polythink.selectors.panel import Ints, Panel, Reals


def share_without(samples: Ints, members: Ints, ks: list[int]) -> Reals:
    """The share of k-subsets of so many samples that hold none of the members, [P, K], for ascending k.

    C(n - m, k) / C(n, k) as the product over j < k of (n - m - j) / (n - j), so that nothing overflows. NaN where
    n < k.
    """
    ratios = np.empty((len(samples), len(ks)))
    without, done = np.ones(len(samples)), 0
    for column, k in enumerate(ks):
        for j in range(done, k):
            without *= np.maximum(samples - members - j, 0) / np.maximum(samples - j, 1)
        ratios[:, column], done = without, k
    ratios[samples[:, None] < np.array(ks, dtype=np.int64)] = np.nan
    return ratios


def pass_at(samples: Ints, correct: Ints, k: int) -> Reals:
    """Unbiased pass@k per problem, [P]: 1 - C(n - c, k) / C(n, k); NaN where n < k.

    From Chen et al. 2021, arXiv:2107.03374.

    >>> pass_at(np.array([2, 1]), np.array([1, 1]), 2).tolist()
    [1.0, nan]
    """
    return 1.0 - share_without(samples, correct, [k])[:, 0]


def pass_curve(panel: Panel, ks: list[int]) -> Expectation:
    """pass@k: the chance that at least one of k samples is right."""
    return exact(1.0 - share_without(panel.samples, panel.correct, ks))


def all_curve(panel: Panel, ks: list[int]) -> Expectation:
    """pass^k: the chance that all of k samples are right, C(c, k) / C(n, k) (Yao et al. 2024, arXiv:2406.12045)."""
    return exact(share_without(panel.samples, panel.samples - panel.correct, ks))


def first_curve(panel: Panel, ks: list[int]) -> Expectation:
    """Expected correctness of the first answered of k samples.

    The chance that any of the k has an answer, times the share of answers that are right: which of the answered
    comes first does not depend on how many there are.
    """
    answered = 1.0 - share_without(panel.samples, panel.voters, ks)
    share = panel.right_voters / np.maximum(panel.voters, 1)
    return exact(answered * share[:, None])
