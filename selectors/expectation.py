"""What a curve is made of: expected correctness per problem and number of samples, and how exactly it is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polythink.selectors.panel import Reals


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Expected correctness over all k-subsets of a problem's samples."""

    values: Reals  # [P, K] 0..1; NaN where the problem has fewer than k samples
    errors: Reals  # [P, K] standard error of the value from drawing subsets; 0 where every subset was counted


def exact(values: Reals) -> Expectation:
    """Values known without drawing."""
    return Expectation(values=values, errors=np.zeros_like(values))
