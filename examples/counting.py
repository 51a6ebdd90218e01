"""Arrangements, subsets, distributions."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import combinations, pairwise, permutations, product
from math import comb, factorial, prod
from random import Random

from polythink.examples.template import Draft, Template, agree, listing, spelled


def divisible_by_none(rng: Random, level: int) -> Draft:
    primes = {1: [2, 5], 2: [3, 7], 3: [2, 3, 11], 4: [3, 5, 7, 11]}[level]
    bound = rng.randrange(*{1: (40, 100), 2: (200, 400), 3: (500, 1000), 4: (2000, 4000)}[level])
    by_hand = sum(1 for n in range(1, bound + 1) if all(n % p for p in primes))
    signed = [
        (-1) ** size * (bound // prod(some)) for size in range(len(primes) + 1) for some in combinations(primes, size)
    ]
    by = "neither " if len(primes) == 2 else "none of "
    names = listing([str(p) for p in primes], "nor" if len(primes) == 2 else "and")
    return Draft(
        text=f"How many of the integers from 1 to {bound}, inclusive, are divisible by {by}{names}?",
        answer=agree(by_hand, sum(signed)),
    )


def letters_apart(rng: Random, level: int) -> Draft:
    word, letter = rng.choice(
        {
            2: [("BANANA", "A"), ("LEVEL", "E")],
            3: [("PEPPER", "P"), ("COCONUT", "O"), ("TATTOO", "T")],
            4: [("ALABAMA", "A"), ("CALABASH", "A")],
        }[level]
    )
    by_hand = sum(1 for spelling in set(permutations(word)) if letter * 2 not in "".join(spelling))
    copies = word.count(letter)
    rest = Counter(word.replace(letter, ""))
    others = factorial(rest.total()) // prod(factorial(n) for n in rest.values())
    return Draft(
        text=f"In how many distinguishable ways can the letters of {word} be arranged in a row so that no two copies "
        f"of the letter {letter} are next to each other?",
        answer=agree(by_hand, others * comb(rest.total() + 1, copies)),
    )


def couples_apart(rng: Random, level: int) -> Draft:
    couples = {3: 3, 5: 4}[level]
    place = rng.choice(["on a bench", "in a row at the theatre", "along one side of a long table"])
    people = range(2 * couples)
    by_hand = sum(1 for row in permutations(people) if all(a // 2 != b // 2 for a, b in pairwise(row)))
    together = [(-1) ** k * comb(couples, k) * 2**k * factorial(2 * couples - k) for k in range(couples + 1)]
    return Draft(
        text=f"{spelled(couples).capitalize()} married couples sit {place}. In how many ways can the "
        f"{spelled(2 * couples)} people be seated so that nobody sits next to his or her own spouse?",
        answer=agree(by_hand, sum(together)),
    )


def sharing_within_limits(rng: Random, level: int) -> Draft:
    children, least, most = {1: (3, 1, 12), 2: (4, 1, 6), 3: (5, 0, 5), 4: (6, 1, 7)}[level]
    things = rng.randrange(*{1: (9, 13), 2: (12, 17), 3: (11, 16), 4: (20, 27)}[level])
    by_hand = sum(1 for shares in product(range(least, most + 1), repeat=children) if sum(shares) == things)
    spare, step = things - children * least, most - least + 1
    terms = [
        (-1) ** k * comb(children, k) * comb(spare - k * step + children - 1, children - 1)
        for k in range(children + 1)
        if spare >= k * step
    ]
    thing = rng.choice(["marbles", "stickers", "chocolate coins"])
    limit = f"at least {spelled(least)} and " if least else ""
    upper = "" if level == 1 else f"at most {spelled(most)}"
    rule = "at least one" if level == 1 else f"{limit}{upper}"
    return Draft(
        text=f"A grandmother shares {things} identical {thing} among her {spelled(children)} grandchildren so that "
        f"every child gets {rule}. In how many ways can she do this?",
        answer=agree(by_hand, sum(terms)),
    )


def spread_subsets(rng: Random, level: int) -> Draft:
    size, gap = {2: (3, 2), 3: (4, 3), 4: (5, 3)}[level]
    top = rng.randrange(*{2: (10, 15), 3: (14, 19), 4: (18, 23)}[level])
    subsets = combinations(range(1, top + 1), size)
    by_hand = sum(1 for some in subsets if all(b - a >= gap for a, b in pairwise(some)))
    return Draft(
        text=f"How many {spelled(size)}-element subsets of {{1, 2, 3, ..., {top}}} have the property that any two of "
        f"their elements differ by at least {gap}?",
        answer=agree(by_hand, comb(top - (size - 1) * (gap - 1), size)),
    )


def subsets_with_sum(rng: Random, level: int) -> Draft:
    top, modulus = rng.choice({4: [(10, 5), (12, 3), (9, 3)], 5: [(15, 5), (14, 7)]}[level])
    by_hand = sum(1 for mask in range(2**top) if sum(k + 1 for k in range(top) if mask >> k & 1) % modulus == 0)
    counts = [1] + [0] * (modulus - 1)
    for number in range(1, top + 1):
        counts = [counts[r] + counts[(r - number) % modulus] for r in range(modulus)]
    return Draft(
        text=f"Find the number of subsets of {{1, 2, 3, ..., {top}}}, the empty set included, whose elements have a "
        f"sum divisible by {modulus}.",
        answer=agree(by_hand, counts[0]),
    )


def right_envelopes(rng: Random, level: int) -> Draft:
    letters, right = rng.choice({2: [(5, 2), (5, 1)], 3: [(7, 2), (7, 3)], 4: [(8, 1), (8, 2)]}[level])
    by_hand = sum(1 for p in permutations(range(letters)) if sum(k == v for k, v in enumerate(p)) == right)
    wrong = letters - right
    derangements = sum((-1) ** k * factorial(wrong) // factorial(k) for k in range(wrong + 1))
    verb = "goes" if right == 1 else "go"
    return Draft(
        text=f"A careless clerk puts {spelled(letters)} letters into {spelled(letters)} addressed envelopes, one in "
        f"each. In how many ways can it happen that exactly {spelled(right)} of the letters {verb} into the right "
        f"envelope?",
        answer=agree(by_hand, comb(letters, right) * derangements),
    )


@cache
def _partitions_into(things: int, blocks: int) -> int:
    """Stirling numbers of the second kind."""
    if things == blocks:
        return 1
    if blocks == 0 or blocks > things:
        return 0
    return blocks * _partitions_into(things - 1, blocks) + _partitions_into(things - 1, blocks - 1)


def every_task_taken(rng: Random, level: int) -> Draft:
    people, tasks = rng.choice({2: [(5, 3), (4, 3)], 3: [(6, 4), (7, 3)]}[level])
    by_hand = sum(1 for given in product(range(tasks), repeat=people) if len(set(given)) == tasks)
    scene = rng.choice([("volunteers", "stalls at the fair", "stall"), ("engineers", "machines", "machine")])
    return Draft(
        text=f"Each of {spelled(people)} {scene[0]} is assigned to one of {spelled(tasks)} different {scene[1]}. How "
        f"many assignments leave no {scene[2]} without anyone?",
        answer=agree(by_hand, factorial(tasks) * _partitions_into(people, tasks)),
    )


_FAMILY = "counting"
TEMPLATES = (
    Template(family=_FAMILY, levels=(1, 2, 3, 4), write=divisible_by_none),
    Template(family=_FAMILY, levels=(2, 3, 4), write=letters_apart),
    Template(family=_FAMILY, levels=(3, 5), write=couples_apart),
    Template(family=_FAMILY, levels=(1, 2, 3, 4), write=sharing_within_limits),
    Template(family=_FAMILY, levels=(2, 3, 4), write=spread_subsets),
    Template(family=_FAMILY, levels=(4, 5), write=subsets_with_sum),
    Template(family=_FAMILY, levels=(2, 3, 4), write=right_envelopes),
    Template(family=_FAMILY, levels=(2, 3), write=every_task_taken),
)
