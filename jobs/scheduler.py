"""Which samples are owed, out with a worker, waiting to be tried again, or done. No I/O, no clock: time is passed in.

owed -> out -> done
         |  -> waiting -> out ...        a failure that may pass
         |  -> done (failed)             a failure that will not, or the last strike
         |  -> suspect -> out ...        its worker died: it goes apart from all others (suspects.py)

Where samples come in waves (waves.py), none is owed before it is released; one that is spared is done without a trace.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter

from polythink.jobs.backoff import backoff_s
from polythink.jobs.grid import DoneSet, Grid
from polythink.jobs.prefixes import Prefixes, Role
from polythink.jobs.suspects import Suspects
from polythink.records import Attempt, SampleKey
from polythink.workers.tasks import Result


@dataclass(frozen=True, slots=True)
class Due:
    """A sample to send now."""

    ordinal: int
    number: int  # of the attempt, from 1
    role: Role | None = None  # set if its prompt is cached


class Scheduler:
    """The state of every unfinished sample of a run."""

    def __init__(
        self,
        grid: Grid,
        done: DoneSet,
        *,
        earlier_attempts: Mapping[int, int],
        max_strikes: int,
        seed: int,
        in_waves: bool = False,
        passing: Collection[int] = (),
    ) -> None:
        """`in_waves`: nothing is owed until it is released. `passing` are samples that an earlier run has sent and this
        one takes in without sending them again: one that comes back unanswered is left to a later run.
        """
        self.grid = grid
        self.done = done
        self.spared = dict.fromkeys(grid.arm_ids, 0)  # samples of each arm that are not wanted
        self._released = [0] * grid.prompts if in_waves else None  # samples of each problem in each arm
        self._lines = {arm_id: _Line(self._is_taken) for arm_id in grid.arm_ids if in_waves}
        self._is_cached: Callable[[SampleKey], bool] = lambda key: False
        self._passing = frozenset(passing)
        self._out: set[int] = set()
        self._held: set[int] = set()  # sent by an earlier run; no line gives them out
        self._queues = {
            arm_id: _Queue(self._lines.get(arm_id) or self._missing(n), self._group, grid.prompts)
            for n, arm_id in enumerate(grid.arm_ids)
        }
        self._suspects = Suspects()
        self._attempts = dict(earlier_attempts)  # ordinal -> attempts made, of unfinished samples that had any
        self._strikes: dict[int, int] = {}
        self._max_strikes = max_strikes
        self._rng = random.Random(seed)

    @property
    def is_finished(self) -> bool:
        return len(self.done) == len(self.grid)

    @property
    def comes_in_waves(self) -> bool:
        return self._released is not None

    @property
    def out(self) -> int:
        """Samples with workers."""
        return len(self._out)

    def next_due(self, now: float, arm_ids: Iterable[str]) -> Due | None:
        """The next sample of these arms to send, which then is out; None if none is due."""
        ready = [(turn, queue) for arm_id in arm_ids if (turn := (queue := self._queues[arm_id]).turn(now)) is not None]
        if not ready:
            return None
        ordinal, role = min(ready, key=itemgetter(0))[1].draw(now)
        self._out.add(ordinal)
        return Due(ordinal, self._attempts.get(ordinal, 0) + 1, role)

    def release(self, ordinals: Iterable[int]) -> None:
        """Samples that are owed from now on, where they come in waves."""
        assert self._released is not None
        for ordinal in ordinals:
            index, prompt = divmod(ordinal, self.grid.prompts)
            self._released[prompt] = index + 1
            if self._is_taken(ordinal):
                continue
            if prompt in (prefixes := self._queue(ordinal).prefixes):
                prefixes.add(prompt, [ordinal])
            else:
                self._lines[self.grid.arm_id(ordinal)].add(ordinal)

    def spare(self, ordinals: Iterable[int]) -> None:
        """Samples that are not wanted. One that is out already, from an earlier run, is taken in all the same."""
        for ordinal in ordinals:
            if ordinal not in self._out and self.done.add(ordinal):
                self.spared[self.grid.arm_id(ordinal)] += 1

    def _missing(self, arm: int) -> Iterator[int]:
        return (each for each in self.done.missing(arm, len(self.grid.arm_ids)) if not self._is_taken(each))

    def _is_taken(self, ordinal: int) -> bool:
        return ordinal in self.done or ordinal in self._out or ordinal in self._held

    def _is_owed(self, ordinal: int) -> bool:
        """Where samples come in waves, one that came back unanswered waits for its wave like any other."""
        if ordinal in self._passing:
            self.done.add(ordinal)  # with this run
            return False
        index, prompt = divmod(ordinal, self.grid.prompts)
        if self._released is None or index < self._released[prompt]:
            return True
        self._held.discard(ordinal)
        return False

    def cache(self, is_cached: Callable[[SampleKey], bool]) -> None:
        """Say of which samples the API caches the prompt; before any is drawn. They then go problem by problem."""
        self._is_cached = is_cached

    def begun(self, key: SampleKey) -> None:
        """The reply to a sample that leads has begun: others can read its prompt from the cache."""
        ordinal = self.grid.ordinal(key)
        if ordinal is not None:
            self._queue(ordinal).prefixes.begun(ordinal % self.grid.prompts, ordinal)

    def _group(self, ordinal: int) -> list[int]:
        """The samples to send of the prompt of one of them, if it is cached for them."""
        if not self._is_cached(self.grid.key(ordinal)):
            return []
        prompt = ordinal % self.grid.prompts
        most = len(self.grid) if self._released is None else self._released[prompt] * self.grid.prompts
        owed = [each for each in range(prompt, most, self.grid.prompts) if not self._is_taken(each)]
        return owed if len(owed) > 1 else []

    def hold(self, key: SampleKey, number: int) -> bool:
        """Count a sample as out that an earlier run has sent; before any is drawn. False if it is not owed any more.

        `number` is that of the attempt. One that is recorded is over, whatever became of it.
        """
        ordinal = self.grid.ordinal(key)
        if ordinal is None or ordinal in self.done or number <= self._attempts.get(ordinal, 0):
            return False
        self._out.add(ordinal)
        self._held.add(ordinal)
        return True

    def next_suspects(self, now: float) -> list[Due]:
        """Samples to send to a worker of their own, which then are out; none if none are due."""
        group = self._suspects.next_group(now)
        self._out.update(group)
        return [
            Due(ordinal, self._attempts.get(ordinal, 0) + 1, self._queue(ordinal).role(ordinal)) for ordinal in group
        ]

    def lose(self, keys: Iterable[SampleKey], death: str) -> tuple[str, ...]:
        """A worker died with these samples, in the way that `death` says: they are owed again, suspects apart.

        If there was but one and it is to blame, it stays out, for its result is the caller's to make: returned is how
        its workers died. Empty otherwise.
        """
        lost = [ordinal for key in keys if (ordinal := self.grid.ordinal(key)) is not None and ordinal in self._out]
        for ordinal in lost:
            self._queue(ordinal).ended(ordinal, is_answered=False)
        if self._suspects.accuse(lost, death):
            return self._suspects.deaths(lost[0])
        self._out.difference_update(lost)
        for ordinal in lost:
            self._attempts[ordinal] = self._attempts.get(ordinal, 0) + 1
            if ordinal not in self._suspects and self._is_owed(ordinal):
                self._queue(ordinal).put_back(ordinal)
        return ()

    def put_back(self, ordinal: int) -> None:
        """A sample that could not be sent after all is owed again at once."""
        if ordinal in self._out:
            self._out.remove(ordinal)
            if ordinal in self._suspects:
                self._suspects.hold(ordinal, 0.0)
            elif self._is_owed(ordinal):
                self._queue(ordinal).put_back(ordinal)

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
        if ordinal is None:
            return None
        self._out.discard(ordinal)
        if ordinal in self.done:
            return None
        self._queue(ordinal).ended(ordinal, is_answered=result.failure is None)
        attempt = self._judged(ordinal, result, may_give_up)
        if attempt.is_final:
            self._suspects.clear(ordinal)
            self.done.add(ordinal)
            self._attempts.pop(ordinal, None)
            self._strikes.pop(ordinal, None)
        else:
            self._attempts[ordinal] = attempt.number
            due = now + self._delay(ordinal, result)
            if ordinal in self._suspects:
                self._suspects.hold(ordinal, due)
            elif self._is_owed(ordinal):
                heapq.heappush(self._queue(ordinal).waiting, (due, ordinal))
        return attempt

    def _queue(self, ordinal: int) -> _Queue:
        return self._queues[self.grid.arm_id(ordinal)]

    def _judged(self, ordinal: int, result: Result, may_give_up: bool) -> Attempt:
        """The attempt, given up if this was its sample's last strike. A 429 is no strike: it is ours."""
        failure = result.failure
        if failure is None or failure.disposition != "retry" or failure.limited or result.is_probe:
            return result.attempt
        strikes = self._strikes[ordinal] = self._strikes.get(ordinal, 0) + 1
        is_last = strikes >= self._max_strikes and may_give_up
        return replace(result.attempt, status="failed") if is_last else result.attempt

    def _delay(self, ordinal: int, result: Result) -> float:
        failure = result.failure
        if failure is not None and failure.retry_after_s is not None:
            return failure.retry_after_s
        return backoff_s(self._strikes.get(ordinal, 0) + 1, self._rng)


