"""Judging as a conversation without a sender: a judge says which prompts it wants answered, or what it rules.

Nothing here sends anything. `jobs` runs what is asked for as the samples of a job derived from the one that is judged;
a judge that is shown the same contest and the same replies always asks or rules the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from polythink.selectors.votes import Ballot

Replies = Mapping[str, Sequence[str | None]]  # by ask_id, the verdict of each vote as read; None: unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One prompt that a judge wants answered."""

    ask_id: str  # unique within its contest, the same in every process; without `|`
    shown: tuple[int, ...]  # sample_index of the candidates, in the order in which they are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """The candidates of one problem in one arm, by sample_index, ascending."""

    contest_id: str  # the arm and the problem
    candidates: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a judge found."""

    scores: Mapping[int, float]  # by sample_index, higher is better, at least 0; who is missing got no readable verdict
    replies: int  # heard
    unreadable: int  # of these


class Judge(Protocol):
    """A way of judging. Must depend on its arguments alone: no clock, no I/O, no state."""

    def step(self, contest: Contest, replies: Replies) -> tuple[Ask, ...] | Ruling:
        """What must be asked before anything else can be said, or the ruling. An ask without replies is asked again."""
        ...

    def prompt(self, ask: Ask, question: str, texts: Mapping[int, str]) -> str:
        """The user prompt of an ask. `texts` has those of the samples shown, never the gold answer."""
        ...


class Asking(Protocol):
    """Who has prompts answered by a job of their own: a selector that judges, or the equivalence of answers."""

    @property
    def name(self) -> str: ...

    @property
    def row_name(self) -> str:
        """As `jobs.selector` has it."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its options: at least model, reasoning, endpoint, max_tokens and votes."""
        ...


def contest_of(ballot: Ballot, arm_id: str, per: str) -> Contest:
    """The samples with an answer, each (`sample`) or the first of each class of equal answers (`answer`)."""
    seen: set[str] = set()
    candidates = []
    for vote in ballot.cast():
        if per == "answer" and vote.canonical_answer in seen:
            continue
        seen.add(vote.canonical_answer or "")
        candidates.append(vote.sample_index)
    return Contest(contest_id=contest_id(arm_id, ballot.problem_id), candidates=tuple(sorted(candidates)))


def contest_id(arm_id: str, problem_id: str) -> str:
    """Names the contest of a problem in an arm; before the id of an ask, it is a problem's of the derived job."""
    return f"{arm_id}|{problem_id}"


def spread(ballot: Ballot, scores: Mapping[int, float], per: str) -> dict[int, float]:
    """Scores by sample_index for every sample of the ballot that has one; with `answer`, its representative's."""
    if per != "answer":
        return dict(scores)
    by_class = {v.canonical_answer: scores[v.sample_index] for v in ballot.cast() if v.sample_index in scores}
    return {v.sample_index: by_class[v.canonical_answer] for v in ballot.cast() if v.canonical_answer in by_class}


def judging_job_id(job_id: str, kind: str, options: Mapping[str, Any]) -> str:
    """The id of the job that holds a judge's replies: the same for the same judge of the same job.

    How many votes are taken and what is done with the scores change no prompt, and so share the replies.
    """
    asked = {name: value for name, value in options.items() if name not in ("votes", "use", "per")}
    digest = hashlib.blake2b(json.dumps([kind, asked], sort_keys=True).encode(), digest_size=4)
    return f"{job_id}.{kind}-{digest.hexdigest()}"


def counted(asks: Sequence[Ask], replies: Replies) -> tuple[int, int]:
    """How many replies to these asks were heard, and how many of them could not be read."""
    heard = [reply for ask in asks for reply in replies[ask.ask_id]]
    return len(heard), heard.count(None)
