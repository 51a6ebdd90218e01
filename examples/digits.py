"""Numbers by their digits."""

from __future__ import annotations

from itertools import pairwise
from math import comb
from random import Random

from polythink.examples.template import Draft, Template, agree, spelled


def digit_sum_count(rng: Random, level: int) -> Draft:
    length = {1: 3, 2: 4, 4: 5}[level]
    total = rng.randrange(*{1: (5, 10), 2: (11, 18), 4: (19, 26)}[level])
    by_hand = sum(1 for n in range(10 ** (length - 1), 10**length) if sum(map(int, str(n))) == total)
    counts = dict.fromkeys(range(1, 10), 1)
    for _ in range(length - 1):
        counts = {s: sum(counts.get(s - digit, 0) for digit in range(10)) for s in range(1, total + 1)}
    return Draft(
        text=f"How many {spelled(length)}-digit positive integers have digits that add up to {total}?",
        answer=agree(by_hand, counts[total]),
    )


def rising_digits(rng: Random, level: int) -> Draft:
    length, weak = {1: 3, 2: 4, 3: 5}[level], rng.choice([True, False])
    numerals = [str(n) for n in range(10 ** (length - 1), 10**length)]
    by_hand = sum(1 for n in numerals if all(b > a or (weak and b == a) for a, b in pairwise(n)))
    how = "at least as large as" if weak else "larger than"
    return Draft(
        text=f"In how many {spelled(length)}-digit positive integers is every digit after the first {how} the digit "
        f"before it?",
        answer=agree(by_hand, comb(8 + length, length) if weak else comb(9, length)),
    )


def palindromes_divisible(rng: Random, level: int) -> Draft:
    length, divisor = rng.choice(
        {2: [(4, 9), (5, 9), (3, 4)], 3: [(5, 11), (5, 4), (6, 7)], 4: [(7, 11), (7, 12)]}[level]
    )
    halves = range(10 ** ((length - 1) // 2), 10 ** ((length + 1) // 2))
    mirrored = [int(str(h) + str(h)[: length // 2][::-1]) for h in halves]
    by_halves = sum(p % divisor == 0 for p in mirrored)
    multiples = range(-(-(10 ** (length - 1)) // divisor) * divisor, 10**length, divisor)
    by_hand = sum(str(n) == str(n)[::-1] for n in multiples)
    return Draft(
        text=f"A palindrome reads the same forwards and backwards. How many {spelled(length)}-digit palindromes are "
        f"divisible by {divisor}?",
        answer=agree(by_hand, by_halves),
    )


def different_digits(rng: Random, level: int) -> Draft:
    length = {1: 3, 2: 4, 3: 5}[level]
    kind = rng.choice(["even", "odd", "divisible by 5"])
    tests = {"even": lambda n: n % 2 == 0, "odd": lambda n: n % 2 == 1, "divisible by 5": lambda n: n % 5 == 0}
    numerals = range(10 ** (length - 1), 10**length)
    by_hand = sum(1 for n in numerals if tests[kind](n) and len(set(str(n))) == length)
    ends = {"even": (1, 4), "odd": (0, 5), "divisible by 5": (1, 1)}[kind]
    middle = 1
    for used in range(2, length):
        middle *= 10 - used
    by_formula = ends[0] * 9 * middle + ends[1] * 8 * middle
    return Draft(
        text=f"How many {spelled(length)}-digit positive integers are {kind} and have no digit that occurs twice?",
        answer=agree(by_hand, by_formula),
    )


def digits_written(rng: Random, level: int) -> Draft:
    last = rng.randrange(*{1: (120, 320), 2: (1200, 3200), 3: (12000, 32000)}[level])
    digit = rng.randrange(1, 10)
    by_hand = sum(str(n).count(str(digit)) for n in range(1, last + 1))
    by_place = 0
    for place in (10**k for k in range(len(str(last)))):
        higher, current, lower = last // (10 * place), last // place % 10, last % place
        by_place += higher * place + (place if current > digit else lower + 1 if current == digit else 0)
    return Draft(
        text=f"A printer numbers the pages of an encyclopedia from 1 to {last}. How many times does it print the "
        f"digit {digit}?",
        answer=agree(by_hand, by_place),
    )


def _smallest_by_search(total: int, divisor: int) -> int:
    """Breadth first over (digit sum, remainder): the first numeral to get there is the smallest."""
    frontier, seen = [(digit, digit % divisor, digit) for digit in range(1, 10)], set[tuple[int, int]]()
    for number, rest, digits in frontier:
        if (digits, rest) == (total, 0):
            return number
        for digit in range(10):
            state = (digits + digit, (rest * 10 + digit) % divisor)
            if state[0] <= total and state not in seen:
                seen.add(state)
                frontier.append((number * 10 + digit, state[1], state[0]))
    raise ValueError(f"no number has digit sum {total} and divisor {divisor}")


def smallest_with_digit_sum(rng: Random, level: int) -> Draft:
    total, divisor = rng.choice(
        {3: [(10, 14), (13, 11), (12, 8)], 4: [(19, 16), (17, 23), (20, 13)], 5: [(25, 29), (28, 37), (26, 41)]}[level]
    )
    number = divisor
    while sum(map(int, str(number))) != total:
        number += divisor
    return Draft(
        text=f"What is the smallest positive integer that is divisible by {divisor} and whose digits have the sum "
        f"{total}?",
        answer=agree(number, _smallest_by_search(total, divisor)),
    )


def balanced_binary(rng: Random, level: int) -> Draft:
    bits = {3: 8, 4: 10, 5: 12}[level]
    by_hand = sum(1 for n in range(1, 2**bits) if 2 * bin(n).count("1") > n.bit_length())
    by_formula = sum(
        comb(length - 1, ones - 1) for length in range(1, bits + 1) for ones in range(length // 2 + 1, length + 1)
    )
    return Draft(
        text=f"Among the integers from 1 to {2**bits - 1}, how many have more ones than zeros when written in base two "
        "(without leading zeros)?",
        answer=agree(by_hand, by_formula),
    )


_FAMILY = "digits"
TEMPLATES = (
    Template(family=_FAMILY, levels=(1, 2, 4), write=digit_sum_count),
    Template(family=_FAMILY, levels=(1, 2, 3), write=rising_digits),
    Template(family=_FAMILY, levels=(2, 3, 4), write=palindromes_divisible),
    Template(family=_FAMILY, levels=(1, 2, 3), write=different_digits),
    Template(family=_FAMILY, levels=(1, 2, 3), write=digits_written),
    Template(family=_FAMILY, levels=(3, 4, 5), write=smallest_with_digit_sum),
    Template(family=_FAMILY, levels=(3, 4), write=balanced_binary),
)
