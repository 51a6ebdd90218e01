"""Token buckets that refill continuously. Pure: time is a parameter, in seconds of whatever clock is used."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Holds up to `capacity`, refills at `rate` a second, and may be overdrawn, after which it first fills the debt."""

    rate: float  # a second
    capacity: float
    level: float
    updated: float  # time of `level`

    @classmethod
    def full(cls, per_minute: float, burst_seconds: float, now: float) -> Bucket:
        """A full bucket for a limit per minute that holds `burst_seconds` of it, but at least 1."""
        rate = per_minute / 60
        capacity = max(1.0, rate * burst_seconds)
        return cls(rate=rate, capacity=capacity, level=capacity, updated=now)

    def level_at(self, now: float) -> float:
        """What it holds at `now`, never more than its capacity."""
        return min(self.capacity, self.level + self.rate * max(0.0, now - self.updated))

    def holds(self, amount: float, now: float) -> bool:
        """Whether this much can be granted. More than the capacity is granted when the bucket is full."""
        return self.level_at(now) >= min(amount, self.capacity) - 1e-9

    def take(self, amount: float, now: float) -> None:
        """Remove this much, into debt if need be; a negative amount gives back."""
        self.level = min(self.capacity, self.level_at(now) - amount)
        self.updated = max(self.updated, now)

    def seconds_until(self, amount: float, now: float) -> float:
        """Seconds until `holds(amount)`; 0 if it does already."""
        missing = min(amount, self.capacity) - self.level_at(now)
        return max(0.0, missing / self.rate) if missing > 0 else 0.0

    def seconds_until_full(self, now: float) -> float:
        return max(0.0, (self.capacity - self.level_at(now)) / self.rate)

    def resized(self, per_minute: float, burst_seconds: float, now: float) -> Bucket:
        """The same bucket under another limit: as full as before, or as deep in debt."""
        fresh = Bucket.full(per_minute, burst_seconds, now)
        level = self.level_at(now)
        fresh.level = level / self.capacity * fresh.capacity if level > 0 else level
        return fresh


def whole_seconds(seconds: float) -> int:
    """Seconds as a retry-after header gives them: whole, rounded up, at least 1."""
    return max(1, math.ceil(seconds - 1e-9))
