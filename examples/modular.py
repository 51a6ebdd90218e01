"""Remainders: powers, orders, congruences."""

from __future__ import annotations

from math import gcd, prod
from random import Random

from polythink.examples.template import Draft, Template, agree


def _primes_of(number: int) -> list[int]:
    return [p for p in range(2, number + 1) if number % p == 0 and all(p % q for q in range(2, p))]


def power_remainder(rng: Random, level: int) -> Draft:
    base, modulus = rng.choice({1: [(7, 10), (3, 10), (8, 10)], 2: [(3, 100), (7, 1000), (13, 100)]}[level])
    exponent = rng.randrange(60, 2026)
    by_hand = 1
    for _ in range(exponent):
        by_hand = by_hand * base % modulus
    asked = {
        10: "units digit",
        100: "number formed by the last two digits",
        1000: "number formed by the last three digits",
    }
    return Draft(
        text=f"What is the {asked[modulus]} of {base}^{exponent}?",
        answer=agree(by_hand, pow(base, exponent, modulus)),
    )


def power_tower(rng: Random, level: int) -> Draft:
    base, modulus = rng.choice({3: [(2, 13), (3, 17), (5, 23)], 5: [(3, 1000), (7, 625), (2, 243)]}[level])
    middle, top = rng.choice([3, 5, 7]), rng.choice([4, 5, 6])
    whole = pow(base, middle**top, modulus)
    period = next(k for k in range(1, modulus) if pow(base, k, modulus) == 1)
    return Draft(
        text=f"Find the remainder when {base}^({middle}^{top}) is divided by {modulus}.",
        answer=agree(whole, pow(base, pow(middle, top, period), modulus)),
    )


def multiplicative_order(rng: Random, level: int) -> Draft:
    base, modulus = rng.choice(
        {2: [(2, 31), (3, 26), (10, 37)], 3: [(2, 91), (10, 73), (5, 63)], 5: [(2, 1001), (3, 1729)]}[level]
    )
    value, by_hand = base % modulus, 1
    while value != 1:
        value, by_hand = value * base % modulus, by_hand + 1
    totient = sum(1 for k in range(1, modulus) if gcd(k, modulus) == 1)
    by_divisors = min(d for d in range(1, totient + 1) if totient % d == 0 and pow(base, d, modulus) == 1)
    return Draft(
        text=f"Find the smallest positive integer n such that {base}^n - 1 is divisible by {modulus}.",
        answer=agree(by_hand, by_divisors),
    )


def leftover_rows(rng: Random, level: int) -> Draft:
    choices: dict[int, list[tuple[int, ...]]] = {
        1: [(5, 7), (4, 9), (7, 8)],
        2: [(7, 11), (9, 13), (8, 15)],
        3: [(7, 9, 11), (5, 8, 13), (9, 11, 13)],
    }
    sizes = rng.choice(choices[level])
    rests = [rng.randrange(1, size) for size in sizes]
    period = prod(sizes)
    by_hand = next(n for n in range(period) if all(n % s == r for s, r in zip(sizes, rests, strict=True)))
    parts = [r * (period // s) * pow(period // s, -1, s) for s, r in zip(sizes, rests, strict=True)]
    clauses = "; ".join(
        f"in rows of {s}, {r} {'is' if r == 1 else 'are'} left over" for s, r in zip(sizes, rests, strict=True)
    )
    thing, place = rng.choice([("chairs", "in a hall"), ("tulip bulbs", "in a box"), ("cadets", "on a parade ground")])
    return Draft(
        text=f"There are fewer than {period} {thing} {place}. When they are arranged {clauses}. How many {thing} are "
        f"there?",
        answer=agree(by_hand, sum(parts) % period),
    )


def idempotents(rng: Random, level: int) -> Draft:
    modulus = rng.choice({2: [60, 84, 90], 3: [210, 420, 630], 4: [2310, 4620, 6930]}[level])
    by_hand = sum(1 for x in range(modulus) if (x * x - x) % modulus == 0)
    return Draft(
        text=f"How many integers x with 0 <= x < {modulus} are such that x^2 and x leave the same remainder when "
        f"divided by {modulus}?",
        answer=agree(by_hand, 2 ** len(_primes_of(modulus))),
    )


def power_sum_remainder(rng: Random, level: int) -> Draft:
    degree, modulus = rng.choice({2: [(1, 97), (2, 100)], 3: [(3, 1000), (3, 625)]}[level])
    last = rng.randrange(40, 200)
    closed = {1: last * (last + 1) // 2, 2: last * (last + 1) * (2 * last + 1) // 6, 3: (last * (last + 1) // 2) ** 2}
    power = "" if degree == 1 else f"^{degree}"
    terms = " + ".join(f"{k}{power}" for k in (1, 2, 3))
    return Draft(
        text=f"What remainder does the sum {terms} + ... + {last}{power} leave on division by {modulus}?",
        answer=agree(sum(k**degree for k in range(1, last + 1)) % modulus, closed[degree] % modulus),
    )


_FAMILY = "modular arithmetic"
TEMPLATES = (
    Template(family=_FAMILY, levels=(1, 1, 2), write=power_remainder),
    Template(family=_FAMILY, levels=(3, 5), write=power_tower),
    Template(family=_FAMILY, levels=(2, 3, 5), write=multiplicative_order),
    Template(family=_FAMILY, levels=(1, 2, 3), write=leftover_rows),
    Template(family=_FAMILY, levels=(2, 3, 4), write=idempotents),
    Template(family=_FAMILY, levels=(2, 3), write=power_sum_remainder),
)
