"""The first answered sample: what one would get without sampling in parallel. A baseline."""

from __future__ import annotations

from dataclasses import dataclass

from polythink.selectors.votes import Ballot, Rule, Verdict, count_votes, verdict_for

RULE = Rule(wins="the lowest index with an answer", ties="none is needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The answer of the lowest sample_index that has one. Nothing to tie; confidence is its class's share of votes."""

    def select(self, ballot: Ballot) -> Verdict:
        cast = ballot.cast()
        return verdict_for(ballot, cast[0].canonical_answer if cast else None, count_votes(ballot), tied=False)
