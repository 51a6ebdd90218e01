"""Requests in flight at an endpoint that tells no limits. No clock: time is passed in, in seconds.

Additive increase, multiplicative decrease (Chiu and Jain, 1989), with a saturation gate: a window that was not full
proves nothing about what it could hold.
"""

from __future__ import annotations

import math

FIRST = 16.0
CUT = 0.7
ONE_CUT_S = 1.0  # refusals within this time are one piece of news
FULL = 0.8  # of the window in use


class Window:
    """Doubles until the first refusal, then creeps."""

    def __init__(self) -> None:
        self.size = FIRST
        self._was_refused = False
        self._cut_at = -math.inf

    def answered(self, count: int, *, running: int) -> None:
        """So many were answered while `running` were in flight."""
        if running >= FULL * self.size:
            self.size += count / self.size if self._was_refused else count

    def refused(self, now: float) -> None:
        """The endpoint said that it is too much."""
        if now - self._cut_at >= ONE_CUT_S:
            self.size = max(1.0, self.size * CUT)
            self._was_refused, self._cut_at = True, now
