"""The worker: one Ray actor holding many streams at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import ray

from polythink.workers.pace import IDLE_WAIT_S, LEASE_S, Lease
from polythink.workers.sampling import attempt, make_client
from polythink.workers.tasks import Endpoint, Result, Task

GATHER_S = 0.02  # seconds to let more of the same come in, so that calls are few and batches large


class Permits(Protocol):
    """Who is asked before requests start, and told when the server limits us."""

    async def lease(self, want: int, in_flight: int, unused: int) -> Lease: ...

    async def freeze(self, seconds: float) -> None: ...


class Outbox:
    """Results not yet collected."""

    def __init__(self) -> None:
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self._arrived = asyncio.Event()

    def add(self, result: Result) -> None:
        self._results.append(result)
        self._arrived.set()

    def fail(self, error: BaseException) -> None:
        """Nothing more will come; whoever takes next gets the error."""
        self._error = error
        self._arrived.set()

    async def take(self, timeout_s: float) -> list[Result]:
        """All results there are, waiting up to `timeout_s` for a first one. Raises the error there may be."""
        try:
            await asyncio.wait_for(self._arrived.wait(), timeout_s)
            await asyncio.sleep(GATHER_S)
        except TimeoutError:
            pass
        if self._error is not None:
            raise self._error
        results, self._results = self._results, []
        self._arrived.clear()
        return results


class Streams:
    """The queue of tasks for one endpoint, and the streams that answer them."""

    def __init__(self, endpoint: Endpoint, streams: int, permits: Permits, outbox: Outbox) -> None:
        self._endpoint = endpoint
        self._client = make_client(endpoint, streams)
        self._most = streams
        self._permits = permits
        self._outbox = outbox
        self._waiting: deque[Task] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._loop = asyncio.create_task(self._start_as_permitted())
        self._loop.add_done_callback(self._report)

    def put(self, tasks: Sequence[Task]) -> None:
        """Queue tasks."""
        self._waiting.extend(tasks)
        self._changed.set()

    def recall(self) -> list[Task]:
        """Give back what has not started."""
        tasks = list(self._waiting)
        self._waiting.clear()
        return tasks

    async def close(self) -> None:
        """Drop everything that runs."""
        running = [self._loop, *self._running]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._client.close()

    async def _start_as_permitted(self) -> None:
        unused = 0
        while True:
            want = min(len(self._waiting), self._most - len(self._running))
            lease = await self._permits.lease(want, len(self._running), unused)
            unused = lease.starts
            while unused and self._waiting:
                self._start(self._waiting.popleft())
                unused -= 1
            await self._pause(lease)

    async def _pause(self, lease: Lease) -> None:
        """Until permits may have come free; at the latest until the lease ends."""
        self._changed.clear()
        if self._waiting and not lease.starts:
            await asyncio.sleep(lease.seconds)
            return
        try:
            await asyncio.wait_for(self._changed.wait(), IDLE_WAIT_S if self._waiting else LEASE_S)
            await asyncio.sleep(GATHER_S)
        except TimeoutError:
            pass

    def _start(self, task: Task) -> None:
        running = asyncio.create_task(self._run(task))
        self._running.add(running)
        running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        self._changed.set()
        self._report(running)

    def _report(self, ended: asyncio.Task[None]) -> None:
        """An error here is a defect of ours, or a lost governor: it must not pass unseen."""
        if not ended.cancelled() and (error := ended.exception()):
            self._outbox.fail(error)

    async def _run(self, task: Task) -> None:
        result = await attempt(self._client, self._endpoint, task)
        if result.failure and result.failure.retry_after_s is not None:
            await self._permits.freeze(result.failure.retry_after_s)
        self._outbox.add(result)


class _GovernorPermits:
    """The governor, as one worker sees it."""

    def __init__(self, governor: Any, holder: str) -> None:
        self._governor = governor
        self._holder = holder

    async def lease(self, want: int, in_flight: int, unused: int) -> Lease:
        lease: Lease = await self._governor.lease.remote(self._holder, want, in_flight, unused)
        return lease

    async def freeze(self, seconds: float) -> None:
        await self._governor.freeze.remote(seconds)


@ray.remote(max_restarts=0)
class Worker:
    """Runs tasks for one job. The first call must be `open`, inside the actor's event loop."""

    async def open(
        self, name: str, endpoints: Mapping[str, Endpoint], governors: Mapping[str, Any], streams: int
    ) -> None:
        self._outbox = Outbox()
        self._streams = {
            endpoint.name: Streams(endpoint, streams, _GovernorPermits(governors[endpoint.name], name), self._outbox)
            for endpoint in endpoints.values()
        }

    async def put(self, tasks: Sequence[Task]) -> None:
        for endpoint, streams in self._streams.items():
            streams.put([task for task in tasks if task.endpoint == endpoint])

    async def take(self, timeout_s: float) -> list[Result]:
        return await self._outbox.take(timeout_s)

    async def recall(self) -> list[Task]:
        return [task for streams in self._streams.values() for task in streams.recall()]
