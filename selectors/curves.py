"""How accuracy grows with samples: the expectation over all k-subsets, averaged over problems, with a band."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from polythink.selectors.bands import bootstrap
from polythink.selectors.panel import Panel, Reals

CurveFunction = Callable[[Panel, list[int]], Reals]  # per problem and k, [P, K]; NaN where n < k


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One point of a curve."""

    n: int  # samples per problem
    accuracy: float  # 0..1
    low: float  # 0..1
    high: float  # 0..1
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
    band = bootstrap(function(panel, ks), seed)
    columns = zip(ks, band.mean.tolist(), band.low.tolist(), band.high.tolist(), band.problems, strict=True)
    return [CurvePoint(n=n, accuracy=a, low=lo, high=hi, problems=p) for n, a, lo, hi, p in columns]
