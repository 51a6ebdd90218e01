"""Divisors, greatest common divisors, factorials, coins."""

from __future__ import annotations

from itertools import product
from math import factorial, gcd, lcm, prod
from random import Random

from polythink.examples.template import Draft, Template, agree


def _factors(number: int) -> dict[int, int]:
    """Prime factors with their exponents.

    >>> _factors(360)
    {2: 3, 3: 2, 5: 1}
    """
    found: dict[int, int] = {}
    prime = 2
    while number > 1:
        while number % prime == 0:
            found[prime] = found.get(prime, 0) + 1
            number //= prime
        prime += 1
    return found


def _divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def divisors_that_are_multiples(rng: Random, level: int) -> Draft:
    number = rng.choice({1: [360, 420, 540], 2: [2520, 3600, 7560], 3: [27720, 30240, 50400]}[level])
    base = rng.choice([6, 10, 12])
    by_hand = sum(1 for d in _divisors(number) if d % base == 0)
    by_formula = prod(exponent + 1 for exponent in _factors(number // base).values())
    return Draft(
        text=f"How many positive divisors of {number} are multiples of {base}?", answer=agree(by_hand, by_formula)
    )


def shared_divisor_with_bound(rng: Random, level: int) -> Draft:
    bound = rng.choice({1: [90, 84, 96], 2: [420, 540, 600], 4: [9240, 10080, 7920]}[level])
    shared = rng.choice([d for d in (4, 5, 6, 12) if bound % d == 0])
    quotient = bound // shared
    by_hand = sum(1 for n in range(1, bound + 1) if gcd(n, bound) == shared)
    totient = quotient
    for prime in _factors(quotient):
        totient -= totient // prime
    return Draft(
        text=f"Find the number of integers n with 1 <= n <= {bound} for which the greatest common divisor of n and "
        f"{bound} is exactly {shared}.",
        answer=agree(by_hand, totient),
    )


def factorial_zeros(rng: Random, level: int) -> Draft:
    top = rng.randrange(*{2: (50, 150), 3: (150, 320), 4: (320, 700)}[level])
    base = {2: 10, 3: 12, 4: 45}[level]
    value, by_hand = factorial(top), 0
    while value % base == 0:
        value, by_hand = value // base, by_hand + 1
    by_legendre = min(
        sum(top // prime**k for k in range(1, 12)) // exponent for prime, exponent in _factors(base).items()
    )
    numeral = "" if base == 10 else f" in base {base}"
    return Draft(
        text=f"When the number {top}! (the product of the integers from 1 to {top}) is written out{numeral}, with how "
        f"many zeros does it end?",
        answer=agree(by_hand, by_legendre),
    )


def odd_divisor_sum(rng: Random, level: int) -> Draft:
    number = rng.choice({1: [180, 240, 300], 3: [4200, 6300, 5280]}[level])
    by_hand = sum(d for d in _divisors(number) if d % 2)
    by_formula = prod(sum(p**k for k in range(e + 1)) for p, e in _factors(number).items() if p != 2)
    return Draft(
        text=f"What is the sum of all positive odd integers that divide {number}?", answer=agree(by_hand, by_formula)
    )


def _reachable(coins: list[int], bound: int) -> list[bool]:
    payable = [True] + [False] * bound
    for amount in range(1, bound + 1):
        payable[amount] = any(amount >= coin and payable[amount - coin] for coin in coins)
    return payable


def _largest_unpayable(coins: list[int]) -> int:
    """By the cheapest amount in each residue class of the smallest coin: the largest of those, less that coin."""
    smallest = min(coins)
    cheapest = [min(c[0] for c in _sums(coins, smallest) if c[1] == residue) for residue in range(smallest)]
    return max(cheapest) - smallest


def _sums(coins: list[int], smallest: int) -> list[tuple[int, int]]:
    others = [coin for coin in coins if coin != smallest]
    totals = [
        sum(n * c for n, c in zip(ns, others, strict=True)) for ns in product(range(smallest), repeat=len(others))
    ]
    return [(total, total % smallest) for total in totals]


def unpayable_amount(rng: Random, level: int) -> Draft:
    coins = rng.choice(
        {1: [[5, 7], [4, 9], [5, 8]], 2: [[11, 15], [13, 16], [9, 17]], 4: [[11, 14, 20], [12, 17, 25], [13, 18, 21]]}[
            level
        ]
    )
    payable = _reachable(coins, coins[0] * coins[1])
    by_hand = max(amount for amount, can in enumerate(payable) if not can)
    values = f"{coins[0]} and {coins[1]}" if len(coins) == 2 else f"{coins[0]}, {coins[1]} and {coins[2]}"
    return Draft(
        text=f"An island mints coins worth {values} shells and no others. Its people have as many of each as they "
        f"like, but never give change. What is the largest whole number of shells that cannot be paid exactly?",
        answer=agree(by_hand, _largest_unpayable(coins)),
    )


def difference_of_squares(rng: Random, level: int) -> Draft:
    number = rng.choice({2: [105, 144, 96], 3: [720, 945, 1155], 4: [5040, 10395, 7200]}[level])
    squares = {k * k for k in range(1, number + 1)}
    by_hand = sum(1 for y in range(1, number) if y * y + number in squares)
    by_factors = sum(1 for d in _divisors(number) if d * d < number and (d + number // d) % 2 == 0)
    return Draft(
        text=f"For how many ordered pairs (x, y) of positive integers is x^2 - y^2 = {number}?",
        answer=agree(by_hand, by_factors),
    )


def pairs_with_lcm(rng: Random, level: int) -> Draft:
    multiple = rng.choice({2: [72, 100, 108], 3: [360, 504, 600], 4: [2520, 3960, 4200]}[level])
    divisors = _divisors(multiple)
    by_hand = sum(1 for a, b in product(divisors, repeat=2) if lcm(a, b) == multiple)
    by_formula = prod(2 * exponent + 1 for exponent in _factors(multiple).values())
    return Draft(
        text=f"Determine the number of ordered pairs (a, b) of positive integers whose least common multiple is "
        f"{multiple}.",
        answer=agree(by_hand, by_formula),
    )


_FAMILY = "number theory"
TEMPLATES = (
    Template(family=_FAMILY, levels=(1, 2, 3), write=divisors_that_are_multiples),
    Template(family=_FAMILY, levels=(1, 2, 4), write=shared_divisor_with_bound),
    Template(family=_FAMILY, levels=(2, 3, 4), write=factorial_zeros),
    Template(family=_FAMILY, levels=(1, 3), write=odd_divisor_sum),
    Template(family=_FAMILY, levels=(1, 2, 4), write=unpayable_amount),
    Template(family=_FAMILY, levels=(2, 3, 4), write=difference_of_squares),
    Template(family=_FAMILY, levels=(2, 3, 4), write=pairs_with_lcm),
)
