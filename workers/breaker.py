"""The circuit breaker of an endpoint that is out of service. No clock: time is passed in, in seconds."""

from __future__ import annotations

from enum import Enum

TRIPS_AFTER = 10  # overloads without a single answer between them
PROBE_EVERY_S = 1.0


class Circuit(Enum):
    CLOSED = "closed"  # in service
    OPEN = "open"  # nothing starts
    PROBING = "probing"  # one request may start, to see


class Breaker:
    """Opens when nothing but overloads comes back; then lets one request through a second until one is answered."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._next_probe_at: float | None = None  # set while open

    def state(self, now: float) -> Circuit:
        if self._next_probe_at is None:
            return Circuit.CLOSED
        return Circuit.PROBING if now >= self._next_probe_at else Circuit.OPEN

    def seconds_to_probe(self, now: float) -> float:
        """0 unless open."""
        return 0.0 if self._next_probe_at is None else max(0.0, self._next_probe_at - now)

    def probe(self, now: float) -> None:
        """A probe starts."""
        self._next_probe_at = now + PROBE_EVERY_S

    def hear(self, *, answered: int, overloads: int, now: float) -> bool:
        """Take in how requests ended. True if the endpoint has just come back."""
        if answered:
            came_back = self._next_probe_at is not None
            self._next_probe_at, self._in_a_row = None, 0
            return came_back
        self._in_a_row += overloads
        if self._in_a_row >= TRIPS_AFTER and self._next_probe_at is None:
            self._next_probe_at = now + PROBE_EVERY_S
        return False
