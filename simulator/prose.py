"""Short prose for synthetic replies: what is shown is a summary, what is billed is the thinking behind it."""

from __future__ import annotations

import math
import random
import re

_OPENINGS = (
    "Let me work through this carefully: {question}",
    "The problem asks: {question} I will set up what is given first.",
    "I need to find the value asked for in: {question}",
)
_STEPS = (
    "First I write down the quantities that are given and name the one that is asked for.",
    "The conditions can be turned into equations, so I work from those.",
    "Trying a direct approach: an intermediate value of {value} comes out of the first step.",
    "That would lead to {value}, which I should check before going on.",
    "Substituting back, one of the conditions is not met, so {value} cannot be right yet.",
    "There may be a neater way: count the complement and subtract.",
    "I check the boundary cases, since an off-by-one slip is easy here.",
    "Let me redo the arithmetic: the sum comes to {value} at this point.",
    "A symmetry of the problem halves the work, which I use here.",
    "I try a small example to see whether the pattern holds; it does.",
    "Another route gives {value} as well, which is reassuring but not proof.",
    "Simplifying the expression leaves one unknown, which is now determined.",
)
_CLOSINGS = (
    "Both checks agree, so the answer should be {answer}.",
    "Putting the pieces together gives {answer}.",
    "I am fairly confident in {answer}.",
    "That leaves {answer}.",
)
_EXPLANATIONS = (
    "Working through the conditions step by step, the intermediate result is {value}, and the rest follows from it.",
    "I set up the equations from the statement, solve for the unknown, and check the result against each condition.",
    "Counting the cases separately and adding them up settles the question.",
    "The key is to rewrite the given relation so that only one unknown is left; the remaining steps are arithmetic.",
)
_GIVING_UP = "I worked through several approaches, but I could not settle on one final result."
_ANSWER_LINE = re.compile(r"\bANSWER\s*:", re.IGNORECASE)


def thinking_prose(question: str, answer: str, candidates: tuple[str, ...], tokens: int, rng: random.Random) -> str:
    """A believable summary of thinking that took this many tokens; longer thinking gets a longer one."""
    steps = max(2, min(len(_STEPS), round(math.log2(max(16, tokens))) - 5 + rng.randrange(3)))
    said = [rng.choice(_OPENINGS).format(question=_excerpt(question))]
    for step in rng.sample(_STEPS, steps):
        said.append(step.format(value=rng.choice(candidates)) if "{value}" in step else step)
    said.append(rng.choice(_CLOSINGS).format(answer=answer))
    return " ".join(said)


def answer_prose(prompt: str, answer: str | None, candidates: tuple[str, ...], rng: random.Random) -> str:
    """The text of a reply, ending in the form the prompt asks for; None for an answer never stated."""
    explanation = rng.choice(_EXPLANATIONS).format(value=rng.choice(candidates))
    if answer is None:
        return f"{explanation}\n\n{_GIVING_UP}"
    return f"{explanation}\n\n{final_line(prompt, answer)}"


def final_line(prompt: str, answer: str) -> str:
    r"""The final answer in the form that the prompt asks for.

    >>> print(final_line(r"Put it in \boxed{}.", "7"), final_line("End with ANSWER: x", "7"), final_line("Why?", "7"))
    The final answer is $\boxed{7}$. ANSWER: 7 The answer is 7.
    """
    if "boxed" in prompt:
        return f"The final answer is $\\boxed{{{answer}}}$."
    if _ANSWER_LINE.search(prompt):
        return f"ANSWER: {answer}"
    return f"The answer is {answer}."


def _excerpt(question: str, length: int = 160) -> str:
    flat = " ".join(question.split())
    return flat if len(flat) <= length else f"{flat[:length].rsplit(' ', 1)[0]} ..."
