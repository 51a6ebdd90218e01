"""Requests in flight at an endpoint that tells no limits. No clock: time is passed in, in seconds.

Two things hold it back. A refusal cuts it, after which it creeps: additive increase, multiplicative decrease (Chiu and
Jain, 1989). And a server that refuses nothing, but gets slower by as much as it is given more, is at its capacity: by
Little's law (Operations Research, 1961) streams in flight = output a second / output a second of one stream, so what
one stream yields, against what it yields where it runs freely, tells how many more there are than the server can use.
A window that was not full proves nothing about what it could hold.
"""

from __future__ import annotations

import math
from collections import defaultdict

FIRST = 8.0
GROWTH = 4.0  # times larger after each look, until streams first slow each other down
HEADROOM = 1.25  # times the streams that capacity needs, so that it is never idle, and a greater one is noticed
SLOWED = 0.8  # of a free stream's yield: below, streams slow each other down
OVERHEAD_TOKENS = 100.0  # a request counts as so much output beside its own: the time until it begins
GROWN_AFTER = 0.25  # of the window must have ended, of what began since the last look, while it still grows so
LOOK_AFTER = 1.0  # and later, when it matters how much slower streams are
LOOK_AFTER_LEAST = 20  # requests
CUT = 0.7
ONE_CUT_S = 1.0  # refusals within this time are one piece of news
TRUSTED = 50  # ended requests: fewer are as fast as they are by chance
LEAST = 1.0
FULL = 0.8  # of the window in use


class Window:
    """Grows as long as that brings more."""

    def __init__(self, now: float) -> None:
        self.size = FIRST
        self._was_refused = self._was_slowed = False
        self._cut_at = -math.inf
        self._free: dict[str, float] = {}  # kind -> yield a second of a stream where it runs freely
        self._before: tuple[float, float] | None = None  # size and share of that yield, where it began to shrink
        self._look(now)

    def answered(self, count: int, *, running: int) -> None:
        """So many were answered while `running` were in flight."""
        if running >= FULL * math.floor(self.size):
            self._is_full = True
            if self._was_refused:
                self.size += count / self.size

    def ended(self, kind: str, *, tokens: int, began_at: float, now: float) -> None:
        """A request got its reply. Kinds differ in length and speed."""
        if began_at < self._since:
            return
        self._yields[kind] += tokens + OVERHEAD_TOKENS
        self._seconds[kind] += max(now - began_at, 1e-3)
        self._ended += 1
        if self._ended >= self._enough:
            if self._is_full:
                self._resize(self._share())
            self._look(now)

    def refused(self, now: float) -> None:
        """The endpoint said that it is too much."""
        if now - self._cut_at >= ONE_CUT_S:
            self.size = max(LEAST, self.size * CUT)
            self._was_refused, self._cut_at = True, now
            self._look(now)

    @property
    def _enough(self) -> float:
        return max(LOOK_AFTER_LEAST, (LOOK_AFTER if self._was_slowed else GROWN_AFTER) * self.size)

    def _look(self, now: float) -> None:
        """What begins from now on tells how the window does as it is."""
        self._since = now
        self._ended = 0
        self._is_full = False
        self._yields: defaultdict[str, float] = defaultdict(float)
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def _share(self) -> float:
        """What a stream yields, of what it yields where it runs freely."""
        speeds = {kind: amount / self._seconds[kind] for kind, amount in self._yields.items()}
        for kind, speed in speeds.items():
            free = self._free.get(kind, speed)
            is_free = speed > free or not (self._was_slowed or speed < SLOWED * free)
            self._free[kind] = free + (speed - free) * min(0.5, self._ended / TRUSTED) if is_free else free
        freely = sum(self._seconds[kind] * self._free[kind] for kind in speeds)
        return sum(self._yields.values()) / freely

    def _resize(self, share: float) -> None:
        if not self._was_slowed and not self._was_refused and share >= SLOWED:
            self.size *= GROWTH
            return
        if self._before is not None and self.size <= self._before[0] / 2:
            if share < math.sqrt(2) * self._before[1]:  # half as many, and none the faster for it: not their doing
                self._rebase(share)
                share = 1.0
            self._before = None
        factor = HEADROOM * share
        if factor < 1:
            if self._was_slowed:
                self._before = self._before or (self.size, share)
            self.size = max(LEAST, self.size * factor)
        else:
            self._before = None
            self.size *= 1.0 if self._was_refused else factor
        self._was_slowed = True

    def _rebase(self, share: float) -> None:
        for kind in self._yields:
            self._free[kind] *= share
