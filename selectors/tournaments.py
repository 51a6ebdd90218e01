"""Tournaments: fewer comparisons than all pairs, each in both orders, in rounds that depend on the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polythink.selectors.judging import Ask, Contest, Replies, Ruling, counted
from polythink.selectors.pairwise import CRITERION, Pair, asks_of, pair_prompt, share_of_first


@dataclass(frozen=True, slots=True, kw_only=True)
class Knockout:
    """Who loses is out (Chen et al. 2024, arXiv:2411.19477). Scores are the share of rounds survived.

    Neighbours by sample_index meet; an odd one out passes. A tie goes to the lower sample_index.
    """

    criterion: str = CRITERION

    def step(self, contest: Contest, replies: Replies) -> tuple[Ask, ...] | Ruling:
        standing, survived, asked = list(contest.candidates), dict.fromkeys(contest.candidates, 0), list[Ask]()
        rounds = 0
        while len(standing) > 1:
            pairs = [(standing[n], standing[n + 1]) for n in range(0, len(standing) - 1, 2)]
            asks = asks_of(pairs)
            if wanted := tuple(ask for ask in asks if ask.ask_id not in replies):
                return wanted
            asked += asks
            bye = standing[-1:] if len(standing) % 2 else []
            standing = [pair[0] if share_of_first(pair, replies) >= 0.5 else pair[1] for pair in pairs] + bye
            rounds += 1
            for candidate in standing:
                survived[candidate] += 1
        heard, unreadable = counted(asked, replies)
        scores = {candidate: wins / max(rounds, 1) for candidate, wins in survived.items()}
        return Ruling(scores=scores, replies=heard, unreadable=unreadable)

    def prompt(self, ask: Ask, question: str, texts: Mapping[int, str]) -> str:
        return pair_prompt(ask, question, texts, self.criterion)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swiss:
    """In each round candidates of equal points meet, nobody twice. Scores are points per round, ties by opponents.

    A win is a point, a tie half of one, as is a round without an opponent. Equal points are parted by the points of
    whom one met (Buchholz), which weighs too little to outrank half a point.
    """

    rounds: int = 0  # 0: as many as a knockout would take
    criterion: str = CRITERION

    def step(self, contest: Contest, replies: Replies) -> tuple[Ask, ...] | Ruling:
        candidates = contest.candidates
        points, met, asked = dict.fromkeys(candidates, 0.0), set[Pair](), list[Ask]()
        rounds = min(self.rounds or max(len(candidates) - 1, 0).bit_length(), max(len(candidates) - 1, 0))
        for _ in range(rounds):
            pairs = _pairings(candidates, points, met)
            asks = asks_of(pairs)
            if wanted := tuple(ask for ask in asks if ask.ask_id not in replies):
                return wanted
            asked += asks
            idle = set(candidates)
            for pair in pairs:
                share = share_of_first(pair, replies)
                points[pair[0]] += share
                points[pair[1]] += 1 - share
                idle -= set(pair)
            for candidate in idle:
                points[candidate] += 0.5
            met.update(pairs)
        heard, unreadable = counted(asked, replies)
        return Ruling(scores=_ranked(points, met, rounds), replies=heard, unreadable=unreadable)

    def prompt(self, ask: Ask, question: str, texts: Mapping[int, str]) -> str:
        return pair_prompt(ask, question, texts, self.criterion)


def _pairings(candidates: Sequence[int], points: Mapping[int, float], met: set[Pair]) -> list[Pair]:
    """The best meets the best whom it has not met, and so on down."""
    waiting, pairs = sorted(candidates, key=lambda c: (-points[c], c)), list[Pair]()
    while waiting:
        one = waiting.pop(0)
        other = next((c for c in waiting if (min(one, c), max(one, c)) not in met), None)
        if other is not None:
            waiting.remove(other)
            pairs.append((min(one, other), max(one, other)))
    return pairs


def _ranked(points: Mapping[int, float], met: set[Pair], rounds: int) -> dict[int, float]:
    opposed = dict.fromkeys(points, 0.0)
    for one, other in met:
        opposed[one] += points[other]
        opposed[other] += points[one]
    most = max(rounds, 1)
    return {c: points[c] / most + opposed[c] / (4 * most * most * (most + 1)) for c in points}
