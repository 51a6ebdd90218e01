"""Paths and walks on grids and graphs; colourings and spanning trees."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import combinations, product
from math import comb, factorial
from random import Random

from polythink.examples.template import Draft, Template, agree, spelled

Edge = tuple[int, int]


def _grid_routes(wide: int, high: int, allowed: Callable[[int, int], bool]) -> int:
    """Routes from (0, 0) to (wide, high) by unit steps right or up through allowed points only."""
    routes = {(0, 0): 1}
    for x, y in product(range(wide + 1), range(high + 1)):
        if (x, y) != (0, 0):
            routes[x, y] = routes.get((x - 1, y), 0) + routes.get((x, y - 1), 0) if allowed(x, y) else 0
    return routes[wide, high]


def closed_crossing(rng: Random, level: int) -> Draft:
    wide, high = rng.choice({1: [(4, 3), (4, 4)], 2: [(6, 5), (7, 5)], 3: [(8, 7), (9, 6)]}[level])
    x, y = rng.randrange(1, wide), rng.randrange(1, high)
    by_hand = _grid_routes(wide, high, lambda a, b: (a, b) != (x, y))
    through = comb(x + y, x) * comb(wide - x + high - y, wide - x)
    return Draft(
        text=f"A courier cycles from (0, 0) to ({wide}, {high}) on a square grid of streets, always one block east or "
        f"one block north at a time. The crossing at ({x}, {y}) is closed. How many routes can the courier take?",
        answer=agree(by_hand, comb(wide + high, wide) - through),
    )


def never_behind(rng: Random, level: int) -> Draft:
    first, second = rng.choice({3: [(6, 4), (7, 5)], 4: [(9, 6), (8, 7)], 5: [(11, 8), (12, 9)]}[level])
    by_hand = _grid_routes(first, second, lambda a, b: a >= b)
    by_reflection = comb(first + second, second) - comb(first + second, second - 1)
    return Draft(
        text=f"Two clubs meet in a match of {first + second} points, each won by one club or the other. The home club "
        f"wins {first} of them and the visitors win {second}. In how many orders can the points be won if the "
        f"visitors are never in the lead?",
        answer=agree(by_hand, by_reflection),
    )


def king_routes(rng: Random, level: int) -> Draft:
    wide, high = rng.choice({2: [(4, 3), (3, 3)], 3: [(5, 4), (6, 4)], 4: [(7, 6), (8, 5)]}[level])

    @cache
    def routes(x: int, y: int) -> int:
        return 1 if x == 0 or y == 0 else routes(x - 1, y) + routes(x, y - 1) + routes(x - 1, y - 1)

    by_formula = sum(comb(wide, k) * comb(high, k) * 2**k for k in range(min(wide, high) + 1))
    return Draft(
        text="A token stands at (0, 0). In one move it goes one unit to the right, one unit up, or diagonally one "
        f"unit to the right and one up. In how many ways can it reach ({wide}, {high})?",
        answer=agree(routes(wide, high), by_formula),
    )


def _walks(edges: list[Edge], start: int, end: int, steps: int) -> int:
    here = {start: 1}
    for _ in range(steps):
        there: dict[int, int] = {}
        for a, b in [*edges, *((b, a) for a, b in edges)]:
            there[b] = there.get(b, 0) + here.get(a, 0)
        here = there
    return here.get(end, 0)


def round_of_flights(rng: Random, level: int) -> Draft:
    towns, steps = rng.choice({2: [(4, 4), (4, 5)], 3: [(5, 6), (6, 5)], 4: [(6, 8), (7, 7)]}[level])
    edges = list(combinations(range(towns), 2))
    by_formula = ((towns - 1) ** steps + (towns - 1) * (-1) ** steps) // towns
    return Draft(
        text=f"Direct flights join every pair of {spelled(towns)} towns. A pilot makes {spelled(steps)} flights, each "
        f"from the town where the one before it ended. The first leaves from her home town and the last must land "
        f"there, which she may also pass through in between. How many such journeys are there?",
        answer=agree(_walks(edges, 0, 0, steps), by_formula),
    )


def hexagon_walks(rng: Random, level: int) -> Draft:
    steps = {3: rng.choice([6, 8]), 4: rng.choice([10, 12])}[level]
    edges = [(k, (k + 1) % 6) for k in range(6)]
    by_turns = sum(comb(steps, lefts) for lefts in range(steps + 1) if (2 * lefts - steps) % 6 == 0)
    return Draft(
        text=f"A frog sits at a vertex of a regular hexagon. With each jump it moves to one of the two neighbouring "
        f"vertices. How many different sequences of {spelled(steps)} jumps bring it back to where it began?",
        answer=agree(_walks(edges, 0, 0, steps), by_turns),
    )


def _connected(towns: int, edges: tuple[Edge, ...]) -> bool:
    reached = {0}
    for _ in range(towns):
        reached |= {v for edge in edges for v in edge if reached & set(edge)}
    return len(reached) == towns


def _determinant(rows: list[list[Fraction]]) -> Fraction:
    result = Fraction(1)
    for k in range(len(rows)):
        pivot = next(i for i in range(k, len(rows)) if rows[i][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        result *= rows[k][k] if pivot == k else -rows[k][k]
        for i in range(k + 1, len(rows)):
            ratio = rows[i][k] / rows[k][k]
            rows[i] = [a - ratio * b for a, b in zip(rows[i], rows[k], strict=True)]
    return result


def _spanning_trees(towns: int, edges: list[Edge]) -> int:
    """Kirchhoff's theorem: any cofactor of the Laplacian."""
    laplacian = [[Fraction(0)] * towns for _ in range(towns)]
    for a, b in edges:
        for u, v in ((a, b), (b, a)):
            laplacian[u][u] += 1
            laplacian[u][v] -= 1
    return int(_determinant([row[1:] for row in laplacian[1:]]))


