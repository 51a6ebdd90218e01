"""How long a sample waits before it is tried again."""

from __future__ import annotations

import random

BASE_S = 0.5
CEILING_S = 60.0


def backoff_s(strikes: int, rng: random.Random) -> float:
    """Seconds to wait after `strikes` failures (from 1): exponential with full jitter.

    Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    >>> 0 <= backoff_s(1, random.Random(0)) <= 1.0
    True
    """
    return rng.uniform(0, min(CEILING_S, BASE_S * 2.0**strikes))


def longer_s(failures: int) -> float:
    """Seconds between two tries of something only one process does, after so many failures in a row (from 1).

    >>> [longer_s(failures) for failures in (1, 2, 10)]
    [1.0, 2.0, 60.0]
    """
    return min(CEILING_S, BASE_S * 2.0**failures)
