"""The latent-trait model behind the synthetic mind: how hard a problem is, how long it is thought about, how it ends.

A two-parameter item-response curve: the log-odds of a right answer are ability minus difficulty, and rise with the
logarithm of the thinking tokens spent, relative to what the problem needs. Thinking lengths are log-normal around that
need. The constants put a mid-strength model near 35% at a budget of 1,024 tokens and near 65% at 16,384.
"""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from polythink.facts import ModelFacts
from polythink.simulator.ids import seeded
from polythink.simulator.near_misses import near_misses
from polythink.simulator.problems import KnownProblem
from polythink.simulator.request import MessageRequest

TYPICAL_NEED = 4200  # tokens of thinking that a problem of middle difficulty needs
NEED_PER_DIFFICULTY = 1.0  # doublings of the need per unit of difficulty
NEED_SPREAD = 0.5  # standard deviation of log thinking length between draws
DIFFICULTY_WEIGHT = 1.9  # log-odds per unit of difficulty
GAIN_PER_DOUBLING = 0.95  # log-odds per doubling of thinking
MOST_GAIN = 0.9  # log-odds that thinking beyond the need can still add
UNTHOUGHT_TOKENS = 420  # what answering at once is worth, in tokens of thinking
BASE_ABILITY = 1.5  # log-odds of a mid-strength model on a problem of middle difficulty, thought through

_LINE_ABILITY = {"haiku": -0.25, "sonnet": 0.1, "opus": 0.35, "fable": 0.7, "mythos": 0.7}
_ABILITY_PER_VERSION = 0.35
_EFFORT_SCALE = {"low": 0.3, "medium": 0.6, "high": 1.0, "xhigh": 1.5, "max": 2.2}
_SKIPPING = {"low": 0.5, "medium": 0.2}  # share of easy problems answered without thinking, in adaptive mode
_SPOKEN_LEVELS = {"easy": -1.2, "medium": 0.0, "hard": 1.2, "very hard": 2.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """What is hidden about a problem."""

    gold: str
    difficulty: float  # standard normal over typical problems
    need: float  # median tokens of thinking
    wrong_answers: tuple[str, ...]
    wrong_weights: tuple[float, ...]  # cumulative


def latent_of(problem: KnownProblem, seed: int) -> Latent:
    """The hidden traits of a problem: the same for the same seed, question and gold."""
    rng = seeded("latent", str(seed), problem.problem_id, problem.question)
    spread = rng.gauss(0, 1)
    stated = stated_difficulty(problem.row)
    difficulty = spread if stated is None else stated + 0.4 * spread
    gold = problem.gold if problem.gold is not None else str(rng.randrange(2, 1000))
    wrong = near_misses(gold, rng.randrange(4, 12), rng)
    # A steep slope makes one wrong answer a trap that draws most of those who fail.
    slope = rng.uniform(0.4, 2.6)
    weights, total = [], 0.0
    for rank in range(1, len(wrong) + 1):
        total += rank**-slope
        weights.append(total)
    return Latent(
        gold=gold,
        difficulty=difficulty,
        need=TYPICAL_NEED * 2 ** (NEED_PER_DIFFICULTY * difficulty),
        wrong_answers=tuple(wrong),
        wrong_weights=tuple(weights),
    )


def stated_difficulty(row: dict[str, Any]) -> float | None:
    """The difficulty a row states in `difficulty` or `level`, in standard units; None if it states none.

    Fractions are taken as 0 (easy) to 1 (hard), whole numbers as levels 1 to 5.

    >>> stated_difficulty({"level": "Level 5"}), stated_difficulty({"difficulty": 0.5}), stated_difficulty({})
    (1.4, 0.0, None)
    """
    for name in ("difficulty", "level"):
        value = row.get(name)
        if isinstance(value, str):
            spoken = _SPOKEN_LEVELS.get(value.strip().lower())
            if spoken is not None:
                return spoken
            digits = re.search(r"\d+(\.\d+)?", value)
            value = float(digits[0]) if digits else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            scaled = 3 * (value - 0.5) if 0 <= value < 1 else 0.7 * (value - 3)
            return max(-3.0, min(3.0, scaled))
    return None


def ability(model: ModelFacts) -> float:
    """How strong a model is, in log-odds: by its line and version number."""
    return BASE_ABILITY + _LINE_ABILITY[model.line] + _ABILITY_PER_VERSION * (_version(model.model_id) - 4.5)


@cache
def _version(model_id: str) -> float:
    numbers = re.findall(r"\d+", model_id)
    return float(".".join(numbers[:2])) if numbers else 4.5


def thinking_tokens(request: MessageRequest, latent: Latent, rng: random.Random) -> int:
    """How long this draw thinks, in tokens: may stop early, and is cut near its budget, which is a soft target."""
    if request.mode == "none":
        return 0
    easy = latent.difficulty < 0 and request.mode == "adaptive"
    if easy and rng.random() < _SKIPPING.get(request.effort or "", 0.0):
        return 0
    scale = _EFFORT_SCALE[request.effort] if request.effort else 1.0
    length = latent.need * scale * math.exp(rng.gauss(0, NEED_SPREAD))
    if request.mode == "budget" and request.budget_tokens is not None:
        length = min(length, request.budget_tokens * rng.uniform(0.9, 1.03))
    return max(16, round(length))


def success_probability(model: ModelFacts, latent: Latent, thought_tokens: int) -> float:
    """The chance that an answer after this much thinking is right."""
    doublings = math.log2(max(UNTHOUGHT_TOKENS, thought_tokens) / latent.need)
    gain = min(MOST_GAIN, GAIN_PER_DOUBLING * doublings)
    odds = ability(model) - DIFFICULTY_WEIGHT * latent.difficulty + gain
    return 1 / (1 + math.exp(-odds))
