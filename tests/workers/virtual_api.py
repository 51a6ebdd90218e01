"""An API and its clients on virtual time: the governor's arithmetic against the simulator's buckets, without a clock.

The server is the simulator's own limit arithmetic; workers are the product's own holders. Only the network and the
generation are made up here: delays are drawn from a seeded generator.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from polythink.records import SampleKey
from polythink.simulator.api_errors import ApiError
from polythink.simulator.limit_headers import rate_limit_headers
from polythink.simulator.limits import Gate, LimitRules
from polythink.workers.holder import Holder, Start
from polythink.workers.leases import Reading, Refusal
from polythink.workers.limit_headers import read_limits
from polythink.workers.pool import Membership, Pool, Rules
from polythink.workers.tasks import Task

CHUNK_S = 0.25  # seconds between two pieces of a stream


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked of the API, and how it generates."""

    input_tokens: int = 200
    output_mean: float = 800.0
    output_sigma: float = 0.8  # of its logarithm
    tokens_per_s: float = 80.0
    first_byte_s: float = 0.5
    arms: int = 1


@dataclass
class Counts:
    """What happened from second to second."""

    admitted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    input_tokens: list[tuple[float, float]] = field(default_factory=list)
    output_tokens: list[tuple[float, float]] = field(default_factory=list)
    overloaded: list[float] = field(default_factory=list)


class Client(Protocol):
    """Who sends requests, and hears what became of them."""

    def answered(self, reading: Reading | None, now: float) -> None: ...

    def refused(self, refusal: Refusal) -> None: ...

    def overloaded(self) -> None: ...

    def ended(self, start: Any, *, input_tokens: int | None, output_tokens: int | None) -> None: ...


class World:
    """Events in order of time."""

    def __init__(
        self,
        limits: LimitRules,
        load: Load,
        *,
        workers: int,
        rules: Rules | None = None,
        seed: int = 0,
        streams: int = 4000,
        tells_limits: bool = True,
    ) -> None:
        self.now = 0.0
        self.load = load
        self.gate = Gate(limits)
        self.counts = Counts()
        self.outage: tuple[float, float] = (-1.0, -1.0)
        self.pool = Pool(rules or Rules(), 0.0)
        self.holders = [Holder("job", streams=streams) for _ in range(workers)]
        self._tells_limits = tells_limits
        self._rng = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._index = count()
        for number, holder in enumerate(self.holders):
            self.at(0.01 * number, self._asker(number, holder))

    def at(self, time: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._order), action))

    def run(self, until: float) -> Counts:
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = until
        return self.counts

    def _feed(self, holder: Holder) -> None:
        missing = 3000 - holder.waiting
        if missing > 1500:
            holder.put(self._task() for _ in range(missing))

    def _task(self) -> Task:
        index = next(self._index)
        key = SampleKey(problem_id="p", arm_id=f"arm-{index % self.load.arms}", sample_index=index)
        return Task(
            key=key,
            sample_id=str(index),
            number=1,
            body={},
            endpoint="e",
            queued_at=self.now,
            prompt_bytes=self.load.input_tokens * 4,
            output_guess=1000.0,
        )

    def _asker(self, number: int, holder: Holder) -> Callable[[], None]:
        def ask() -> None:
            self._feed(holder)
            lease = self.pool.lease(str(number), Membership(job="job"), holder.report(self.now), self.now)
            holder.take(lease, self.now)
            self._start_due(holder)
            self.at(self.now + lease.again_s + self._rng.uniform(0.002, 0.02), ask)

        return ask

    def _start_due(self, holder: Holder) -> None:
        for start in holder.starts(self.now):
            self.at(self.now + self._rng.uniform(0.005, 0.03), self._arrival(holder, start))
        following = holder.next_start()
        if following is not None:
            self.at(following, lambda: self._start_due(holder))

    def _arrival(self, holder: Holder, start: Start) -> Callable[[], None]:
        return lambda: self.arrive(holder, start)

    def arrive(self, holder: Client, start: Any) -> None:
        if self.outage[0] <= self.now < self.outage[1]:
            self.counts.overloaded.append(self.now)
            holder.overloaded()
            self._end(holder, start, None)
            return
        try:
            self.gate.admit("org", "model", "class", self.load.input_tokens, self.now)
        except ApiError as error:
            self.counts.refused.append(self.now)
            holder.answered(self._reading(), self.now)
            holder.refused(Refusal(retry_after_s=float(error.retry_after or 1), reading=self._reading()))
            self._end(holder, start, None)
            return
        self.counts.admitted.append(self.now)
        self.counts.input_tokens.append((self.now, self.load.input_tokens))
        wait = self.load.first_byte_s * self._rng.lognormvariate(0, 0.3)
        self.at(self.now + wait, lambda: self._begin(holder, start))

    def _begin(self, holder: Client, start: Any) -> None:
        holder.answered(self._reading(), self.now)
        load = self.load
        mean = load.output_mean / 2.718281828 ** (load.output_sigma**2 / 2)
        total = max(1.0, mean * self._rng.lognormvariate(0, load.output_sigma))
        speed = load.tokens_per_s * self._rng.lognormvariate(0, 0.15)
        self._generate(holder, start, total, total, speed)

    def _generate(self, holder: Client, start: Any, total: float, left: float, speed: float) -> None:
        piece = min(left, speed * CHUNK_S)
        self.gate.pool("org", "class", self.now).take("output_tokens", piece, self.now)
        self.counts.output_tokens.append((self.now, piece))
        if left - piece > 1e-9:
            self.at(self.now + CHUNK_S, lambda: self._generate(holder, start, total, left - piece, speed))
        else:
            self._end(holder, start, round(total))

    def _end(self, holder: Client, start: Any, output: int | None) -> None:
        self.gate.organization("org").in_flight -= 1
        holder.ended(start, input_tokens=None if output is None else self.load.input_tokens, output_tokens=output)

    def _reading(self) -> Reading | None:
        if not self._tells_limits:
            return None
        pool = self.gate.pool("org", "class", self.now)
        return read_limits(rate_limit_headers(pool, self.now, self.now, 1.0))

    def change(self, rules: LimitRules) -> None:
        self.gate.change(rules, self.now)


def within(events: list[float], start: float, end: float) -> int:
    return sum(1 for at in events if start <= at < end)


def amount(events: list[tuple[float, float]], start: float, end: float) -> float:
    return sum(size for at, size in events if start <= at < end)
