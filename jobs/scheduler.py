"""Which samples are owed, out with a worker, waiting to be tried again, or done. No I/O, no clock: time is passed in.

owed -> out -> done
         |  -> waiting -> out ...        a failure that may pass
         |  -> done (failed)             a failure that will not, or the last strike
         |  -> owed                      its worker died
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from polythink.jobs.backoff import backoff_s
from polythink.jobs.grid import DoneSet, Grid
from polythink.records import Attempt, SampleKey
from polythink.workers.tasks import Result


@dataclass(frozen=True, slots=True)
class Due:
    """A sample to send now."""

    ordinal: int
    number: int  # of the attempt, from 1


class Scheduler:
    """The state of every unfinished sample of a run."""

    def __init__(
        self, grid: Grid, done: DoneSet, *, earlier_attempts: Mapping[int, int], max_strikes: int, seed: int
    ) -> None:
        self.grid = grid
        self.done = done
        self._owed = done.missing()  # each ordinal comes out once, for its first attempt in this run
        self._waiting: list[tuple[float, int]] = []  # (when due, ordinal)
        self._returned: list[int] = []  # lost with a worker, or drawn and not affordable
        self._out: set[int] = set()
        self._attempts = dict(earlier_attempts)  # ordinal -> attempts made, of unfinished samples that had any
        self._strikes: dict[int, int] = {}
        self._max_strikes = max_strikes
        self._rng = random.Random(seed)

    @property
    def is_finished(self) -> bool:
        return len(self.done) == len(self.grid)

    @property
    def out(self) -> int:
        """Samples with workers."""
        return len(self._out)

    def next_due(self, now: float) -> Due | None:
        """The next sample to send, which then is out; None if none is due."""
        ordinal = self._draw(now)
        if ordinal is None:
            return None
        self._out.add(ordinal)
        return Due(ordinal, self._attempts.get(ordinal, 0) + 1)

    def put_back(self, ordinal: int) -> None:
        """A sample that could not be sent after all, or whose worker died, is owed again at once."""
        if ordinal in self._out:
            self._out.remove(ordinal)
            self._returned.append(ordinal)

    def put_back_key(self, key: SampleKey) -> None:
        """The same, by the sample's key."""
        ordinal = self.grid.ordinal(key)
        if ordinal is not None:
            self.put_back(ordinal)

    def settle(self, result: Result, now: float, *, may_give_up: bool = True) -> Attempt | None:
        """Take a result in. Returns the attempt as it must be recorded; None if its sample was already finished.

        Unless it `may_give_up`, the last strike does not count: it was not the sample's fault.
        """
        ordinal = self.grid.ordinal(result.attempt.key)
        if ordinal is None or ordinal in self.done:
            return None
        self._out.discard(ordinal)
        attempt = self._judged(ordinal, result, may_give_up)
        if attempt.is_final:
            self.done.add(ordinal)
            self._attempts.pop(ordinal, None)
            self._strikes.pop(ordinal, None)
        else:
            self._attempts[ordinal] = attempt.number
            heapq.heappush(self._waiting, (now + self._delay(ordinal, result), ordinal))
        return attempt

    def _draw(self, now: float) -> int | None:
        if self._returned:
            return self._returned.pop()
        if self._waiting and self._waiting[0][0] <= now:
            return heapq.heappop(self._waiting)[1]
        return next(self._owed, None)

    def _judged(self, ordinal: int, result: Result, may_give_up: bool) -> Attempt:
        """The attempt, given up if this was its sample's last strike. A 429 is no strike: it is ours."""
        failure = result.failure
        if failure is None or failure.disposition != "retry" or failure.limited:
            return result.attempt
        strikes = self._strikes[ordinal] = self._strikes.get(ordinal, 0) + 1
        is_last = strikes >= self._max_strikes and may_give_up
        return replace(result.attempt, status="failed") if is_last else result.attempt

    def _delay(self, ordinal: int, result: Result) -> float:
        failure = result.failure
        if failure is not None and failure.retry_after_s is not None:
            return failure.retry_after_s
        return backoff_s(self._strikes.get(ordinal, 0) + 1, self._rng)
