"""Wrong answers that someone solving the problem could have given: slips, sign errors, a digit off."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import islice

_INTEGER = re.compile(r"-?\d+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_PAIRS = {"yes": "no", "no": "yes", "true": "false", "false": "true", "even": "odd", "odd": "even"}
_CHOICES = "ABCDE"


def near_misses(gold: str, count: int, rng: random.Random) -> list[str]:
    """Up to `count` distinct wrong answers to a question whose answer is `gold`, in random order.

    >>> near_misses("73", 3, random.Random(1)) == near_misses("73", 3, random.Random(1))
    True
    """
    gold = gold.strip()
    found: dict[str, None] = {}
    for wrong in islice(_candidates(gold, rng), 200):
        if wrong != gold:
            found[wrong] = None
        if len(found) >= 2 * count:
            break
    wrongs = list(found)
    rng.shuffle(wrongs)
    return wrongs[:count]


def _candidates(gold: str, rng: random.Random) -> Iterator[str]:
    if _INTEGER.fullmatch(gold):
        yield from map(str, _near_integers(int(gold), rng))
    elif gold.lower() in _PAIRS:
        yield _PAIRS[gold.lower()]
    elif len(gold) == 1 and gold.upper() in _CHOICES:
        yield from (letter for letter in _CHOICES if letter != gold.upper())
    elif _NUMBER.search(gold):
        yield from _with_one_number_off(gold, rng)
    else:
        yield from (f"-{gold}", f"2{gold}", f"{gold}+1", f"\\frac{{{gold}}}{{2}}", f"{gold}-1", f"{gold}^2")


def _near_integers(value: int, rng: random.Random) -> Iterator[int]:
    yield from (value + 1, value - 1, 2 * value, value + 10, value // 2, value + 2)
    digits = str(abs(value))
    sign = -1 if value < 0 else 1
    if len(digits) > 1:
        yield sign * int(digits[::-1])
        yield sign * int(digits[1:] + digits[0])
    if value:
        yield -value
    while True:
        place = rng.randrange(len(digits))
        yield sign * int(digits[:place] + str(rng.randrange(10)) + digits[place + 1 :])
        yield value + rng.choice((-1, 1)) * rng.randrange(2, 12 + abs(value) // 10)


def _with_one_number_off(gold: str, rng: random.Random) -> Iterator[str]:
    numbers = list(_NUMBER.finditer(gold))
    while True:
        match = rng.choice(numbers)
        wrong = next(islice(_near_integers(int(float(match[0])), rng), rng.randrange(8), None))
        fraction = match[0].partition(".")[2]
        yield gold[: match.start()] + str(wrong) + (f".{fraction}" if fraction else "") + gold[match.end() :]
