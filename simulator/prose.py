"""Short prose for synthetic replies: what is shown is a summary, what is billed is the thinking behind it."""

from __future__ import annotations

import re
from functools import cache, lru_cache

_OPENINGS = (
    "Let me work through this carefully: %s",
    "The problem asks: %s I will set up what is given first.",
    "I need to find the value asked for in: %s",
)
_STEPS = (
    "First I write down the quantities that are given and name the one that is asked for.",
    "The conditions can be turned into equations, so I work from those.",
    "Trying a direct approach: an intermediate value of %s comes out of the first step.",
    "That would lead to %s, which I should check before going on.",
    "Substituting back, one of the conditions is not met, so %s cannot be right yet.",
    "There may be a neater way: count the complement and subtract.",
    "I check the boundary cases, since an off-by-one slip is easy here.",
    "Let me redo the arithmetic: the sum comes to %s at this point.",
    "A symmetry of the problem halves the work, which I use here.",
    "I try a small example to see whether the pattern holds; it does.",
    "Another route gives %s as well, which is reassuring but not proof.",
    "Simplifying the expression leaves one unknown, which is now determined.",
)
_CLOSINGS = (
    "Both checks agree, so the answer should be %s.",
    "Putting the pieces together gives %s.",
    "I am fairly confident in %s.",
    "That leaves %s.",
)
_EXPLANATIONS = (
    "Working through the conditions step by step, the intermediate result is %s, and the rest follows from it.",
    "I set up the equations from the statement, solve for the unknown, and check the result against each condition.",
    "Counting the cases separately and adding them up settles the question.",
    "The key is to rewrite the given relation so that only one unknown is left; the remaining steps are arithmetic.",
)
_STRIDES = (1, 5, 7, 11)
_PREAMBLES = (
    "I will look this up with the tool that is there for it.",
    "Let me get what is missing first.",
)
RUN_PREAMBLE = "I will let the machine work this out."
_GIVING_UP = "I worked through several approaches, but I could not settle on one final result."
_ANSWER = "%s"
_VERDICT_LINE = re.compile(r"^VERDICT: <[^>\n]+>\s*\Z", re.MULTILINE)  # the end of a judging prompt
_ANSWER_LINE = re.compile(r"\bANSWER\s*:", re.IGNORECASE)


def thinking_prose(question: str, answer: str, candidates: tuple[str, ...], tokens: int, bits: int) -> str:
    """A believable summary of thinking that took this many tokens; longer thinking gets a longer one.

    `bits` are at least 64 random bits: they choose the words.
    """
    steps = max(2, min(len(_STEPS), tokens.bit_length() - 5 + bits % 3))
    plan = _plan(steps, (bits >> 2) % len(_STEPS), _STRIDES[(bits >> 6) % len(_STRIDES)])
    said = [step % candidates[(bits >> shift) % len(candidates)] if shift else step for step, shift in plan]
    opening = _OPENINGS[(bits >> 8) % len(_OPENINGS)] % question
    return " ".join((opening, *said, _CLOSINGS[(bits >> 60) % len(_CLOSINGS)] % answer))


@cache
def _plan(steps: int, first: int, stride: int) -> tuple[tuple[str, int], ...]:
    """So many steps, and how far to shift the random bits for the number in each; 0 where it has none.

    A stride that shares no factor with the number of steps there are visits each of them once.
    """
    chosen = [_STEPS[(first + number * stride) % len(_STEPS)] for number in range(steps)]
    return tuple((step, 10 + 4 * number if "%s" in step else 0) for number, step in enumerate(chosen))


def answer_prose(prompt: str, answer: str | None, candidates: tuple[str, ...], bits: int) -> str:
    """The text of a reply, ending in the form the prompt asks for; None for an answer never stated."""
    explanation = _EXPLANATIONS[bits % len(_EXPLANATIONS)]
    if "%s" in explanation:
        explanation %= _pick(candidates, bits >> 4)
    if answer is None:
        return f"{explanation}\n\n{_GIVING_UP}"
    return f"{explanation}\n\n{final_line(prompt, answer)}"


def call_preamble(bits: int) -> str:
    """What is said before a call of a tool; nothing every other time."""
    return _PREAMBLES[(bits >> 1) % len(_PREAMBLES)] if bits & 1 else ""


def _pick(candidates: tuple[str, ...], bits: int) -> str:
    return candidates[bits % len(candidates)]


def final_line(prompt: str, answer: str) -> str:
    r"""The final answer in the form that the prompt asks for.

    >>> print(final_line(r"Put it in \boxed{}.", "7"), final_line("End with ANSWER: x", "7"), final_line("Why?", "7"))
    The final answer is $\boxed{7}$. ANSWER: 7 The answer is 7.
    """
    return _form_asked_for(prompt).replace(_ANSWER, answer)


@lru_cache(maxsize=1024)  # samples of one prompt are asked for alike
def _form_asked_for(prompt: str) -> str:
    if _VERDICT_LINE.search(prompt):
        return f"VERDICT: {_ANSWER}"
    if "boxed" in prompt:
        return f"The final answer is $\\boxed{{{_ANSWER}}}$."
    if _ANSWER_LINE.search(prompt):
        return f"ANSWER: {_ANSWER}"
    return f"The answer is {_ANSWER}."


def excerpt(question: str, length: int = 160) -> str:
    """The beginning of a question on one line."""
    flat = " ".join(question.split())
    return flat if len(flat) <= length else f"{flat[:length].rsplit(' ', 1)[0]} ..."
