"""The workers of a run: started, fed, emptied, and replaced when they die."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from polythink.errors import ClusterError
from polythink.jobs.flow import Flow
from polythink.records import Lane, SampleKey
from polythink.workers.driver import Driver
from polythink.workers.governor import PoolSpec, find_governor
from polythink.workers.pool import Membership
from polythink.workers.tasks import Endpoint, Result, Task
from polythink.workers.worker import Harvest, Worker

TAKE_S = 0.5  # seconds a worker waits for a first result before it answers empty-handed
FIRST_TASKS = 16  # of a pool, for a worker of which nothing is known yet
WINDOW_S = 0.5  # seconds over which a rate is measured
FADING = 0.8  # of a rate, from one window to the next
AHEAD_S = 3.0  # seconds for which a worker has tasks waiting: more than the driver is ever busy with other things
APART = "apart"  # in place of a pool: tasks for a worker that holds nothing else
MAX_DEATHS_IN_A_ROW = 10  # workers that die without one result in between


@dataclass(slots=True)
class _Member:
    """One worker, as the driver sees it."""

    name: str
    actor: Any
    ready: Any  # the call whose end means news: `open` at first, then `take` after `take`
    is_open: bool = False
    tasks: dict[SampleKey, Task] = field(default_factory=dict)  # given and not yet answered
    puts: list[Any] = field(default_factory=list)  # calls that give it tasks, until they are seen to have ended well
    waiting: Counter[str] = field(default_factory=Counter)  # pool -> tasks not started, as far as known
    out: frozenset[str] = frozenset()  # pools out of service
    starts_per_s: dict[str, float] = field(default_factory=dict)  # pool -> rate
    started: Counter[str] = field(default_factory=Counter)  # pool -> tasks started since `window_at`
    window_at: float = field(default_factory=time.monotonic)

    def room(self, pool: str) -> int:
        """How many more tasks of a pool it should have waiting."""
        if not self.is_open:
            return 0
        wanted = max(FIRST_TASKS, self.started[pool], math.ceil(AHEAD_S * self.starts_per_s.get(pool, 0.0)))
        return max(0, wanted - self.waiting[pool])

    def give(self, tasks: Sequence[Task]) -> None:
        """Hand it tasks."""
        self.tasks.update((task.key, task) for task in tasks)
        self.waiting.update(task.pool for task in tasks)
        self.puts.append(self.actor.put.remote(list(tasks)))

    def learn(self, harvest: Harvest) -> None:
        """Take in how fast it starts tasks: by whole windows, for a burst is no rate."""
        self.started.update(harvest.started)
        seconds = time.monotonic() - self.window_at
        if seconds >= WINDOW_S:
            for pool, started in self.started.items():
                self.starts_per_s[pool] = max(started / seconds, FADING * self.starts_per_s.get(pool, 0.0))
            self.window_at += seconds
            self.started.clear()
        self.waiting = Counter(harvest.waiting)
        self.out = harvest.out


@dataclass(frozen=True, slots=True)
class Loss:
    """A worker that died."""

    tasks: list[Task]  # that it held
    death: str  # which worker, and of what


@dataclass(frozen=True, slots=True)
class News:
    """What happened since last asked."""

    results: list[Result]
    losses: list[Loss]
    returned: list[Task] = field(default_factory=list)  # not started, and better sent elsewhere
    at_once: bool = False  # the results must be durable by the next call
    begun: list[SampleKey] = field(default_factory=list)  # samples that lead whose reply has begun
    warnings: list[str] = field(default_factory=list)  # what went wrong and does not end the run

    def __add__(self, other: News) -> News:
        return News(
            self.results + other.results,
            self.losses + other.losses,
            self.returned + other.returned,
            self.at_once or other.at_once,
            self.begun + other.begun,
            self.warnings + other.warnings,
        )


class Crew:
    """The workers of one run, for the driver's one thread. Raises ClusterError if they keep dying."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        pools: Sequence[PoolSpec],
        member: Membership,
        *,
        workers: int,
        sharing: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        """`sharing` has for each pool the others that serve one of its arms too."""
        self._flow = Flow(sharing or {}, workers)
        self._left_out: set[str] = set()  # pools
        self._endpoints = endpoints
        self._pools = tuple(pools)
        self._member = member
        self._workers = workers
        self._governors = [find_governor(pool) for pool in pools]
        self._started = 0
        self._deaths_in_a_row = 0
        self._members = [self._start() for _ in range(workers)]
        self._ward: _Member | None = None  # one more worker, for samples whose worker died

    @property
    def is_busy(self) -> bool:
        """Whether workers have tasks."""
        return any(member.tasks for member in self._everyone())

    def lane(self, pool: str) -> Lane:
        return "live"

    def room(self, lanes: Collection[Lane]) -> dict[str, int]:
        """How many tasks of each pool the workers can take now."""
        if "live" not in lanes:
            return {}
        names = [pool.name for pool in self._pools if pool.name not in self._left_out]
        room = {pool: sum(member.room(pool) for member in self._members) for pool in names}
        room = self._flow.offer(room, self._waiting(), self._out())
        is_free = self._ward is not None and self._ward.is_open and not self._ward.tasks
        return {**room, APART: 1 if is_free else 0}

    def send(self, pool: str, tasks: Sequence[Task]) -> None:
        """Hand tasks of one pool out, evenly. There must be room for them; those that go apart may be any number."""
        if pool == APART and self._ward:
            self._ward.give(tasks)
            return
        self._flow.sent(pool)
        waiting = list(tasks)
        share = max(1, -(-len(waiting) // len(self._members)))
        while waiting:
            portion, waiting = waiting[:share], waiting[share:]
            max(self._members, key=lambda each: each.room(pool)).give(portion)

    def news(self) -> News:
        """Results and losses; waits a moment for some. Raises ClusterError where a worker cannot go on."""
        everyone = self._everyone()
        pending = {member.ready: member for member in everyone}
        first, _ = ray.wait(list(pending), num_returns=1, timeout=TAKE_S)
        ready, _ = ray.wait(list(pending), num_returns=len(pending), timeout=0) if first else ([], [])
        news = News([], [])
        for reference in ready:
            self._hear(pending[reference], news)
        for member in everyone:
            _see_puts(member)
        if misplaced := self._flow.misplaced(self._waiting(), self._out()):
            news.returned.extend(self.recall(misplaced))
        return news

    def leave_out(self, endpoint: str) -> list[Task]:
        """Send nothing more to an endpoint. Returns what waits there."""
        pools = {pool.name for pool in self._pools if pool.endpoint == endpoint}
        self._left_out |= pools
        self._flow.leave_out(pools)
        return self.recall(pools)

    def _waiting(self) -> Counter[str]:
        return sum((member.waiting for member in self._members), Counter[str]())

    def _out(self) -> frozenset[str]:
        return frozenset[str]().union(*(member.out for member in self._members))

    def _everyone(self) -> list[_Member]:
        return self._members if self._ward is None else [*self._members, self._ward]

    def recall(self, pools: Collection[str] | None = None) -> list[Task]:
        """Take back every task not yet started, of some pools or of all.

        What is lost with a dead worker comes with the news instead.
        """
        members = [member for member in self._everyone() if member.is_open]
        recalled: list[Task] = []
        for member in members:
            try:
                tasks: list[Task] = ray.get(member.actor.recall.remote(pools))
            except RayActorError:
                continue
            for task in tasks:
                member.tasks.pop(task.key, None)
                member.waiting[task.pool] -= 1
            recalled += tasks
        return recalled

    def close(self) -> None:
        """Start nothing more. The actors end with the driver's connection: of a kill Ray would report a death."""
        self.recall()

    def _hear(self, member: _Member, news: News) -> None:
        try:
            harvest: Harvest | None = ray.get(member.ready)
        except RayActorError as error:
            news.losses.append(self._replace(member, error))
            return
        except RayTaskError as error:  # a worker that still lives but cannot go on
            raise ClusterError(f"{member.name} failed: {error}") from error
        member.is_open = True
        if harvest is not None:
            member.learn(harvest)
            news.begun.extend(harvest.begun)
            for result in harvest.results:
                self._deaths_in_a_row = 0
                member.tasks.pop(result.attempt.key, None)
                news.results.append(result)
        member.ready = member.actor.take.remote(TAKE_S)

    def _replace(self, dead: _Member, error: RayActorError) -> Loss:
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row >= MAX_DEATHS_IN_A_ROW:
            raise ClusterError(f"{MAX_DEATHS_IN_A_ROW} workers died in a row; the last: {error}") from error
        ray.kill(dead.actor)
        for governor in self._governors:
            governor.forget.remote(f"{self._member.job}/{dead.name}")
        if dead is self._ward:
            self._ward = self._start()
        else:
            self._members[self._members.index(dead)] = self._start()
            self._ward = self._ward or self._start()
        return Loss(list(dead.tasks.values()), f"{dead.name} died ({_cause(error)})")

    def _start(self) -> _Member:
        self._started += 1
        name = f"worker-{self._started}"
        actor = Worker.remote()  # type: ignore[attr-defined]
        ready = actor.open.remote(name, self._endpoints, self._pools, self._member, self._workers, Driver.here())
        return _Member(name, actor, ready)


def _cause(error: RayActorError) -> str:
    """What Ray knows of a death, in a line."""
    detail = re.search(r"Worker exit detail: (.+?)(?: Some common causes|$)", str(error), re.MULTILINE)
    return (detail.group(1) if detail else str(error).strip().partition("\n")[0]).strip().rstrip(".")


def _see_puts(member: _Member) -> None:
    """Tasks that did not reach a living worker would be waited for without end."""
    if not member.puts:
        return
    ended, member.puts = ray.wait(member.puts, num_returns=len(member.puts), timeout=0)
    try:
        ray.get(ended)
    except RayActorError:  # it died: its tasks come back with the call that `ready` is
        return
    except RayTaskError as error:
        raise ClusterError(f"{member.name} could not take its tasks: {error}") from error
