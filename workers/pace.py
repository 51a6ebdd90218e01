"""How many requests may start now: the governor's arithmetic. No I/O, no clock: time is passed in, in seconds.

A token bucket refilled continuously at the configured rate, holding at most one second of it, so that a minute's
worth of requests never starts at once; a freeze, which a 429's retry-after sets for everyone; a ceiling on requests in
flight. A permit counts as used unless its holder gives it back, so a lost holder can only make us slower. Who asked and
got nothing goes before whoever asks after it, so that nobody starves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BURST_S = 1.0  # seconds of refill the bucket holds
LEASE_S = 1.0  # seconds until unused permits go back
IDLE_WAIT_S = 0.05  # seconds to wait where room depends on another worker's request ending
SHORTEST_WAIT_S = 0.001  # seconds; sums of floats must not make anyone ask in vain
TURN_S = 2.0  # seconds one permit is kept for a holder that got nothing and has not asked again


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """`starts` requests may start within `seconds`; ask again then, or sooner when they are used up."""

    starts: int
    seconds: float


class Pace:
    """The limit all workers share."""

    def __init__(self, *, requests_per_minute: float | None, in_flight: int, now: float) -> None:
        self._per_second = None if requests_per_minute is None else requests_per_minute / 60
        self._in_flight = in_flight
        self._tokens = 0.0
        self._refilled_at = now
        self._frozen_until = now
        self._held: dict[str, int] = {}  # holder -> requests running, or free to start
        self._turns: dict[str, float] = {}  # holder that got nothing -> when it last asked; the longest waiting first

    def lease(self, holder: str, *, want: int, in_flight: int, unused: int, now: float) -> Lease:
        """Up to `want` starts for `holder`, which runs `in_flight` requests and gives back `unused` permits."""
        self._refill(now, returned=unused)
        self._held[holder] = in_flight
        room = self._in_flight - sum(self._held.values())
        starts = max(0, min(want, min(room, self._affordable(now)) - self._ahead(holder, now)))
        self._held[holder] += starts
        self._note_turn(holder, waits=want > 0 and starts == 0, now=now)
        if self._per_second is not None:
            self._tokens -= starts
        return Lease(starts=starts, seconds=LEASE_S if starts else self._wait(now))

    def freeze(self, seconds: float, now: float) -> None:
        """Nobody starts anything for `seconds`; then the bucket fills again from empty."""
        self._frozen_until = max(self._frozen_until, now + seconds)
        self._tokens = 0.0

    def forget(self, holder: str) -> None:
        """A holder is gone, and its requests with it."""
        self._held.pop(holder, None)
        self._turns.pop(holder, None)

    def _ahead(self, holder: str, now: float) -> int:
        """How many others wait for a turn before this holder's."""
        self._turns = {other: asked for other, asked in self._turns.items() if now - asked <= TURN_S}
        waiting = list(self._turns)
        return waiting.index(holder) if holder in self._turns else len(waiting)

    def _note_turn(self, holder: str, *, waits: bool, now: float) -> None:
        if waits:
            self._turns[holder] = now
        else:
            self._turns.pop(holder, None)

    def _refill(self, now: float, *, returned: int) -> None:
        if self._per_second is None:
            return
        burst = max(1.0, self._per_second * BURST_S)
        earned = max(0.0, now - max(self._refilled_at, self._frozen_until)) * self._per_second
        kept = returned if now >= self._frozen_until else 0
        self._tokens = min(burst, self._tokens + earned + kept)
        self._refilled_at = now

    def _affordable(self, now: float) -> int:
        if now < self._frozen_until:
            return 0
        return self._in_flight if self._per_second is None else math.floor(self._tokens)

    def _wait(self, now: float) -> float:
        if now < self._frozen_until:
            return min(LEASE_S, max(SHORTEST_WAIT_S, self._frozen_until - now))
        if self._per_second is not None and self._tokens < 1:
            return min(LEASE_S, max(SHORTEST_WAIT_S, (1 - self._tokens) / self._per_second))
        return IDLE_WAIT_S
