"""The worker: one Ray actor holding many streams at once."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import ray

from polythink.records import SampleKey
from polythink.workers.clients import Client, make_client
from polythink.workers.driver import Driver
from polythink.workers.governor import Permits, PoolSpec
from polythink.workers.holder import Holder, Start
from polythink.workers.leases import Lease, Reading, Refusal, Report
from polythink.workers.limit_headers import read_limits
from polythink.workers.pool import Membership
from polythink.workers.resources import streams_at_once
from polythink.workers.sampling import attempt
from polythink.workers.tasks import Endpoint, Failure, Result, Task

RAMP_CODE = "ramp_limit_exceeded"
GATHER_S = 0.02  # seconds to let more of the same come in, so that calls are few and batches large


class Governed(Protocol):
    """Who is asked before requests start."""

    async def lease(self, report: Report) -> Lease: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """What a worker hands over at one time."""

    results: list[Result]
    begun: list[SampleKey]  # tasks that lead whose reply has begun
    waiting: dict[str, int]  # pool -> tasks not started
    started: dict[str, int]  # pool -> tasks started since the last time
    out: frozenset[str]  # pools that are out of service


def spare_what_is_loaded() -> None:
    """The collector need not walk the modules again and again, a quarter of a request's cost.

    For processes that do nothing else: what is loaded then is never collected, not even at their end.
    """
    gc.collect()
    gc.freeze()


class Outbox:
    """Results not yet collected."""

    def __init__(self) -> None:
        self._results: list[Result] = []
        self._begun: list[SampleKey] = []
        self._error: BaseException | None = None
        self._arrived = asyncio.Event()

    def add(self, result: Result) -> None:
        self._results.append(result)
        self._arrived.set()

    def begin(self, key: SampleKey) -> None:
        """The reply to a task that leads has begun."""
        self._begun.append(key)
        self._arrived.set()

    def take_begun(self) -> list[SampleKey]:
        """Those there are."""
        begun, self._begun = self._begun, []
        return begun

    def fail(self, error: BaseException) -> None:
        """Nothing more will come; whoever takes next gets the error."""
        self._error = error
        self._arrived.set()

    @property
    def size(self) -> int:
        return len(self._results)

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
    """The tasks of one pool, and the streams that answer them."""

    def __init__(
        self,
        client: Client,
        endpoint: Endpoint,
        holder: Holder,
        governor: Governed,
        outbox: Outbox,
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._holder = holder
        self._governor = governor
        self._outbox = outbox
        self._running: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._started = 0
        self.is_out = False  # nothing but probes may start
        self._loop = asyncio.create_task(self._start_as_permitted())
        self._loop.add_done_callback(self._report)

    def put(self, tasks: Sequence[Task]) -> None:
        """Queue tasks."""
        if tasks:
            self._holder.put(tasks)
            self._changed.set()

    def recall(self) -> list[Task]:
        """Give back what has not started."""
        return self._holder.recall()

    def wake(self) -> None:
        """Results were collected: there may be room again."""
        self._changed.set()

    @property
    def waiting(self) -> int:
        return self._holder.waiting

    def take_started(self) -> int:
        """How many have started since last asked."""
        started, self._started = self._started, 0
        return started

    async def close(self) -> None:
        """Drop everything that runs."""
        running = [self._loop, *self._running]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _start_as_permitted(self) -> None:
        while True:
            if not self._holder.is_busy:
                await self._changed.wait()
                await asyncio.sleep(GATHER_S)
            self._changed.clear()
            report = self._holder.report(time.monotonic(), uncollected=self._outbox.size)
            lease = await self._governor.lease(report)
            now = time.monotonic()
            self._holder.take(lease, now)
            self.is_out = lease.is_probe
            can_change = lease.is_held_by_running or not report.asks
            await self._use_permits(now + lease.again_s, can_change=can_change)

    async def _use_permits(self, until: float, *, can_change: bool) -> None:
        """Start tasks as their permits come due, until it is time to ask again, or worth it because of a change."""
        while (now := time.monotonic()) < until:
            for start in self._holder.starts(now):
                self._start(start)
            pause = min(until, self._holder.next_start() or until) - now
            if not can_change:
                await asyncio.sleep(pause)
            elif await self._is_changed(pause):
                await asyncio.sleep(GATHER_S)
                return

    async def _is_changed(self, within_s: float) -> bool:
        """Whether tasks came or requests ended within that time."""
        try:
            await asyncio.wait_for(self._changed.wait(), within_s)
        except TimeoutError:
            return False
        return True

    def _start(self, start: Start) -> None:
        self._started += 1
        running = asyncio.create_task(self._run(start))
        self._running.add(running)
        running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        self._changed.set()
        self._report(running)

    def _report(self, ended: asyncio.Task[None]) -> None:
        """An error here is a defect of ours, or a lost cluster: it must not pass unseen."""
        if not ended.cancelled() and (error := ended.exception()):
            self._outbox.fail(error)

    async def _run(self, start: Start) -> None:
        head = _Head(self._holder)
        key = start.task.key
        on_content = (lambda: self._outbox.begin(key)) if start.task.leads else None
        result = await attempt(self._client, self._endpoint, start.task, head.arrived, on_content)
        usage = result.attempt.usage
        was_billed = result.attempt.message_id is not None
        self._holder.ended(
            start,
            input_tokens=usage.input_tokens + usage.cache_write_tokens if was_billed else None,
            output_tokens=usage.output_tokens if was_billed else None,
        )
        if result.failure:
            self._hear(result.failure, head)
        self._outbox.add(Result(attempt=result.attempt, failure=result.failure, is_probe=start.is_probe))

    def _hear(self, failure: Failure, head: _Head) -> None:
        if failure.retry_after_s is not None:
            is_ramp = failure.error_code == RAMP_CODE
            self._holder.refused(Refusal(retry_after_s=failure.retry_after_s, is_ramp=is_ramp, reading=head.reading))
        elif failure.unreachable or (failure.http_status or 0) >= 500:
            self._holder.overloaded()


class _Head:
    """What the head of one reply said."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder
        self.reading: Reading | None = None

    def arrived(self, status: int, headers: Mapping[str, str]) -> None:
        self.reading = read_limits(headers)
        if status < 500:
            self._holder.answered(self.reading, time.monotonic())


