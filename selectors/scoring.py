"""A score for every vote, from wherever a selector takes it: SQL over traces, or the verdicts of its judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from polythink.selectors.panel import Flags, Reals
from polythink.selectors.registry import SelectorConfig
from polythink.selectors.samples import Samples
from polythink.selectors.sources import expression_scores
from polythink.selectors.verdicts import judged
from polythink.selectors.votes import Ballot
from polythink.storage.archive import Archive

Ballots = Sequence[tuple[slice, Ballot]]  # where in the samples each stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Scores of S samples in B ballots."""

    scores: Reals  # [S] NaN where there is none, and of samples without an answer
    decided: Flags  # [S] whether all was heard that its ballot needs
    cost_usd: list[float | None]  # [B] what asking for verdicts cost; None where nothing did


def score(archive: Archive, job_id: str, config: SelectorConfig, samples: Samples, ballots: Ballots) -> Scored | None:
    """What the selector goes by; None if by votes alone. Raises ValueError for an expression that fails or misfits."""
    if config.kind.judge is not None:
        return _by_judge(archive, job_id, config, samples, ballots)
    if config.kind.expression is None:
        return None
    found = expression_scores(archive, job_id, samples, config.kind.expression(config.settings))
    found[[answer is None for answer in samples.answer]] = np.nan
    if config.name == "weighted" and ((found < 0) | np.isinf(found)).any():
        raise ValueError("weighted.by: gives a negative or infinite weight; make it a number of at least 0, or null")
    return Scored(scores=found, decided=np.ones(len(samples), dtype=np.bool_), cost_usd=[None] * len(ballots))


def _by_judge(archive: Archive, job_id: str, config: SelectorConfig, samples: Samples, ballots: Ballots) -> Scored:
    scores, decided = np.full(len(samples), np.nan), np.zeros(len(samples), dtype=np.bool_)
    costs = []
    named = [(samples.arm_id[span.start], ballot) for span, ballot in ballots]
    for (span, _), found in zip(ballots, judged(archive, job_id, config, named), strict=True):
        decided[span] = found.ruling is not None
        scores[span] = [found.scores.get(index, np.nan) for index in samples.sample_index[span]]
        costs.append(found.cost_usd)
    return Scored(scores=scores, decided=decided, cost_usd=costs)


def marked(ballots: Ballots, scored: Scored | None) -> list[tuple[int, slice, Ballot]]:
    """The decided ballots with the scores of their votes, and the place of each among all ballots."""
    if scored is None:
        return [(place, span, ballot) for place, (span, ballot) in enumerate(ballots)]
    return [
        (place, span, _with_scores(ballot, scored.scores[span]))
        for place, (span, ballot) in enumerate(ballots)
        if scored.decided[span].all()
    ]


def _with_scores(ballot: Ballot, scores: Reals) -> Ballot:
    pairs = zip(ballot.votes, scores.tolist(), strict=True)
    return replace(ballot, votes=tuple(replace(vote, score=None if np.isnan(s) else s) for vote, s in pairs))
