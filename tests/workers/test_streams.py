"""Every task put into a worker's streams ends in exactly one result, whatever the server does."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from polythink.records import SampleKey
from polythink.workers.clients import make_client
from polythink.workers.holder import Holder
from polythink.workers.leases import Ask, Lease, Report
from polythink.workers.pool import Membership, Pool, Rules
from polythink.workers.tasks import Endpoint, Result, Task
from polythink.workers.worker import Outbox, Streams
from tests.scripted_server import Reply, Request, ScriptedServer, message_events, refusal, streamed

WHOLE = streamed(message_events())
TROUBLE = [
    WHOLE,
    refusal(529, "overloaded_error"),
    refusal(500, "api_error"),
    WHOLE.first(300),
    WHOLE.first(300, "broken"),
    WHOLE.first(200, "reset"),
    Reply(headers={"content-type": "text/event-stream"}, body=b"event: message_start\ndata: {oops\n\n"),
]


class InMemoryPermits:
    """The governor's arithmetic without the actor."""

    def __init__(self, in_flight: int) -> None:
        self.pool = Pool(Rules(), time.monotonic())
        self.member = Membership(job="job", in_flight=in_flight)
        self.reports: list[Report] = []

    async def lease(self, report: Report) -> Lease:
        self.reports.append(report)
        return self.pool.lease("one", self.member, report, time.monotonic())


def opened(base_url: str, permits: InMemoryPermits, outbox: Outbox, streams: int) -> Streams:
    endpoint = Endpoint(name="e", base_url=base_url)
    return Streams(make_client(endpoint, streams), endpoint, Holder("job", streams=streams), permits, outbox)


def tasks(count: int) -> list[Task]:
    body = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": "?"}]}
    keys = [SampleKey(problem_id="p", arm_id="a", sample_index=n) for n in range(count)]
    return [
        Task(key=key, sample_id=str(key.sample_index), number=1, body=body, endpoint="e", queued_at=0.0) for key in keys
    ]


async def drained(base_url: str, permits: InMemoryPermits, *, count: int, streams: int) -> list[Result]:
    outbox = Outbox()
    running = opened(base_url, permits, outbox, streams)
    try:
        running.put(tasks(count))
        results: list[Result] = []
        async with asyncio.timeout(60):
            while len(results) < count:
                results += await outbox.take(1.0)
        return results + await outbox.take(0.1)
    finally:
        await running.close()


def test_every_task_has_one_result_through_overloads_cuts_and_resets() -> None:
    def script(request: Request) -> Reply:
        return TROUBLE[int(request.sample) % len(TROUBLE)]

    with ScriptedServer(script) as server:
        results = asyncio.run(drained(server.base_url, InMemoryPermits(8), count=140, streams=8))
        asked = Counter(request.sample for request in server.requests)
    assert Counter(result.attempt.key.sample_index for result in results) == Counter(range(140))
    assert set(asked.values()) == {1}
    assert Counter(result.attempt.error_type for result in results) == {
        None: 20,
        "overloaded_error": 20,
        "api_error": 20,
        "cut_stream": 20,
        "connection_error": 40,
        "malformed_stream": 20,
    }


@pytest.mark.parametrize(("streams", "in_flight"), [(3, 8), (8, 3)])
def test_no_more_run_at_once_than_streams_and_permits_allow(streams: int, in_flight: int) -> None:
    async def measure() -> int:
        now = most = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal now, most
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                await reader.readexactly(length)
                now += 1
                most = max(most, now)
                await asyncio.sleep(0.02)  # the time a reply takes
                now -= 1
                body = WHOLE.body
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
                writer.write(b"content-length: %d\r\n\r\n%s" % (len(body), body))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        results = await drained(f"http://{host}:{port}", InMemoryPermits(in_flight), count=40, streams=streams)
        server.close()
        assert all(result.failure is None for result in results)
        return most

    assert asyncio.run(measure()) == min(streams, in_flight)


def test_a_server_of_few_slots_that_refuses_nothing_is_not_flooded() -> None:
    async def measure() -> list[int]:
        slots, now, seen = asyncio.Semaphore(4), 0, list[int]()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal now
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.lower().split(b"\r\n")
                await reader.readexactly(next(int(line.split(b":")[1]) for line in lines if b"content-length" in line))
                now += 1
                seen.append(now)
                async with slots:
                    await asyncio.sleep(0.02)  # the time a reply takes
                now -= 1
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
                writer.write(b"content-length: %d\r\n\r\n%s" % (len(WHOLE.body), WHOLE.body))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        await drained(f"http://{host}:{port}", InMemoryPermits(10**6), count=800, streams=1000)
        server.close()
        return seen

    later = asyncio.run(measure())[400:]
    assert sum(later) / len(later) <= 48


def test_a_429_freezes_everyone_for_as_long_as_it_says() -> None:
    limited = refusal(429, "rate_limit_error", headers={"retry-after": "1"})
    permits = InMemoryPermits(4)
    with ScriptedServer(lambda request: limited) as server:
        results = asyncio.run(drained(server.base_url, permits, count=1, streams=4))
    assert results[0].failure is not None and results[0].failure.limited
    ask = Ask(kind="job/a", count=1, input_tokens=1.0, output_tokens=1.0)
    asyncio.run(permits.lease(Report(asks=(ask,), room=1)))
    assert [refusal.retry_after_s for report in permits.reports for refusal in report.refusals] == [1.0]
    assert not asyncio.run(permits.lease(Report(asks=(ask,), room=1))).permits


def test_what_has_not_started_can_be_taken_back_and_what_has_still_ends() -> None:
    async def recalled(base_url: str) -> tuple[list[Task], list[Result]]:
        outbox, permits = Outbox(), InMemoryPermits(2)
        running = opened(base_url, permits, outbox, 2)
        running.put(tasks(10))
        results = await outbox.take(5.0)
        back = running.recall()
        async with asyncio.timeout(20):
            while len(results) + len(back) < 10:
                results += await outbox.take(1.0)
        await running.close()
        return back, results

    with ScriptedServer(lambda request: WHOLE) as server:
        back, results = asyncio.run(recalled(server.base_url))
        asked = {request.sample for request in server.requests}
    assert asked == {str(result.attempt.key.sample_index) for result in results}
    assert asked.isdisjoint(task.sample_id for task in back)


def test_a_defect_reaches_whoever_takes_next() -> None:
    async def taken() -> None:
        outbox = Outbox()
        outbox.fail(ZeroDivisionError("ours"))
        await outbox.take(1.0)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(taken())