def cables_to_keep(rng: Random, level: int) -> Draft:
    left, right = {4: (2, 4), 5: (3, 4)}[level]
    nodes = left + right
    edges = [(a, left + b) for a in range(left) for b in range(right)]
    by_hand = sum(_connected(nodes, kept) for kept in combinations(edges, nodes - 1))
    return Draft(
        text=f"Each of {spelled(left)} servers is joined by a cable to each of {spelled(right)} printers, and there "
        f"are no other cables. In how many ways can exactly {spelled(nodes - 1)} of the cables be kept so that any "
        f"two of the machines are still joined, directly or by way of others?",
        answer=agree(by_hand, _spanning_trees(nodes, edges), left ** (right - 1) * right ** (left - 1)),
    )


def garden_beds(rng: Random, level: int) -> Draft:
    beds, colours = rng.choice({2: [(4, 3), (5, 3)], 3: [(6, 4), (7, 3)], 4: [(8, 4), (7, 5)]}[level])
    plans = product(range(colours), repeat=beds)
    by_hand = sum(1 for plan in plans if all(plan[k] != plan[k - 1] for k in range(beds)))
    by_formula = (colours - 1) ** beds + (-1) ** beds * (colours - 1)
    return Draft(
        text=f"Around a fountain lie {spelled(beds)} flower beds in a ring. A gardener plants each with tulips of one "
        f"of {spelled(colours)} colours so that neighbouring beds differ. How many plans are possible, if plans that "
        f"differ by a rotation count as different?",
        answer=agree(by_hand, by_formula),
    )


def peaceful_rooks(rng: Random, level: int) -> Draft:
    size, rooks = {1: (4, 2), 2: (5, 3), 3: (6, 4)}[level]
    cells = list(product(range(size), repeat=2))
    boards = combinations(cells, rooks)
    by_hand = sum(1 for b in boards if len({x for x, _ in b}) == len({y for _, y in b}) == rooks)
    return Draft(
        text=f"In how many ways can {spelled(rooks)} identical rooks be placed on a {size} by {size} board so that no "
        f"two of them stand in the same row or column?",
        answer=agree(by_hand, comb(size, rooks) ** 2 * factorial(rooks)),
    )


_FAMILY = "grids and graphs"
TEMPLATES = (
    Template(family=_FAMILY, levels=(1, 2, 3), write=closed_crossing),
    Template(family=_FAMILY, levels=(3, 4, 5), write=never_behind),
    Template(family=_FAMILY, levels=(2, 3, 4), write=king_routes),
    Template(family=_FAMILY, levels=(2, 3, 4), write=round_of_flights),
    Template(family=_FAMILY, levels=(3, 4), write=hexagon_walks),
    Template(family=_FAMILY, levels=(4, 5), write=cables_to_keep),
    Template(family=_FAMILY, levels=(2, 3, 4), write=garden_beds),
    Template(family=_FAMILY, levels=(1, 2, 3), write=peaceful_rooks),
)
