"""The synthetic mind as a judge: it recognises a judging prompt by its form, and errs as often as it is told to.

A judging prompt quotes one problem and its candidates between fences, all of one word of eight hexadecimal digits,

    <problem FENCE> ... </problem FENCE>
    <candidate 1 FENCE> ... </candidate 1 FENCE>

and ends in a line `VERDICT: <...>`. With one candidate it asks for a rating, `from 0 to N` in that line; with more, for
the number of one of them, where 0 may stand for none. Each candidate ends in a line `Final answer: ...`.

`VERDICT: <0 or 1>` asks whether two candidates give the same answer. What a text says is what stands behind the last
"answer is", "answer:" or `\\boxed` in it, the whole text where it has none; case, spaces and punctuation aside.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass

_PROBLEM = re.compile(r"<problem ([0-9a-f]{8})>\n(.*?)\n</problem \1>", re.DOTALL)
_RATING = re.compile(r"VERDICT: <[^>\n]*from 0 to ([0-9]+)>\s*$")
_CHOICE = re.compile(r"VERDICT: <[^>\n]+>\s*$")
_SAMENESS = re.compile(r"VERDICT: <0 or 1>\s*$")
_LEAD = re.compile(r"answer\s*(?:is|:)|\\boxed", re.IGNORECASE)
_PUNCTUATION = re.compile(r"[\s\"'`*$!?;:{}]|[.,](?![0-9])")
_CONSISTENCY = "agrees best with the others"
_ANSWER = "Final answer:"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeTraits:
    """How well the mind judges."""

    sensitivity: float = 0.85  # chance to take a right answer for right, or two that are the same for the same
    specificity: float = 0.75  # chance to take a wrong answer for wrong, or two that differ for different
    position_bias: float = 0.1  # share of choices that fall on whatever is shown first


@dataclass(frozen=True, slots=True)
class JudgePrompt:
    """What a judging prompt asks."""

    question: str
    answers: tuple[str, ...]  # of the candidates, in order
    scale: int | None  # of a rating; None: one of the candidates is to be chosen
    by_consistency: bool  # by agreement with the others, not by what is right
    by_sameness: bool = False  # whether the two candidates give the same answer


def read_judge_prompt(prompt: str) -> JudgePrompt | None:
    """What the prompt asks; None if it is no judging prompt."""
    problem = _PROBLEM.match(prompt)
    if problem is None or not _CHOICE.search(prompt):
        return None
    fence, question = problem.groups()
    quoted = re.compile(rf"<candidate [0-9]+ {fence}>\n(.*?)\n</candidate [0-9]+ {fence}>", re.DOTALL)
    texts = quoted.findall(prompt, problem.end())
    if not texts:
        return None
    if len(texts) == 2 and _SAMENESS.search(prompt):
        return JudgePrompt(question, tuple(map(said, texts)), None, False, by_sameness=True)
    rating = _RATING.search(prompt) if len(texts) == 1 else None
    task = prompt[prompt.rindex(f" {fence}>") :]
    return JudgePrompt(question, tuple(map(_stated, texts)), int(rating[1]) if rating else None, _CONSISTENCY in task)


def _stated(text: str) -> str:
    return text.rpartition(_ANSWER)[2].strip()


def said(text: str) -> str:
    """What a text answers, as far as case, spaces and punctuation do not matter.

    >>> said("I checked it. The answer is St. Louis!"), said(r"$\\boxed{St Louis}$"), said("Answer: 1.50 or 15,")
    ('stlouis', 'stlouis', '1.50or15')
    """
    return _PUNCTUATION.sub("", _LEAD.split(text)[-1]).lower()


def verdict(asked: JudgePrompt, gold: str, traits: JudgeTraits, rng: random.Random) -> int:
    """The number that this draw of the judge ends with."""
    if asked.by_sameness:
        first, second = asked.answers
        return int(rng.random() < traits.sensitivity if first == second else rng.random() >= traits.specificity)
    if asked.scale is not None:
        seems_right = _seems_right(asked.answers[0], gold, traits, rng)
        return rng.randint(-(-asked.scale * 7 // 10), asked.scale) if seems_right else rng.randint(0, asked.scale // 3)
    if rng.random() < traits.position_bias:
        return 1
    places = range(len(asked.answers))
    if asked.by_consistency:
        most = Counter(asked.answers).most_common(1)[0][1]
        liked = [place for place in places if asked.answers.count(asked.answers[place]) == most]
    else:
        liked = [place for place in places if _seems_right(asked.answers[place], gold, traits, rng)]
    return 1 + rng.choice(liked or list(places))


def _seems_right(answer: str, gold: str, traits: JudgeTraits, rng: random.Random) -> bool:
    if _plain(answer) == _plain(gold):
        return rng.random() < traits.sensitivity
    return rng.random() >= traits.specificity


def _plain(answer: str) -> str:
    return "".join(answer.split()).strip("$.").lower()
