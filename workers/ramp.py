"""How fast starting may grow after a cold start or a stop. No clock: time is passed in, in seconds."""

from __future__ import annotations

import math

FLOOR = 20.0  # starts a second that are never too many
DOUBLING_S = 1.0  # seconds in which the rate may double
SLOWER = 4.0  # times slower after the API said that we grow too fast
RELAXES_S = 600.0  # seconds without another such word until growth is as at first
BURST_S = 0.3  # seconds of its rate that may start at once


class Ramp:
    """A rate of starts that doubles and doubles until it no longer binds."""

    def __init__(self, now: float) -> None:
        self._rate = FLOOR
        self._room = FLOOR * BURST_S
        self._doubling_s = DOUBLING_S
        self._slowed_at = -math.inf
        self._at = now

    def room(self, now: float) -> float:
        """How many requests may start now."""
        self._advance(now)
        return self._room

    def start(self, count: int, now: float) -> None:
        self._advance(now)
        self._room -= count

    def restart(self, now: float) -> None:
        """Begin again, from where a stop left things."""
        self._at = max(self._at, now)
        self._rate = FLOOR
        self._room = FLOOR * BURST_S

    def slow(self, now: float, *, at_most: float) -> None:
        """The API said that we grow too fast, starting `at_most` a second: half of it, and slower from there."""
        self._advance(now)
        self._rate = max(1.0, min(self._rate, at_most) / 2)
        self._room = min(self._room, 0.0)
        self._doubling_s = min(DOUBLING_S * SLOWER**3, self._doubling_s * SLOWER)
        self._slowed_at = now

    def _advance(self, now: float) -> None:
        seconds = max(0.0, now - self._at)
        self._at = max(self._at, now)
        if now - self._slowed_at > RELAXES_S:
            self._doubling_s = DOUBLING_S
        doublings = min(seconds / self._doubling_s, 40.0)
        grown = min(self._rate * 2.0**doublings, 1e9)
        self._room = min(grown * BURST_S + 1, self._room + (self._rate + grown) / 2 * seconds)
        self._rate = grown
