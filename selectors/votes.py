"""What every selector sees and says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

Counts = Literal["answers", "scores", "weights"]  # what a sample needs for its vote to count


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One sample as a selector sees it."""

    sample_index: int
    answer: str | None  # as written; None abstains
    canonical_answer: str | None  # the answer's class; None abstains
    correct: bool | None  # carried along for the verdict, never looked at to reach it
    score: float | None = None  # from the selector's own source of scores, higher is better; None where it gave none


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """All finished samples of one problem in one arm, in order of their index."""

    problem_id: str
    votes: tuple[Vote, ...]

    def cast(self, counts: Counts = "answers") -> list[Vote]:
        """The votes that count."""
        return [vote for vote in self.votes if why_withheld(vote, counts) is None]


def why_withheld(vote: Vote, counts: Counts) -> str | None:
    """Why a vote does not count; None if it does. Where weights count, one of 0 withholds it."""
    if vote.canonical_answer is None:
        return "no answer"
    if counts != "answers" and vote.score is None:
        return "no score"
    if counts == "weights" and vote.score is not None and vote.score <= 0:
        return "weight 0"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a selector picks, in words that follow its name."""

    counts: Counts = "answers"
    wins: str = "its own rule"
    ties: str = "its own rule"  # what decides between winners


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A selector's answer for one ballot. Without a single vote cast, the first five fields are None."""

    answer: str | None  # as the winner's first voter wrote it, or the sample that was picked
    canonical_answer: str | None
    correct: bool | None  # of that voter
    confidence: float | None  # votes / voters, or the share of what they weigh
    winner_index: int | None  # sample_index of that voter
    votes: int  # for the winner
    voters: int  # samples that cast a vote
    abstained: int  # samples that did not
    tied: bool  # whether the winner needed the tie rule
    tally: dict[str, int] = field(default_factory=dict)  # votes by class, largest first, then by first voter


class Selector(Protocol):
    """From a problem's samples to one answer.

    Must depend on the ballot alone: no clock, no I/O, no state. `Vote.correct` may be copied, never consulted.
    """

    def select(self, ballot: Ballot) -> Verdict: ...


def verdict_for(ballot: Ballot, winner: str | None, tally: dict[str, int], *, tied: bool) -> Verdict:
    """The verdict that gives the ballot to one class, in the words of its first voter."""
    shown = next((vote for vote in ballot.votes if winner is not None and vote.canonical_answer == winner), None)
    voters = sum(tally.values())
    votes = tally[winner] if winner is not None else 0
    return Verdict(
        answer=shown.answer if shown else None,
        canonical_answer=winner,
        correct=shown.correct if shown else None,
        confidence=votes / voters if voters else None,
        winner_index=shown.sample_index if shown else None,
        votes=votes,
        voters=voters,
        abstained=len(ballot.votes) - voters,
        tied=tied,
        tally=tally,
    )


def count_votes(ballot: Ballot) -> dict[str, int]:
    """Votes by class, largest first; among equals the class of the earliest voter first."""
    counts: dict[str, int] = {}
    for vote in ballot.votes:
        if vote.canonical_answer is not None:
            counts[vote.canonical_answer] = counts.get(vote.canonical_answer, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
