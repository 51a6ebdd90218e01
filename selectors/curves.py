"""How accuracy grows with samples: the expectation over all k-subsets, averaged over problems, with a band."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from polythink.selectors.bands import bootstrap
from polythink.selectors.expectation import Expectation
from polythink.selectors.panel import Panel, Reals

CurveFunction = Callable[[Panel, list[int]], Expectation]  # for ascending k


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One point of a curve."""

    n: int  # samples per problem
    accuracy: float  # 0..1
    low: float  # 0..1
    high: float  # 0..1
    error: float  # standard error of the accuracy from drawing subsets of samples; 0 where all were counted
    problems: int  # with at least n samples: the average is over these


def grid(samples: int) -> list[int]:
    """1, 2, 4, 8, ... up to the number of samples, and that number.

    >>> grid(12), grid(8), grid(1)
    ([1, 2, 4, 8, 12], [1, 2, 4, 8], [1])
    """
    powers = [2**exponent for exponent in range(samples.bit_length())]
    return powers if powers[-1] == samples else [*powers, samples]


def curve(panel: Panel, function: CurveFunction, seed: int = 0) -> list[CurvePoint]:
    """The curve over the panel's problems, up to the largest number of samples any of them has.

    A problem counts for n only if it has at least n samples; `problems` says how many do.
    """
    if not len(panel.samples):
        return []
    ks = grid(int(panel.samples.max()))
    found = function(panel, ks)
    band = bootstrap(found.values, seed, families=panel.family)
    errors = _added(found) / np.array(band.problems)
    columns = zip(ks, *(c.tolist() for c in (band.mean, band.low, band.high, errors)), band.problems, strict=True)
    return [CurvePoint(n=n, accuracy=a, low=lo, high=hi, error=e, problems=p) for n, a, lo, hi, e, p in columns]


def _added(found: Expectation) -> Reals:
    """[K] the standard error of the sum over problems: equal rows are of one draw, which goes by votes."""
    drawn = found.errors.any(axis=1)
    rows = np.column_stack([np.nan_to_num(found.values[drawn], nan=-1.0), found.errors[drawn]])
    _, first, alike = np.unique(rows, axis=0, return_index=True, return_counts=True)
    return np.asarray(np.sqrt(((found.errors[drawn][first] * alike[:, None]) ** 2).sum(axis=0)))
