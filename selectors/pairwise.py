"""Judging two candidates at a time, always in both orders, so that a judge's liking for a place cancels out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from polythink.selectors.bradley_terry import strengths
from polythink.selectors.judge_prompts import choice, quoted
from polythink.selectors.judging import Ask, Contest, Replies, Ruling, counted

CRITERION = "its final answer is correct, and the reasoning that leads to it holds"
Pair = tuple[int, int]  # sample_index of both, the lower first


def asks_of(pairs: Iterable[Pair]) -> list[Ask]:
    """Both orders of every pair."""
    return [Ask(ask_id=f"p{a}-{b}", shown=(a, b)) for low, high in pairs for a, b in ((low, high), (high, low))]


def share_of_first(pair: Pair, replies: Replies) -> float:
    """The share of a pair's votes that went to its first member, each order weighing the same; 0.5 without any.

    A judge that always takes the candidate in one place gives 0.5 whatever the candidates are.
    """
    low, high = pair
    forward = _share(replies[f"p{low}-{high}"])
    backward = _share(replies[f"p{high}-{low}"])
    return ((0.5 if forward is None else forward) + 1 - (0.5 if backward is None else backward)) / 2


def _share(votes: Sequence[str | None]) -> float | None:
    """Of the readable votes, the share for the candidate shown first; a tie counts half."""
    read = [vote for reply in votes if (vote := choice(reply, 0, 2)) is not None]
    return sum({0: 0.5, 1: 1.0, 2: 0.0}[vote] for vote in read) / len(read) if read else None


def pair_prompt(ask: Ask, question: str, texts: Mapping[int, str], criterion: str) -> str:
    """The prompt of one order of a pair."""
    return (
        f"{quoted(question, [texts[index] for index in ask.shown])}\n\n"
        f"Judge which of the two candidates is better. A candidate is better if {criterion}.\n"
        "Check the work of both step by step, and solve the problem on your own where that helps. Neither length, nor "
        "confidence, nor the order in which they are shown is a merit.\n"
        "Then end with one line of exactly this form, where 0 says that neither is better:\n"
        "VERDICT: <1, 2 or 0>"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairwise:
    """Every candidate meets so many others; scores are Bradley-Terry strengths, 0 to 1."""

    opponents: int = 4
    criterion: str = CRITERION

    def step(self, contest: Contest, replies: Replies) -> tuple[Ask, ...] | Ruling:
        pairs = ring_pairs(contest.candidates, self.opponents)
        asks = asks_of(pairs)
        if wanted := tuple(ask for ask in asks if ask.ask_id not in replies):
            return wanted
        wins = {pair: share_of_first(pair, replies) for pair in pairs}
        heard, unreadable = counted(asks, replies)
        return Ruling(scores=strengths(contest.candidates, wins), replies=heard, unreadable=unreadable)

    def prompt(self, ask: Ask, question: str, texts: Mapping[int, str]) -> str:
        return pair_prompt(ask, question, texts, self.criterion)


def ring_pairs(candidates: Sequence[int], opponents: int) -> list[Pair]:
    """Pairs in which each candidate meets its nearest neighbours on a ring, hence all hang together.

    >>> ring_pairs((1, 2, 3, 4, 5), 2)
    [(1, 2), (2, 3), (3, 4), (4, 5), (1, 5)]
    """
    size, reach = len(candidates), -(-opponents // 2)
    if 2 * reach >= size - 1:
        return list(combinations(candidates, 2))
    places = ((place, (place + step) % size) for step in range(1, reach + 1) for place in range(size))
    return [(candidates[min(a, b)], candidates[max(a, b)]) for a, b in places]
