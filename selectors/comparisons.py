"""Arms against each other on the same problems: paired differences, their bands, and how likely chance is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from polythink.selectors.bands import bootstrap, by_family
from polythink.selectors.panel import Ints, Reals

DRAWS = 10_000  # sign flips drawn, at least, where going through all takes more
DRAWS_PER_PAIR = 100  # so that an adjusted p can fall to 0.01 however many pairs there are
MAX_DRAWS = 100_000
_BLOCK = 1_000  # sign flips held at a time
MAX_EXACT_FAMILIES = 13  # 2^13 sign flips are gone through
_EQUAL = 1e-9  # sums that differ by less are the same sum added up in another order


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The first arm against the second, over the problems that both have."""

    first: str  # arm_id
    second: str  # arm_id
    problems: int
    difference: float  # -1..1, accuracy of the first less that of the second
    low: float  # band of the difference, by bootstrap over problems
    high: float
    p_value: float  # two-sided sign-flip test
    p_holm: float  # adjusted for the number of comparisons made together
    effect: float | None  # difference over the standard deviation of the problems' differences; None where that is 0


def compare(
    accuracies: Mapping[str, tuple[Ints, Reals]], seed: int = 0, *, families: Ints | None = None
) -> list[Comparison]:
    """Every pair of arms, in their order; pairs without a problem in common are left out.

    The test flips the sign of each family's differences, which under the hypothesis that the arms are alike changes
    nothing: p is the share of flips whose mean is at least as far from 0 (Edgington and Onghena 2007, chapter 5). All
    flips are gone through for few families, else DRAWS and more are drawn and the observed one is counted among them.
    Holm 1979 adjusts for all pairs at once.

    Args:
        accuracies: by arm_id, the numbers of its problems and its expected correctness on each, both [P].
        seed: of the draws.
        families: [N] by a problem's number, any numbering; None: each problem is one of its own.
    """
    pairs, columns = [], []
    numbers = np.unique(np.concatenate([problem for problem, _ in accuracies.values()] or [np.empty(0, np.int64)]))
    aligned = {arm: _aligned(numbers, *found) for arm, found in accuracies.items()}
    for first, second in combinations(aligned, 2):
        difference = aligned[first] - aligned[second]
        if not np.isnan(difference).all():
            pairs.append((first, second))
            columns.append(difference)
    if not pairs:
        return []
    values = np.stack(columns, axis=1)
    groups = None if families is None else families[numbers]
    band, p_values = bootstrap(values, seed, families=groups), sign_flips(values, seed, groups)
    rows = zip(pairs, values.T, p_values.tolist(), holm(p_values).tolist(), strict=True)
    return [
        Comparison(
            first=pair[0],
            second=pair[1],
            problems=band.problems[place],
            difference=float(band.mean[place]),
            low=float(band.low[place]),
            high=float(band.high[place]),
            p_value=p_value,
            p_holm=p_holm,
            effect=_effect(column[~np.isnan(column)]),
        )
        for place, (pair, column, p_value, p_holm) in enumerate(rows)
    ]


def sign_flips(values: Reals, seed: int = 0, families: Ints | None = None) -> Reals:
    """Two-sided p of differences that are symmetric about 0 by hypothesis, per column of [P, C]; NaN counts as none.

    Problems of one of the [P] families change their signs together.
    """
    filled = by_family(np.nan_to_num(values), families)
    observed = np.abs(filled.sum(axis=0))
    if len(filled) <= MAX_EXACT_FAMILIES:
        sums = np.abs(np.array(list(product((-1.0, 1.0), repeat=len(filled)))) @ filled)
        return np.asarray((sums >= observed - _EQUAL).mean(axis=0))
    rng = np.random.default_rng(seed)
    reached = np.ones(values.shape[1])
    draws = min(max(DRAWS, -(-DRAWS_PER_PAIR * values.shape[1] // _BLOCK) * _BLOCK), MAX_DRAWS)
    for _ in range(draws // _BLOCK):
        signs = rng.integers(0, 2, (_BLOCK, len(filled))) * 2.0 - 1.0
        reached += (np.abs(signs @ filled) >= observed - _EQUAL).sum(axis=0)
    return np.asarray(reached / (draws + 1))


def holm(p_values: Reals) -> Reals:
    """Step-down adjusted p-values (Holm 1979): the chance of one false finding among all stays below the level.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    raised = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


def _aligned(numbers: Ints, problem: Ints, values: Reals) -> Reals:
    """The values at their problem's place among all numbers, NaN elsewhere."""
    aligned = np.full(len(numbers), np.nan)
    aligned[np.searchsorted(numbers, problem)] = values
    return aligned


def _effect(differences: Reals) -> float | None:
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return float(differences.mean()) / spread if spread > _EQUAL else None