@ray.remote(max_restarts=0)
class Worker:
    """Runs tasks for one job. The first call must be `open`, inside the actor's event loop."""

    async def open(
        self,
        name: str,
        endpoints: Mapping[str, Endpoint],
        pools: Sequence[PoolSpec],
        member: Membership,
        workers: int,
        driver: Driver,
    ) -> None:
        """`workers` of the same kind may share the machine."""
        if driver.is_here():
            self._watch = asyncio.create_task(driver.end_with_it())
        spare_what_is_loaded()
        self._outbox = Outbox()
        streams = min(member.in_flight, streams_at_once(workers))
        clients = {endpoint.name: make_client(endpoint, streams) for endpoint in endpoints.values()}
        self._streams = {
            pool.name: Streams(
                clients[pool.endpoint],
                endpoints[pool.endpoint],
                Holder(member.job, streams=streams),
                Permits(pool, f"{member.job}/{name}", member),
                self._outbox,
            )
            for pool in pools
        }

    async def put(self, tasks: Sequence[Task]) -> None:
        for pool, streams in self._streams.items():
            streams.put([task for task in tasks if task.pool == pool])

    async def take(self, timeout_s: float) -> Harvest:
        """What ended, waiting up to `timeout_s` for something to end."""
        results = await self._outbox.take(timeout_s)
        for streams in self._streams.values():
            streams.wake()
        return Harvest(
            results=results,
            begun=self._outbox.take_begun(),
            waiting={pool: streams.waiting for pool, streams in self._streams.items()},
            started={pool: streams.take_started() for pool, streams in self._streams.items()},
            out=frozenset(pool for pool, streams in self._streams.items() if streams.is_out),
        )

    async def recall(self, pools: Collection[str] | None = None) -> list[Task]:
        """Give back what has not started, of some pools or of all."""
        return [
            task
            for pool, streams in self._streams.items()
            if pools is None or pool in pools
            for task in streams.recall()
        ]