class _Line(Iterator[int]):
    """Released samples, each once. It may go on after it came to an end."""

    def __init__(self, is_taken: Callable[[int], bool]) -> None:
        self._waiting: deque[int] = deque()
        self._is_taken = is_taken

    def add(self, ordinal: int) -> None:
        self._waiting.append(ordinal)

    def __next__(self) -> int:
        while self._waiting:
            if not self._is_taken(ordinal := self._waiting.popleft()):
                return ordinal
        raise StopIteration


class _Queue:
    """The samples of one arm that are to be sent."""

    def __init__(self, owed: Iterator[int], group: Callable[[int], list[int]], prompts: int) -> None:
        """`group` gives the samples that share a sample's cached prompt; they are `prompts` apart."""
        self.waiting: list[tuple[float, int]] = []  # (when due, ordinal)
        self.prefixes = Prefixes()
        self._returned: list[int] = []  # drawn and not sent after all
        self._owed = owed  # each ordinal comes out once, for its first attempt in this run
        self._group = group
        self._prompts = prompts
        self._first: int | None = None

    def turn(self, now: float) -> tuple[int, float] | None:
        """The lower, the sooner it is this arm's turn; None if nothing is due."""
        if self._first is None:  # only now, for samples may be held until the first is drawn
            self._advance()
        if self._returned or (self.waiting and self.waiting[0][0] <= now):
            return 0, -math.inf
        if (since := self.prefixes.waiting_since()) is not None:
            return 0, since
        return None if self._first is None else (1, self._first)

    def draw(self, now: float) -> tuple[int, Role | None]:
        """The next ordinal, and its part where its prompt is cached. There must be one due."""
        if self._returned:
            return self._returned.pop(), None
        if self.waiting and self.waiting[0][0] <= now:
            ordinal = heapq.heappop(self.waiting)[1]
            return ordinal, self.role(ordinal)
        if self.prefixes.waiting_since() is not None:
            return self.prefixes.draw(now)
        if self._first is None:
            raise ValueError("nothing is due")
        first, group = self._first, self._group(self._first)
        if group:
            self.prefixes.open(first % self._prompts, group)
        self._advance()
        return self.prefixes.draw(now) if group else (first, None)

    def role(self, ordinal: int) -> Role | None:
        """The part of a sample that is tried again."""
        return "follow" if ordinal % self._prompts in self.prefixes else None

    def put_back(self, ordinal: int) -> None:
        if self.role(ordinal):
            self.prefixes.put_back(ordinal % self._prompts, ordinal)
        else:
            self._returned.append(ordinal)

    def ended(self, ordinal: int, *, is_answered: bool) -> None:
        self.prefixes.ended(ordinal % self._prompts, ordinal, is_answered=is_answered)

    def _advance(self) -> None:
        self._first = next((each for each in self._owed if each % self._prompts not in self.prefixes), None)
