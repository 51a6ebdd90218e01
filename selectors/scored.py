"""Selection by a number per sample: the sample that scores highest, or the class whose votes weigh most."""

from __future__ import annotations

from dataclasses import dataclass, replace

from polythink.selectors.votes import Ballot, Rule, Verdict, Vote, count_votes, verdict_for, why_withheld

EQUAL = 1e-9  # relative; sums of the same weights in another order differ by rounding
BEST_RULE = Rule(counts="scores", wins="the highest score", ties="the lowest index")
WEIGHTED_RULE = Rule(counts="weights", wins="the largest sum of weights", ties="the class of the lowest index")


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """Best-of-n (Cobbe et al. 2021, arXiv:2110.14168): the answer with the highest score.

    Samples without an answer or a score are passed over. Ties: the lowest sample_index. Confidence is the share of
    votes that the answer's class got.
    """

    def select(self, ballot: Ballot) -> Verdict:
        scored = ballot.cast(BEST_RULE.counts)
        if not scored:
            return verdict_for(ballot, None, count_votes(ballot), tied=False)
        highest = max(vote.score or 0.0 for vote in scored)
        leaders = [vote for vote in scored if vote.score == highest]
        tied = len({vote.canonical_answer for vote in leaders}) > 1
        return _shown(verdict_for(ballot, leaders[0].canonical_answer, count_votes(ballot), tied=tied), leaders[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """Weighted majority (Li et al. 2022, arXiv:2206.02336): the class whose votes have the largest sum of scores.

    A vote without a score, or of score 0, abstains. Ties: the class of the lowest sample_index. Confidence is the
    winner's share of all weight. The winner is shown in the words of its first voter.
    """

    def select(self, ballot: Ballot) -> Verdict:
        counted = replace(ballot, votes=tuple(map(_withheld, ballot.votes)))
        weights: dict[str, float] = {}
        largest = max((vote.score or 0.0 for vote in counted.cast()), default=1.0)  # in units of it no sum overflows
        for vote in counted.cast():
            form, weight = vote.canonical_answer or "", (vote.score or 0.0) / largest
            weights[form] = weights.get(form, 0.0) + weight
        tally, most = count_votes(counted), max(weights.values(), default=0.0)
        leaders = [form for form, weight in weights.items() if weight >= most * (1 - EQUAL)]
        verdict = verdict_for(counted, leaders[0] if leaders else None, tally, tied=len(leaders) > 1)
        return replace(verdict, confidence=weights[leaders[0]] / sum(weights.values()) if leaders else None)


def _withheld(vote: Vote) -> Vote:
    return vote if why_withheld(vote, WEIGHTED_RULE.counts) is None else replace(vote, canonical_answer=None)


def _shown(verdict: Verdict, vote: Vote) -> Verdict:
    return replace(verdict, answer=vote.answer, correct=vote.correct, winner_index=vote.sample_index)
