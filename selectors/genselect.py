"""Picking among many candidates in one prompt; in windows and rounds where they are too many for one."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polythink.selectors.judge_prompts import choice, quoted
from polythink.selectors.judging import Ask, Contest, Replies, Ruling, counted

BEST = "the one whose final answer is most likely correct: check their work, and compare where they differ"
CONSISTENT = "the one that agrees best with the others: the most consistent with what most of them say"


@dataclass(frozen=True, slots=True, kw_only=True)
class Genselect:
    """Each window sends the candidate with most votes to the next round. Scores are the share of rounds survived.

    Within a window candidates are shown in an order drawn by a hash of contest and round, so that over many problems a
    liking for a place favours nobody. Equal votes, and no readable vote: the lowest sample_index.
    """

    window: int = 8
    criterion: str = BEST

    def step(self, contest: Contest, replies: Replies) -> tuple[Ask, ...] | Ruling:
        standing, survived, asked = list(contest.candidates), dict.fromkeys(contest.candidates, 0), list[Ask]()
        rounds = 0
        while len(standing) > 1:
            windows = _windows(standing, self.window)
            asks = [_ask(contest, rounds, shown) for shown in windows if len(shown) > 1]
            if wanted := tuple(ask for ask in asks if ask.ask_id not in replies):
                return wanted
            asked += asks
            passed = [shown[0] for shown in windows if len(shown) == 1]
            standing = sorted([*(_winner(ask, replies[ask.ask_id]) for ask in asks), *passed])
            rounds += 1
            for candidate in standing:
                survived[candidate] += 1
        heard, unreadable = counted(asked, replies)
        scores = {candidate: wins / max(rounds, 1) for candidate, wins in survived.items()}
        return Ruling(scores=scores, replies=heard, unreadable=unreadable)

    def prompt(self, ask: Ask, question: str, texts: Mapping[int, str]) -> str:
        size = len(ask.shown)
        return (
            f"{quoted(question, [texts[index] for index in ask.shown])}\n\n"
            f"Of these {size} candidates pick {self.criterion}.\n"
            "Neither length, nor confidence, nor the order in which they are shown is a merit.\n"
            "Then end with one line of exactly this form:\n"
            f"VERDICT: <number of the candidate, from 1 to {size}>"
        )


def _windows(standing: Sequence[int], window: int) -> list[list[int]]:
    """Windows of nearly equal size, none larger than `window`."""
    count = -(-len(standing) // window)
    return [list(standing[n::count]) for n in range(count)]


def _ask(contest: Contest, rounds: int, shown: Sequence[int]) -> Ask:
    def drawn(index: int) -> bytes:
        return hashlib.blake2b(f"{contest.contest_id}\x1f{rounds}\x1f{index}".encode(), digest_size=8).digest()

    order = tuple(sorted(shown, key=drawn))
    members = hashlib.blake2b(repr(order).encode(), digest_size=5).hexdigest()
    return Ask(ask_id=f"w{rounds}-{members}", shown=order)


def _winner(ask: Ask, votes: Sequence[str | None]) -> int:
    picks = Counter(ask.shown[pick - 1] for reply in votes if (pick := choice(reply, 1, len(ask.shown))) is not None)
    return min(ask.shown, key=lambda index: (-picks[index], index))
