"""The workers of a run: started, fed, emptied, and replaced when they die."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from polythink.errors import ClusterError
from polythink.records import SampleKey
from polythink.workers.governor import Governor
from polythink.workers.tasks import Endpoint, Result, Task
from polythink.workers.worker import Worker

TAKE_S = 0.5  # seconds a worker waits for a first result before it answers empty-handed
MAX_DEATHS_IN_A_ROW = 5  # workers that die without one result in between


@dataclass(slots=True)
class _Member:
    """One worker, as the driver sees it."""

    name: str
    actor: Any
    ready: Any  # the call whose end means news: `open` at first, then `take` after `take`
    is_open: bool = False
    tasks: dict[SampleKey, Task] = field(default_factory=dict)  # given and not yet answered
    puts: list[Any] = field(default_factory=list)  # calls that give it tasks, until they are seen to have ended well


@dataclass(frozen=True, slots=True)
class News:
    """What happened since last asked."""

    results: list[Result]
    lost: list[Task]  # tasks of workers that died


class Crew:
    """The workers of one run, for the driver's one thread. Raises ClusterError if they keep dying."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        *,
        workers: int,
        in_flight: int,
        requests_per_minute: Mapping[str, int | None],
    ) -> None:
        self._endpoints = endpoints
        self._in_flight = in_flight
        self._streams = -(-in_flight // workers)
        self._governors = {
            name: Governor.remote(requests_per_minute.get(name), in_flight)  # type: ignore[attr-defined]
            for name in endpoints
        }
        self._started = 0
        self._deaths_in_a_row = 0
        self._members = [self._start() for _ in range(workers)]

    def room(self) -> int:
        """How many tasks the workers can take now."""
        handed_out = sum(len(member.tasks) for member in self._members)
        return min(self._in_flight - handed_out, sum(self._member_room(member) for member in self._members))

    def send(self, tasks: Sequence[Task]) -> None:
        """Hand tasks out, evenly. There must be room for them."""
        waiting = list(tasks)
        while waiting:
            member = max(self._members, key=self._member_room)
            share = max(1, -(-len(waiting) // len(self._members)))
            portion, waiting = waiting[:share], waiting[share:]
            member.tasks.update((task.key, task) for task in portion)
            member.puts.append(member.actor.put.remote(portion))

    def news(self) -> News:
        """Results and losses; waits a moment for some. Raises ClusterError where a worker cannot go on."""
        pending = {member.ready: member for member in self._members}
        first, _ = ray.wait(list(pending), num_returns=1, timeout=TAKE_S)
        ready, _ = ray.wait(list(pending), num_returns=len(pending), timeout=0) if first else ([], [])
        news = News([], [])
        for reference in ready:
            self._hear(pending[reference], news)
        for member in self._members:
            _see_puts(member)
        return news

    def recall(self) -> list[Task]:
        """Take back every task not yet started. What is lost with a dead worker comes with the news instead."""
        members = [member for member in self._members if member.is_open]
        recalled: list[Task] = []
        for member in members:
            try:
                tasks: list[Task] = ray.get(member.actor.recall.remote())
            except RayActorError:
                continue
            for task in tasks:
                member.tasks.pop(task.key, None)
            recalled += tasks
        return recalled

    def close(self) -> None:
        """Start nothing more. The actors end with the driver's connection: of a kill Ray would report a death."""
        self.recall()

    def _hear(self, member: _Member, news: News) -> None:
        try:
            results: list[Result] | None = ray.get(member.ready)
        except RayActorError as error:
            news.lost.extend(self._replace(member, error))
            return
        except RayTaskError as error:  # a worker that still lives but cannot go on
            raise ClusterError(f"{member.name} failed: {error}") from error
        member.is_open = True
        for result in results or ():
            self._deaths_in_a_row = 0
            member.tasks.pop(result.attempt.key, None)
            news.results.append(result)
        member.ready = member.actor.take.remote(TAKE_S)

    def _replace(self, dead: _Member, error: Exception) -> list[Task]:
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row >= MAX_DEATHS_IN_A_ROW:
            raise ClusterError(f"{MAX_DEATHS_IN_A_ROW} workers died in a row; the last: {error}") from error
        ray.kill(dead.actor)
        for governor in self._governors.values():
            governor.forget.remote(dead.name)
        self._members[self._members.index(dead)] = self._start()
        return list(dead.tasks.values())

    def _start(self) -> _Member:
        self._started += 1
        name = f"worker-{self._started}"
        actor = Worker.remote()  # type: ignore[attr-defined]
        return _Member(name, actor, actor.open.remote(name, self._endpoints, self._governors, self._streams))

    def _member_room(self, member: _Member) -> int:
        return self._streams - len(member.tasks) if member.is_open else 0


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
