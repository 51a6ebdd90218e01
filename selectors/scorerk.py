"""A learned scorer at k: the expected correctness of its choice among k of a problem's samples.

How many others agree depends on which samples are at hand, so a score of all N would be another scorer's at k < N. The
log-odds are linear: a part of the sample's own, and weights for agreement and spread, which are counted in each subset.
"""

from __future__ import annotations

import numpy as np

from polythink.selectors.expectation import Expectation
from polythink.selectors.panel import ABSTAINS, Flags, Ints, Logits, Panel, Reals
from polythink.selectors.passk import share_without
from polythink.selectors.subsets import DRAWS, draws_for, over_subsets

_EQUAL = 1e-9  # of log-odds, and relative of sums of probabilities: they differ by rounding


def scorer_curve(panel: Panel, ks: list[int], *, is_weighted: bool, seed: int = 0) -> Expectation:
    """Expected correctness of the likeliest of k samples, or of the class with the largest sum of probabilities.

    Ties are shared. Exact for k = 1, for all samples, where no vote or every vote of a problem is right, and where it
    has few enough k-subsets (`over_subsets`); else the mean over drawn subsets, with its standard error. Raises
    ValueError for a panel without `logits`.
    """
    if panel.logits is None:
        raise ValueError("a scorer's curve needs the log-odds of the panel's samples")
    values = np.full((len(panel.samples), len(ks)), np.nan)
    errors, draws = np.zeros_like(values), draws_for(max(len(panel.samples), 1))
    for p, samples in enumerate(panel.samples.tolist()):
        span = np.arange(panel.offsets[p], panel.offsets[p + 1])
        reached = [k for k in ks if k <= samples]
        found = scorer_at(
            panel.label[span],
            panel.logits.at(span),
            panel.hit[span],
            reached,
            is_weighted=is_weighted,
            seed=seed,
            draws=draws,
        )
        values[p, : len(reached)], errors[p, : len(reached)] = found
    return Expectation(values=values, errors=errors)


def scorer_at(
    label: Ints, logits: Logits, hit: Flags, ks: list[int], *, is_weighted: bool, seed: int = 0, draws: int = DRAWS
) -> tuple[Reals, Reals]:
    """Expected correctness over k of one problem's N samples, and its standard error, [K] each.

    Args:
        label: [N] answer class; ABSTAINS for none.
        logits: [N] each; a sample without is never chosen.
        hit: [N] whether the sample is right.
        ks: ascending, at most N.
        is_weighted: whether classes are chosen by their sums, in place of samples.
        seed: of the draw, which depends on it and on the multiset of samples alone.
        draws: how many subsets, where not all are gone through.
    """
    votes = (label != ABSTAINS) & ~np.isnan(logits.own)
    if not hit[votes].any():
        return np.zeros(len(ks)), np.zeros(len(ks))
    if hit[votes].all():
        without = share_without(np.array([len(label)]), np.array([votes.sum()]), ks)
        return 1.0 - without[0], np.zeros(len(ks))
    ballot = _Ballot(label, logits, hit, np.flatnonzero(votes))
    choose = ballot.weighted if is_weighted else ballot.best
    sampled = [k for k in ks if k > 1]
    content = ballot.content(is_weighted)
    means, errors = over_subsets(len(label), sampled, choose, seed=seed, votes=content, draws=draws)
    if len(sampled) < len(ks):  # one sample is chosen if it has a vote
        means, errors = np.concatenate(([hit[votes].sum() / len(label)], means)), np.concatenate(([0.0], errors))
    return means, errors


class _Ballot:
    """One problem's votes, sorted by what they say; those that do not count stand last."""

    def __init__(self, label: Ints, logits: Logits, hit: Flags, votes: Ints) -> None:
        groups: dict[int, list[tuple[float, float, float, bool]]] = {}
        for i in votes.tolist():
            vote = (logits.own[i], logits.by_share[i], logits.by_spread[i], bool(hit[i]))
            groups.setdefault(int(label[i]), []).append(vote)
        ordered = sorted(sorted(group) for group in groups.values())
        rows = np.array([vote for group in ordered for vote in group])
        self._own, self._by_share, self._by_spread, self._hit = rows.T
        self._sizes = np.array([len(group) for group in ordered])
        self._starts = np.concatenate(([0], np.cumsum(self._sizes)))[:-1]

    def content(self, is_weighted: bool) -> bytes:
        """All of it, whatever the places of the samples."""
        columns = (self._own, self._by_share, self._by_spread, self._hit, self._sizes)
        return bytes([is_weighted]) + b"".join(column.tobytes() for column in columns)

    def best(self, chosen: Reals) -> Reals:
        """[D] of subsets given as [D, N] of ones and zeros: the share of right ones among the likeliest."""
        mine = chosen[:, : len(self._own)]
        odds = np.where(mine > 0, self._log_odds(mine), -np.inf)
        most = odds.max(axis=1, keepdims=True)
        leading = (odds >= most - _EQUAL) & (mine > 0)
        return np.asarray((leading * self._hit).sum(axis=1) / np.maximum(leading.sum(axis=1), 1))

    def weighted(self, chosen: Reals) -> Reals:
        """[D] of subsets given as [D, N] of ones and zeros: the share of right votes in the likeliest class."""
        mine = chosen[:, : len(self._own)]
        totals = self._by_class(mine * probability(self._log_odds(mine)))
        leading = (totals >= totals.max(axis=1, keepdims=True) * (1 - _EQUAL)) & (totals > 0)
        shares = self._by_class(mine * self._hit) / np.maximum(self._by_class(mine), 1)
        return np.asarray((leading * shares).sum(axis=1) / np.maximum(leading.sum(axis=1), 1))

    def _log_odds(self, mine: Reals) -> Reals:
        """[D, V] of every vote, as if the chosen ones were all there are."""
        counts = self._by_class(mine)
        votes = counts.sum(axis=1, keepdims=True)
        others = np.maximum(votes - 1, 1)
        share = np.repeat((counts - 1) / others, self._sizes, axis=1)
        spread = ((counts > 0).sum(axis=1, keepdims=True) - 1) / others
        return np.asarray(self._own + self._by_share * share + self._by_spread * spread)

    def _by_class(self, values: Reals) -> Reals:
        """[D, C] sums over the votes of each class, of [D, V]."""
        return np.asarray(np.add.reduceat(values, self._starts, axis=1))


def probability(log_odds: Reals) -> Reals:
    """Log-odds as chances, 0 to 1."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * log_odds)))
