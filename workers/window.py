"""Requests in flight at an endpoint that tells no limits. No clock: time is passed in, in seconds.

Two things hold it back. A refusal cuts it, after which it creeps: additive increase, multiplicative decrease (Chiu and
Jain, 1989). And a server that refuses nothing, but gets slower by as much as it is given more, is at its capacity: by
Little's law (Operations Research, 1961) streams in flight = output a second / output a second of one stream, so how
long replies take, against what those of so many tokens take where streams run freely, tells how many more streams there
are than the server can use. What is free is learned as a line of seconds over tokens: neither a server whose replies
take as long however long they are, nor one whose streams keep a speed, looks slower because replies were shorter. A
window that was not full proves nothing about what it could hold.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace

FIRST = 8.0
GROWTH = 4.0  # times larger after each look, until streams first slow each other down
HEADROOM = 1.25  # times the streams that capacity needs, so that it is never idle, and a greater one is noticed
SLOWED = 0.8  # of a free stream's speed: below, streams slow each other down
GROWN_AFTER = 0.25  # of the window must have ended, of what began since the last look, while it still grows so
LOOK_AFTER = 1.0  # and later, when it matters how much slower streams are
LOOK_AFTER_LEAST = 20  # requests
CUT = 0.7
ONE_CUT_S = 1.0  # refusals within this time are one piece of news
TRUSTED = 50  # replies of before count as no more than so many, beside those seen since
LEAST = 1.0
FULL = 0.8  # of the window in use


@dataclass(frozen=True)
class Replies:
    """Output tokens and seconds of some replies, as the sums that their least-squares line needs."""

    count: float = 0.0
    tokens: float = 0.0
    seconds: float = 0.0
    tokens_squared: float = 0.0
    tokens_seconds: float = 0.0

    @classmethod
    def one(cls, tokens: float, seconds: float) -> Replies:
        return cls(1.0, tokens, seconds, tokens * tokens, tokens * seconds)

    def __add__(self, other: Replies) -> Replies:
        return Replies(
            self.count + other.count,
            self.tokens + other.tokens,
            self.seconds + other.seconds,
            self.tokens_squared + other.tokens_squared,
            self.tokens_seconds + other.tokens_seconds,
        )

    def __mul__(self, weight: float) -> Replies:
        return Replies(
            weight * self.count,
            weight * self.tokens,
            weight * self.seconds,
            weight * self.tokens_squared,
            weight * self.tokens_seconds,
        )

    def slower(self, times: float) -> Replies:
        return replace(self, seconds=times * self.seconds, tokens_seconds=times * self.tokens_seconds)

    def expects(self, others: Replies) -> float:
        """Seconds that the others would take, were they like these: so many for each reply, so many for each token."""
        spread = self.count * self.tokens_squared - self.tokens**2
        slope = (self.count * self.tokens_seconds - self.tokens * self.seconds) / spread if spread > 0 else 0.0
        slope = min(max(slope, 0.0), self.seconds / self.tokens if self.tokens else 0.0)
        return slope * others.tokens + (self.seconds - slope * self.tokens) / self.count * others.count


class Window:
    """Grows as long as that brings more."""

    def __init__(self, now: float) -> None:
        self.size = FIRST
        self._was_refused = self._was_slowed = False
        self._cut_at = -math.inf
        self._free: dict[str, Replies] = {}  # by kind, where a stream runs freely
        self._before: tuple[float, float] | None = None  # size and share, where it began to shrink
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
        self._seen[kind] += Replies.one(max(tokens, 1), max(now - began_at, 1e-3))  # some time is always expected
        if sum(seen.count for seen in self._seen.values()) >= self._enough:
            if self._is_full:
                self._resize(self._share())
            self._look(now)

    def refused(self, now: float) -> None:
        """The endpoint said that it is too much."""
        if now - self._cut_at >= ONE_CUT_S:
            self.size = max(LEAST, self.size * CUT)
            self._was_refused, self._cut_at, self._before = True, now, None
            self._look(now)

    @property
    def _enough(self) -> float:
        return max(LOOK_AFTER_LEAST, (LOOK_AFTER if self._was_slowed else GROWN_AFTER) * self.size)

    def _look(self, now: float) -> None:
        """What begins from now on tells how the window does as it is."""
        self._since = now
        self._is_full = False
        self._seen: defaultdict[str, Replies] = defaultdict(Replies)

    def _share(self) -> float:
        """The seconds that the replies seen would take if their streams ran freely, of those they took."""
        freely = 0.0
        for kind, seen in self._seen.items():
            free = self._free.get(kind, seen)
            speed = free.expects(seen) / seen.seconds
            if speed > 1 or not (self._was_slowed or speed < SLOWED):
                free = free * min(1.0, TRUSTED / free.count) + seen
            self._free[kind] = free
            freely += free.expects(seen)
        return freely / sum(seen.seconds for seen in self._seen.values())

    def _resize(self, share: float) -> None:
        if not self._was_slowed and not self._was_refused and share >= SLOWED:
            self.size *= GROWTH
            return
        if self._before is not None and self.size <= self._before[0] / 2:
            if share < math.sqrt(2) * self._before[1]:  # half as many, and none the faster for it: not their doing
                self._free.update({kind: self._free[kind].slower(1 / share) for kind in self._seen})
                self.size, share = self._before[0], 1.0  # nothing was gained by making it smaller
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
