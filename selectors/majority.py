"""Majority vote over answer classes (self-consistency; Wang et al. 2022, arXiv:2203.11171)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from polythink.selectors.votes import Ballot, Rule, Verdict, count_votes, verdict_for

Ties = Literal["first", "seeded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Majority:
    """The class with most votes wins. Samples without an answer abstain.

    Ties: `first` takes the class whose earliest voter has the lowest sample_index (samples are exchangeable, so this
    is a fair pick); `seeded` draws uniformly among the tied classes, by a hash of (seed, problem_id).
    """

    ties: Ties = "first"
    seed: int = 0

    @property
    def rule(self) -> Rule:
        drawn = "a draw by the hash of seed and problem"
        return Rule(wins="most votes", ties=drawn if self.ties == "seeded" else "the class of the lowest index")

    def select(self, ballot: Ballot) -> Verdict:
        tally = count_votes(ballot)
        best = max(tally.values(), default=0)
        leaders = [form for form, votes in tally.items() if votes == best]
        return verdict_for(ballot, self._pick(ballot.problem_id, leaders), tally, tied=len(leaders) > 1)

    def _pick(self, problem_id: str, leaders: list[str]) -> str | None:
        if not leaders or self.ties == "first":
            return leaders[0] if leaders else None
        digest = hashlib.blake2b(f"{self.seed}\x1f{problem_id}".encode(), digest_size=8).digest()
        return sorted(leaders)[int.from_bytes(digest) % len(leaders)]  # sorted: the draw must not depend on order
