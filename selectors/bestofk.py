"""best-of-k: the expected correctness of the best-scored of k of a problem's samples."""

from __future__ import annotations

import numpy as np

from polythink.selectors.expectation import Expectation, exact
from polythink.selectors.panel import Panel
from polythink.selectors.passk import share_without


def best_curve(panel: Panel, ks: list[int]) -> Expectation:
    """Expected correctness of the sample with the highest `panel.score` among k, over all k-subsets; exact.

    With a samples scored higher and m of equal score, the best of a random k-subset has that score with probability
    (C(n - a, k) - C(n - a - m, k)) / C(n, k), and is any of the m alike: ties are shared. A sample without a score
    is never picked; a subset without a single score is not right.
    """
    owner, score = panel.owner, panel.score
    order = np.lexsort((-score, owner))  # per problem the best first, those without a score last
    scored = ~np.isnan(score[order])
    owner, score, hit = owner[order][scored], score[order][scored], panel.hit[order][scored]
    if not len(score):
        return exact(share_without(panel.samples, np.zeros_like(panel.samples), ks) * 0.0)
    opens = np.flatnonzero(np.concatenate(([True], (np.diff(owner) != 0) | (np.diff(score) != 0))))
    members = np.diff(np.concatenate((opens, [len(score)])))
    group_owner = owner[opens]
    share = np.add.reduceat(hit.astype(np.float64), opens) / members
    above = opens - np.searchsorted(owner, group_owner)
    size = panel.samples[group_owner]
    reached = share_without(size, above, ks) - share_without(size, above + members, ks)
    values = np.zeros((len(panel.samples), len(ks)))
    np.add.at(values, group_owner, reached * share[:, None])
    values[panel.samples[:, None] < np.array(ks)] = np.nan
    return exact(values)
