"""A judge that rates each candidate on its own: k votes on a scale, averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from polythink.selectors.judge_prompts import number, quoted
from polythink.selectors.judging import Ask, Contest, Replies, Ruling, counted

RUBRIC = "The final answer is correct, and the reasoning that leads to it holds."


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointwise:
    """Scores are the mean of the readable votes over the scale: 0 to 1 (Zheng et al. 2023, arXiv:2306.05685)."""

    scale: int = 10
    rubric: str = RUBRIC

    def step(self, contest: Contest, replies: Replies) -> tuple[Ask, ...] | Ruling:
        asks = [Ask(ask_id=f"s{index}", shown=(index,)) for index in contest.candidates]
        if wanted := tuple(ask for ask in asks if ask.ask_id not in replies):
            return wanted
        scores = {}
        for ask in asks:
            votes = [vote for reply in replies[ask.ask_id] if (vote := number(reply, 0, self.scale)) is not None]
            if votes:
                scores[ask.shown[0]] = fmean(votes) / self.scale
        heard, unreadable = counted(asks, replies)
        return Ruling(scores=scores, replies=heard, unreadable=unreadable)

    def prompt(self, ask: Ask, question: str, texts: Mapping[int, str]) -> str:
        return (
            f"{quoted(question, [texts[index] for index in ask.shown])}\n\n"
            f"Judge candidate 1 by this rubric: {self.rubric}\n"
            "Check its work: go through it step by step, redo what can be recomputed, and solve the problem on your "
            "own where that helps. Neither length nor confidence is a merit.\n"
            f"Then rate it with a whole number from 0 (certainly fails the rubric) to {self.scale} (certainly meets "
            "it), and end with one line of exactly this form:\n"
            f"VERDICT: <whole number from 0 to {self.scale}>"
        )
