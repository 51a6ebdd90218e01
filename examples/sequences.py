"""Sequences, recurrences, sums, tilings, processes."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from random import Random

from polythink.examples.template import (
    LOWEST_TERMS,
    Draft,
    Template,
    agree,
    numerator_plus_denominator,
    ordinal,
    spelled,
)


def arithmetic_terms(rng: Random, level: int) -> Draft:
    first, step = rng.randrange(2, 30), rng.randrange(3, 15)
    near, far = rng.choice([(4, 9), (5, 12), (3, 11)])
    asked = rng.randrange(*{1: (20, 60), 2: (15, 40)}[level])
    terms = [first + step * k for k in range(asked)]
    given = (
        f"The {ordinal(near)} term of an arithmetic sequence is {first + step * (near - 1)} and its {ordinal(far)} "
        f"term is {first + step * (far - 1)}."
    )
    if level == 1:
        return Draft(
            text=f"{given} What is its {ordinal(asked)} term?", answer=agree(terms[-1], first + step * (asked - 1))
        )
    total = asked * (terms[0] + terms[-1])
    return Draft(text=f"{given} What is the sum of its first {asked} terms?", answer=agree(sum(terms), total // 2))


Matrix = tuple[int, int, int, int]


def _times(a: Matrix, b: Matrix, modulus: int) -> Matrix:
    rows = ((a[0], a[1]), (a[2], a[3]))
    columns = ((b[0], b[2]), (b[1], b[3]))
    w, x, y, z = ((r[0] * c[0] + r[1] * c[1]) % modulus for r in rows for c in columns)
    return w, x, y, z


def recurrence_remainder(rng: Random, level: int) -> Draft:
    p, q = rng.choice({2: [(1, 1)], 3: [(2, 1), (1, 2)], 4: [(3, 2), (4, 3), (5, 2)]}[level])
    modulus = {2: 7, 3: 11, 4: 1000}[level]
    asked = rng.randrange(*{2: (40, 100), 3: (100, 200), 4: (30, 60)}[level])
    one, two = rng.randrange(1, 4), rng.randrange(2, 6)
    a, b = one, two
    for _ in range(asked - 1):
        a, b = b, (p * b + q * a) % modulus
    power: Matrix = (1, 0, 0, 1)
    for bit in bin(asked - 1)[2:]:
        power = _times(power, power, modulus)
        power = _times(power, (p, q, 1, 0), modulus) if bit == "1" else power
    by_matrix = (power[2] * two + power[3] * one) % modulus
    rule = f"{p if p > 1 else ''}a(n+1) + {q if q > 1 else ''}a(n)"
    return Draft(
        text=f"A sequence is given by a(1) = {one}, a(2) = {two} and a(n+2) = {rule} for every n >= 1. Find the "
        f"remainder when a({asked}) is divided by {modulus}.",
        answer=agree(a % modulus, by_matrix),
    )


def telescoping_sum(rng: Random, level: int) -> Draft:
    gap = {2: 1, 3: 2, 4: 3}[level]
    last = rng.randrange(9, 40)
    by_hand = sum((Fraction(1, k * (k + gap)) for k in range(1, last + 1)), Fraction(0))
    heads = sum((Fraction(1, k) for k in range(1, gap + 1)), Fraction(0))
    tails = sum((Fraction(1, last + k) for k in range(1, gap + 1)), Fraction(0))
    terms = " + ".join(f"1/({k}*{k + gap})" for k in (1, 2, 3))
    return Draft(
        text=f"The sum {terms} + ... + 1/({last}*{last + gap}) {LOWEST_TERMS}",
        answer=agree(numerator_plus_denominator(by_hand), numerator_plus_denominator((heads - tails) / gap)),
    )


def _halvings(number: int) -> int:
    return 0 if number == 1 else 1 + _halvings(number // 2 if number % 2 == 0 else 3 * number + 1)


def halve_or_triple(rng: Random, level: int) -> Draft:
    start = rng.choice({1: [12, 20, 26], 2: [19, 22, 25, 29], 3: [39, 57, 59]}[level])
    number, steps = start, 0
    while number != 1:
        number, steps = (number // 2, steps + 1) if number % 2 == 0 else (3 * number + 1, steps + 1)
    return Draft(
        text=f"Starting from {start}, a machine repeats one rule: an even number is halved, and an odd number is "
        f"tripled and then increased by 1. After how many applications of the rule does the number 1 appear for the "
        f"first time?",
        answer=agree(steps, _halvings(start)),
    )


def last_in_circle(rng: Random, level: int) -> Draft:
    people = rng.randrange(*{2: (10, 18), 3: (20, 40), 4: (60, 120)}[level])
    skip = {2: 2, 3: 3, 4: 4}[level]
    circle = list(range(1, people + 1))
    while len(circle) > 1:
        circle = circle[skip % len(circle) :] + circle[: skip % len(circle)]
        circle.pop()
    survivor = 0
    for size in range(2, people + 1):
        survivor = (survivor + skip) % size
    who = {2: "every second player", 3: "every third player", 4: "every fourth player"}[skip]
    return Draft(
        text=f"Players numbered 1 to {people} stand in a circle in this order. Counting begins with player 1, and "
        f"{who} still standing drops out, the first of them being player {skip}, until only one is left. What is that "
        f"player's number?",
        answer=agree(circle[0], survivor + 1),
    )


def careful_climber(rng: Random, level: int) -> Draft:
    steps = rng.randrange(*{1: (6, 9), 2: (9, 13), 4: (11, 15)}[level])
    longest, careful = {1: (2, False), 2: (3, False), 4: (3, True)}[level]
    strides = "one or two" if longest == 2 else "one, two or three"
    rule = ", but never three at a time twice in succession" if careful else ""
    return Draft(
        text=f"Ines climbs a staircase of {spelled(steps)} steps. With each stride she goes up {strides} steps{rule}. "
        f"In how many different ways can she reach the top?",
        answer=agree(_climbs(steps, longest, careful, False), _climbs_by_table(steps, longest, careful)),
    )


def _climbs_by_table(steps: int, longest: int, careful: bool) -> int:
    fresh, tired = [1] + [0] * steps, [0] * (steps + 1)
    for height in range(1, steps + 1):
        short = longest - 1 if careful else longest
        fresh[height] = sum(fresh[height - s] + tired[height - s] for s in range(1, min(short, height) + 1))
        tired[height] = fresh[height - longest] if careful and height >= longest else 0
    return fresh[steps] + tired[steps]


def _climbs(steps: int, longest: int, careful: bool, tired: bool) -> int:
    """Ways up, by trying every stride; tired after a longest stride when careful."""
    if steps == 0:
        return 1
    strides = range(1, min(steps, longest - tired) + 1)
    return sum(_climbs(steps - s, longest, careful, careful and s == longest) for s in strides)


def coloured_strip(rng: Random, level: int) -> Draft:
    length = rng.randrange(*{2: (6, 9), 3: (9, 13)}[level])
    squares, dominoes = {2: (2, 1), 3: (2, 3)}[level]
    counts = [1, squares]
    while len(counts) <= length:
        counts.append(squares * counts[-1] + dominoes * counts[-2])
    by_choice = sum(
        comb(length - pairs, pairs) * squares ** (length - 2 * pairs) * dominoes**pairs
        for pairs in range(length // 2 + 1)
    )
    long_tiles = "in one colour only" if dominoes == 1 else f"in {spelled(dominoes)} colours"
    return Draft(
        text=f"A strip of {spelled(length)} unit squares in a row is to be covered exactly by tiles of length one, "
        f"which come in {spelled(squares)} colours, and tiles of length two, which come {long_tiles}. How many "
        f"coverings are there?",
        answer=agree(counts[length], by_choice),
    )


_FAMILY = "sequences"
TEMPLATES = (
    Template(family=_FAMILY, levels=(1, 1, 2), write=arithmetic_terms),
    Template(family=_FAMILY, levels=(2, 3, 4), write=recurrence_remainder),
    Template(family=_FAMILY, levels=(2, 3, 4), write=telescoping_sum),
    Template(family=_FAMILY, levels=(1, 2, 3), write=halve_or_triple),
    Template(family=_FAMILY, levels=(2, 3, 4), write=last_in_circle),
    Template(family=_FAMILY, levels=(1, 2, 4), write=careful_climber),
    Template(family=_FAMILY, levels=(2, 3), write=coloured_strip),
)
