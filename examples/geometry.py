"""Points, triangles and squares on lattices."""

from __future__ import annotations

from itertools import combinations
from math import comb, gcd
from random import Random

from polythink.examples.template import Draft, Template, agree, spelled

Point = tuple[int, int]


def _turn(a: Point, b: Point, c: Point) -> int:
    """Twice the signed area of the triangle abc."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _strictly_inside(p: Point, corners: tuple[Point, Point, Point]) -> bool:
    a, b, c = corners
    turns = (_turn(a, b, p), _turn(b, c, p), _turn(c, a, p))
    return all(t > 0 for t in turns) or all(t < 0 for t in turns)


def points_in_triangle(rng: Random, level: int) -> Draft:
    size = {2: 10, 3: 25, 4: 60}[level]
    b, c = (0, 0), (0, 0)
    while abs(_turn((0, 0), b, c)) < size * size // 3:
        b, c = (
            (rng.randrange(size // 2, size), rng.randrange(1, size // 3)),
            (rng.randrange(1, size // 2), rng.randrange(size // 2, size)),
        )
    corners = ((0, 0), b, c)
    by_hand = sum(_strictly_inside((x, y), corners) for x in range(size) for y in range(size))
    edge = sum(gcd(p[0] - q[0], p[1] - q[1]) for p, q in combinations(corners, 2))
    by_pick = (abs(_turn(*corners)) - edge + 2) // 2
    return Draft(
        text=f"A triangle in the coordinate plane has vertices (0, 0), {b} and {c}. How many points with integer "
        f"coordinates lie strictly inside it?",
        answer=agree(by_hand, by_pick),
    )


def squares_in_dots(rng: Random, level: int) -> Draft:
    side = rng.randrange(*{2: (4, 7), 3: (5, 8)}[level])
    upright = level == 2
    dots = {(x, y) for x in range(side) for y in range(side)}
    slants = [(x, y) for x in range(1, side) for y in range(1 if upright else side)]
    by_hand = sum(
        {(x + u, y + v), (x + u - v, y + v + u), (x - v, y + u)} <= dots
        for x, y in dots
        for u, v in slants
        if not upright or v == 0
    )
    by_formula = sum((side - k) ** 2 * (1 if upright else k) for k in range(1, side))
    which = (
        "with horizontal and vertical sides" if upright else "of any size and in any position, tilted ones included,"
    )
    return Draft(
        text=f"Dots are drawn at the points (x, y) where x and y are integers from 1 to {side}. How many squares "
        f"{which} have all four corners at dots?",
        answer=agree(by_hand, by_formula),
    )


def points_on_circle(rng: Random, level: int) -> Draft:
    square = rng.choice({2: [25, 50, 65, 85], 3: [325, 425, 650], 4: [1105, 5525, 4225]}[level])
    radius = int(square**0.5) + 1
    by_hand = sum(x * x + y * y == square for x in range(-radius, radius + 1) for y in range(-radius, radius + 1))
    divisors = [d for d in range(1, square + 1) if square % d == 0]
    by_divisors = 4 * (sum(d % 4 == 1 for d in divisors) - sum(d % 4 == 3 for d in divisors))
    return Draft(
        text=f"How many points (x, y) with integer coordinates lie on the circle x^2 + y^2 = {square}?",
        answer=agree(by_hand, by_divisors),
    )


def tiles_under_diagonal(rng: Random, level: int) -> Draft:
    common = {1: 2, 2: rng.choice([12, 18, 21])}[level]
    across, along = rng.choice([(3, 5), (4, 7), (5, 8)])
    wide, long = across * common, along * common
    by_hand = sum(x * wide < (y + 1) * long and (x + 1) * wide > y * long for x in range(long) for y in range(wide))
    floor = rng.choice(["ballroom", "kitchen", "courtyard"])
    return Draft(
        text=f"The rectangular floor of a {floor} is paved with {wide} rows of {long} square tiles. A beetle walks in "
        f"a straight line from one corner of the floor to the opposite corner. Over the interiors of how many tiles "
        f"does it pass?",
        answer=agree(by_hand, wide + long - gcd(wide, long)),
    )


def triangles_of_perimeter(rng: Random, level: int) -> Draft:
    perimeter = rng.randrange(*{2: (12, 25), 3: (40, 80), 4: (120, 200)}[level])
    by_hand = sum(
        1 for a in range(1, perimeter) for b in range(a, (perimeter - a) // 2 + 1) if a + b > perimeter - a - b
    )
    # Alcuin's sequence: n^2/48, or (n + 3)^2/48 for odd n, to the nearest integer.
    effective = perimeter if perimeter % 2 == 0 else perimeter + 3
    return Draft(
        text=f"How many triangles, no two of them congruent, have sides of integer length and perimeter {perimeter}?",
        answer=agree(by_hand, (2 * effective * effective + 48) // 96),
    )


def points_in_diamond(rng: Random, level: int) -> Draft:
    reach = rng.randrange(*{1: (6, 13), 2: (15, 22)}[level])
    plane = [(x, y) for x in range(-reach, reach + 1) for y in range(-reach, reach + 1)]
    by_hand = sum(abs(x) + abs(y) <= reach for x, y in plane)
    return Draft(
        text=f"A taxi may drive along the streets of a city whose crossings are the points with integer coordinates. "
        f"How many crossings, the starting one included, can it reach from (0, 0) by a drive of at most "
        f"{spelled(reach)} blocks?",
        answer=agree(by_hand, 2 * reach * (reach + 1) + 1),
    )


def triangles_in_dots(rng: Random, level: int) -> Draft:
    wide, high = rng.choice({3: [(3, 3), (4, 2)], 4: [(4, 3), (5, 3)], 5: [(4, 4), (5, 4), (6, 3)]}[level])
    dots = [(x, y) for x in range(wide) for y in range(high)]
    by_hand = sum(1 for corners in combinations(dots, 3) if _turn(*corners) != 0)
    # Collinear triples by their outer two dots: any dot strictly between them may be the middle one.
    collinear = sum(gcd(a[0] - b[0], a[1] - b[1]) - 1 for a, b in combinations(dots, 2))
    return Draft(
        text=f"The {wide * high} points (x, y) whose coordinates are integers with 1 <= x <= {wide} and 1 <= y <= "
        f"{high} are marked in the plane. How many triangles of positive area have all three vertices at marked "
        f"points?",
        answer=agree(by_hand, comb(len(dots), 3) - collinear),
    )


_FAMILY = "lattice geometry"
TEMPLATES = (
    Template(family=_FAMILY, levels=(2, 3, 4), write=points_in_triangle),
    Template(family=_FAMILY, levels=(2, 3), write=squares_in_dots),
    Template(family=_FAMILY, levels=(2, 3, 4), write=points_on_circle),
    Template(family=_FAMILY, levels=(1, 2), write=tiles_under_diagonal),
    Template(family=_FAMILY, levels=(2, 3, 4), write=triangles_of_perimeter),
    Template(family=_FAMILY, levels=(1, 2), write=points_in_diamond),
    Template(family=_FAMILY, levels=(3, 4, 5), write=triangles_in_dots),
)
