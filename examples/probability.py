"""Chances as fractions: dice, urns, walks, games. The answer is numerator plus denominator."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product
from math import comb, prod
from random import Random

from polythink.examples.template import (
    LOWEST_TERMS,
    Draft,
    Template,
    agree,
    listing,
    numerator_plus_denominator,
    spelled,
)


def dice_sum(rng: Random, level: int) -> Draft:
    dice, divisor = rng.choice({1: [(2, 4), (2, 5)], 2: [(3, 4), (3, 5)], 3: [(4, 7), (5, 4)]}[level])
    rolls = list(product(range(1, 7), repeat=dice))
    by_hand = Fraction(sum(1 for roll in rolls if sum(roll) % divisor == 0), len(rolls))
    chances = {0: Fraction(1)}
    for _ in range(dice):
        chances = _add_die(chances, divisor)
    return Draft(
        text=f"{spelled(dice).capitalize()} fair six-sided dice are rolled. The probability that the sum of the "
        f"numbers shown is divisible by {divisor} {LOWEST_TERMS}",
        answer=agree(numerator_plus_denominator(by_hand), numerator_plus_denominator(chances[0])),
    )


def _add_die(chances: dict[int, Fraction], divisor: int) -> dict[int, Fraction]:
    after = dict.fromkeys(range(divisor), Fraction(0))
    for (rest, chance), face in product(chances.items(), range(1, 7)):
        after[(rest + face) % divisor] += chance / 6
    return after


def same_colour(rng: Random, level: int) -> Draft:
    names = ["red", "blue", "green", "white"][: {1: 2, 2: 3, 3: 4}[level]]
    counts = [rng.randrange(3, 8) for _ in names]
    drawn = {1: 2, 2: 2, 3: 3}[level]
    balls = [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
    draws = list(combinations(balls, drawn))
    by_hand = Fraction(sum(1 for draw in draws if len(set(draw)) == 1), len(draws))
    by_formula = Fraction(sum(comb(c, drawn) for c in counts), comb(sum(counts), drawn))
    contents = listing([f"{spelled(c)} {n}" for c, n in zip(counts, names, strict=True)])
    return Draft(
        text=f"An urn holds {contents} balls, and nothing else. {spelled(drawn).capitalize()} balls are drawn at "
        f"random without replacement. The probability that they all have the same colour {LOWEST_TERMS}",
        answer=agree(numerator_plus_denominator(by_hand), numerator_plus_denominator(by_formula)),
    )


def committee(rng: Random, level: int) -> Draft:
    women, men, seats, least = {1: (4, 4, 2, 1), 2: (5, 6, 4, 2), 4: (7, 6, 6, 4)}[level]
    body = rng.choice(["a village council", "a school orchestra", "a chess club"])
    people = ["w"] * women + ["m"] * men
    draws = list(combinations(people, seats))
    by_hand = Fraction(sum(1 for d in draws if d.count("w") >= least), len(draws))
    good = sum(comb(women, k) * comb(men, seats - k) for k in range(least, seats + 1))
    who = "woman" if least == 1 else "women"
    return Draft(
        text=f"From the {spelled(women)} women and {spelled(men)} men of {body}, {spelled(seats)} people are chosen "
        f"by lot. The probability that at least {spelled(least)} {who} "
        f"{'is' if least == 1 else 'are'} chosen {LOWEST_TERMS}",
        answer=agree(
            numerator_plus_denominator(by_hand), numerator_plus_denominator(Fraction(good, comb(women + men, seats)))
        ),
    )


def ant_on_cube(rng: Random, level: int) -> Draft:
    steps = {3: 4, 4: rng.choice([6, 8])}[level]
    chances = [Fraction(1)] + [Fraction(0)] * 7
    for _ in range(steps):
        chances = [sum((chances[corner ^ (1 << axis)] / 3 for axis in range(3)), Fraction(0)) for corner in range(8)]
    by_formula = Fraction(3**steps + 3 * 1 + 3 * (-1) ** steps + (-3) ** steps, 8 * 3**steps)
    return Draft(
        text="An ant stands at a corner of a cube. Each minute it walks along one of the three edges at its corner, "
        f"chosen at random with equal chances, to the other end. The probability that it is back where it started "
        f"after {spelled(steps)} minutes {LOWEST_TERMS}",
        answer=agree(numerator_plus_denominator(chances[0]), numerator_plus_denominator(by_formula)),
    )


def no_streak(rng: Random, level: int) -> Draft:
    flips, streak = rng.choice({2: [(6, 2), (7, 2)], 3: [(9, 2), (10, 2)], 4: [(10, 3), (12, 3)]}[level])
    outcomes = ["".join(o) for o in product("HT", repeat=flips)]
    by_hand = sum(1 for outcome in outcomes if "H" * streak not in outcome)
    counts = [2**k for k in range(streak)]
    while len(counts) <= flips:
        counts.append(sum(counts[-streak:]))
    return Draft(
        text=f"A fair coin is tossed {spelled(flips)} times. The probability that heads never comes up "
        f"{'twice' if streak == 2 else 'three times'} in a row {LOWEST_TERMS}",
        answer=agree(*(numerator_plus_denominator(Fraction(good, 2**flips)) for good in (by_hand, counts[flips]))),
    )


def _ruin(start: int, goal: int, win: Fraction) -> Fraction:
    """Chance to reach goal before 0, by solving h(k) = win h(k+1) + (1 - win) h(k-1) from h(0) = 0 upwards."""
    heights = [Fraction(0), Fraction(1)]
    while len(heights) <= goal:
        heights.append((heights[-1] - (1 - win) * heights[-2]) / win)
    return heights[start] / heights[goal]


def gamblers_walk(rng: Random, level: int) -> Draft:
    win, start, goal = rng.choice(
        {4: [(Fraction(2, 3), 2, 5), (Fraction(1, 3), 3, 5)], 5: [(Fraction(3, 5), 3, 7), (Fraction(2, 5), 4, 7)]}[
            level
        ]
    )
    ratio = (1 - win) / win
    by_formula = (1 - ratio**start) / (1 - ratio**goal)
    return Draft(
        text=f"Mira has {spelled(start)} tokens. In each round of a game she gains a token with probability {win} and "
        f"loses one otherwise. She stops when she has {spelled(goal)} tokens or none. The probability that she stops "
        f"with {spelled(goal)} {LOWEST_TERMS}",
        answer=agree(numerator_plus_denominator(_ruin(start, goal, win)), numerator_plus_denominator(by_formula)),
    )


def distinct_faces(rng: Random, level: int) -> Draft:
    sides, rolls = rng.choice({3: [(6, 3), (4, 4)], 4: [(6, 5), (8, 4)]}[level])
    results = list(product(range(sides), repeat=rolls))
    by_hand = Fraction(sum(len(set(result)) for result in results), len(results))
    by_linearity = sides * (1 - Fraction(sides - 1, sides) ** rolls)
    return Draft(
        text=f"A fair die with {spelled(sides)} faces is rolled {spelled(rolls)} times. The expected number of "
        f"different faces that turn up {LOWEST_TERMS}",
        answer=agree(numerator_plus_denominator(by_hand), numerator_plus_denominator(by_linearity)),
    )


def birthdays_in_a_week(rng: Random, level: int) -> Draft:
    people = rng.choice({1: [2, 3], 2: [4, 5]}[level])
    weeks = list(product(range(7), repeat=people))
    by_hand = Fraction(sum(1 for days in weeks if len(set(days)) < people), len(weeks))
    by_formula = 1 - prod((Fraction(7 - k, 7) for k in range(people)), start=Fraction(1))
    return Draft(
        text=f"{spelled(people).capitalize()} friends were each born on a day of the week that is equally likely to "
        f"be any of the seven, independently of the others. The probability that at least two of them share their "
        f"weekday {LOWEST_TERMS}",
        answer=agree(numerator_plus_denominator(by_hand), numerator_plus_denominator(by_formula)),
    )


_FAMILY = "probability"
TEMPLATES = (
    Template(family=_FAMILY, levels=(1, 2, 3), write=dice_sum),
    Template(family=_FAMILY, levels=(1, 2, 3), write=same_colour),
    Template(family=_FAMILY, levels=(1, 2, 4), write=committee),
    Template(family=_FAMILY, levels=(3, 4), write=ant_on_cube),
    Template(family=_FAMILY, levels=(2, 3, 4), write=no_streak),
    Template(family=_FAMILY, levels=(4, 5), write=gamblers_walk),
    Template(family=_FAMILY, levels=(3, 4), write=distinct_faces),
    Template(family=_FAMILY, levels=(1, 2), write=birthdays_in_a_week),
)
