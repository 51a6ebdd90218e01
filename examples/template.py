"""What every family of bundled problems is written with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A problem as its template wrote it."""

    text: str
    answer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One kind of problem: `write` makes one for each of `levels`, 1 (easy) to 5 (hard)."""

    family: str
    levels: tuple[int, ...]
    write: Callable[[Random, int], Draft]


def agree(*answers: int) -> int:
    """The one answer that independent computations arrive at.

    Raises ValueError if they do not.

    >>> agree(6, 3 * 2)
    6
    """
    if len(set(answers)) != 1:
        raise ValueError(f"independent computations disagree: {answers}")
    return answers[0]


def numerator_plus_denominator(chance: Fraction) -> int:
    """m + n where the chance is m/n in lowest terms, which `Fraction` keeps it in."""
    return chance.numerator + chance.denominator


LOWEST_TERMS = "can be written as m/n, where m and n are relatively prime positive integers. Find m + n."


def listing(items: list[str], word: str = "and") -> str:
    """
    >>> listing(["2", "3", "7"]), listing(["2", "3"], "nor")
    ('2, 3 and 7', '2 nor 3')
    """
    return f"{', '.join(items[:-1])} {word} {items[-1]}" if len(items) > 1 else items[0]


def spelled(count: int) -> str:
    """Small counts as words, as in running text.

    >>> spelled(4), spelled(23)
    ('four', '23')
    """
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    return words[count] if count < len(words) else str(count)


def ordinal(number: int) -> str:
    """
    >>> [ordinal(n) for n in (1, 12, 23, 100)]
    ['1st', '12th', '23rd', '100th']
    """
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
