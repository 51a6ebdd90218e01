"""A score for every vote, from wherever a selector takes it: SQL, a function, a judge's verdicts, what was graded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from polythink.selectors.judging import judging_job_id
from polythink.selectors.panel import Flags, Logits, Reals
from polythink.selectors.registry import SelectorConfig
from polythink.selectors.rewards import kept_scores
from polythink.selectors.samples import Samples
from polythink.selectors.scorer import learned_scores
from polythink.selectors.scorer_model import model_file
from polythink.selectors.sources import expression_scores
from polythink.selectors.verdicts import judged
from polythink.selectors.votes import Ballot
from polythink.storage.archive import Archive
from polythink.storage.schema import SCORES

Ballots = Sequence[tuple[slice, Ballot]]  # where in the samples each stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Scores of S samples in B ballots."""

    scores: Reals  # [S] NaN where there is none, and of samples without an answer
    known: Flags  # [S] whether its source has said of the sample what it has to say, be it that it has no score
    decided: Flags  # [S] whether all was heard that its ballot needs
    cost_usd: list[float | None]  # [B] what asking for verdicts cost; None where nothing did
    source: str  # the expression, the function, the judging job, or the file of the model
    logits: Logits | None = None  # [S] of a learned scorer
    model: str | None = None  # of a learned scorer, to be kept


def score(
    archive: Archive, job_id: str, config: SelectorConfig, samples: Samples, ballots: Ballots, seed: int = 0
) -> Scored | None:
    """What the selector goes by; None if by votes alone.

    Raises ValueError for an expression or a function that misfits, and for a scorer with too little to learn from.
    """
    kind, settings = config.kind, config.settings
    if kind.judge is not None:
        return _by_judge(archive, job_id, config, samples, ballots)
    answered = np.array([answer is not None for answer in samples.answer], dtype=np.bool_)
    known, logits, model = answered, None, None
    if (function := kind.function(settings)) is not None:
        source = function
        found, known = kept_scores(archive, job_id, samples, source)
    elif (expression := kind.expression(settings)) is not None:
        source = expression
        found = expression_scores(archive, job_id, samples, source)
    elif kind.learns:
        source = model_file(config.row_name)
        learned = learned_scores(archive, job_id, config.row_name, settings, samples, ballots, seed)
        found, known, logits, model = learned.scores, learned.known, learned.logits, learned.model
    else:
        return None
    scores = np.where(answered, found, np.nan)
    if config.name == "weighted" and ((scores < 0) | np.isinf(scores)).any():
        raise ValueError("gives a negative or infinite weight; make it a number of at least 0, or null")
    return Scored(
        scores=np.where(np.isinf(scores), np.nan, scores),  # what is infinite compares with nothing
        known=known & answered,
        decided=_whole(ballots, known | ~answered),
        cost_usd=[None] * len(ballots),
        source=source,
        logits=logits,
        model=model,
    )


def _whole(ballots: Ballots, known: Flags) -> Flags:
    """[S] whether all samples of its ballot are known."""
    whole = known.copy()
    for span, _ in ballots:
        whole[span] = known[span].all()
    return whole


def _by_judge(archive: Archive, job_id: str, config: SelectorConfig, samples: Samples, ballots: Ballots) -> Scored:
    scores, decided = np.full(len(samples), np.nan), np.zeros(len(samples), dtype=np.bool_)
    costs = []
    named = [(samples.arm_id[span.start], ballot) for span, ballot in ballots]
    for (span, _), found in zip(ballots, judged(archive, job_id, config, named), strict=True):
        decided[span] = found.ruling is not None
        scores[span] = [found.scores.get(index, np.nan) for index in samples.sample_index[span]]
        costs.append(found.cost_usd)
    source = judging_job_id(job_id, config.name, config.settings)
    known = decided & np.array([answer is not None for answer in samples.answer], dtype=np.bool_)
    return Scored(scores=scores, known=known, decided=decided, cost_usd=costs, source=source)


def score_rows(name: str, samples: Samples, scored: Scored) -> pa.Table:
    """The rows of `scores` of one selector: every sample that its source has spoken of."""
    places = np.flatnonzero(scored.known)
    columns = {
        "selector": pa.repeat(name, len(places)),
        "problem_id": pa.array(samples.problem_id, pa.string()).take(places),
        "arm_id": pa.array(samples.arm_id, pa.string()).take(places),
        "sample_index": pa.array(samples.sample_index, pa.int64()).take(places),
        "score": pa.array(scored.scores[places], from_pandas=True),  # NaN is null
        "source": pa.repeat(scored.source, len(places)),
    }
    return pa.table(columns, schema=SCORES.arrow)


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
