"""One client of the streaming benchmark, in a process of its own.

    python -m benchmarks.stream_client NAME BASE_URL GENERATIONS CONCURRENCY

Prints one JSON object: CPU milliseconds of this process per generation, without its start-up and a first round that
opens the connections; CPU seconds of the start-up; and the memory that each stream takes at most, in kilobytes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from polythink.records import Attempt, Reading, SampleKey

GATHERED = 100  # attempts that a run journals at one time
LOOK_EVERY_S = 0.25
KEY = "none"
BODY: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 16_384,
    "system": "You are a careful mathematician.",
    "messages": [{"role": "user", "content": "What is the sum of the digits of 2 to the 100? " * 6}],
    "thinking": {"type": "enabled", "budget_tokens": 8_192},
}

Generate = Callable[[int], Awaitable[None]]


@asynccontextmanager
async def bare(base_url: str, concurrency: int) -> AsyncIterator[Generate]:
    """aiohttp: the request ready made, the reply's bytes dropped."""
    body = json.dumps({**BODY, "metadata": {"user_id": "x" * 50}, "stream": True}).encode()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    connector = aiohttp.TCPConnector(limit=concurrency)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:

        async def generate(number: int) -> None:
            async with session.post(f"{base_url}/v1/messages", data=body) as reply:
                async for _ in reply.content.iter_any():
                    pass

        yield generate


@asynccontextmanager
async def helper(base_url: str, concurrency: int) -> AsyncIterator[Generate]:
    """The SDK as it comes: its default transport and `messages.stream`."""
    import anthropic

    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=base_url, max_retries=0) as client:

        async def generate(number: int) -> None:
            async with client.messages.stream(**BODY, metadata={"user_id": f"{number:050}"}) as stream:
                await stream.get_final_message()

        yield generate


@asynccontextmanager
async def raw_events(base_url: str, concurrency: int) -> AsyncIterator[Generate]:
    """The SDK on aiohttp, its events unread."""
    import anthropic
    import httpx2

    limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    http_client = anthropic.DefaultAioHttpClient(limits=limits)
    async with anthropic.AsyncAnthropic(
        api_key=KEY, base_url=base_url, max_retries=0, http_client=http_client
    ) as client:
        create = client.messages.with_streaming_response.create

        async def generate(number: int) -> None:
            async with create(**BODY, metadata={"user_id": f"{number:050}"}, stream=True) as response:
                async for _ in anthropic.AsyncStream.raw_events(response.http_response):
                    pass

        yield generate


@asynccontextmanager
async def ours(base_url: str, concurrency: int) -> AsyncIterator[Generate]:
    """A worker's attempts, journaled as they come and landed as Parquet at the end."""
    from polythink.storage.archive import Archive
    from polythink.storage.landing import land
    from polythink.storage.segments import Journal
    from polythink.workers.clients import make_client
    from polythink.workers.sampling import attempt
    from polythink.workers.tasks import Endpoint, Task
    from polythink.workers.worker import spare_what_is_loaded

    spare_what_is_loaded()
    endpoint = Endpoint(name="bench", base_url=base_url)
    client = make_client(endpoint, concurrency)
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder))
        writer = Journal(archive, "bench").begin()
        finished: list[Attempt] = []

        async def generate(number: int) -> None:
            key = SampleKey(problem_id="p", arm_id="a", sample_index=number)
            sample_id = key.sample_id("bench")
            task = Task(key=key, sample_id=sample_id, number=1, body=BODY, endpoint="bench", queued_at=time.time())
            result = await attempt(client, endpoint, task)
            assert result.failure is None, result.failure
            finished.append(result.attempt)
            if len(finished) >= GATHERED:
                writer.append(finished)
                finished.clear()

        yield generate
        writer.append(finished)
        writer.close()
        land(archive, "bench", writer.ref, _readings)
        await client.close()


CLIENTS = {"bare": bare, "helper": helper, "raw_events": raw_events, "ours": ours}


def _readings(attempts: Sequence[Attempt]) -> list[Reading]:
    return [Reading(outcome="answered", answer="4", canonical_answer="4", correct=True)] * len(attempts)


def cpu_s() -> float:
    """User and system time of this process so far, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_kb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1000


async def measure(name: str, base_url: str, generations: int, concurrency: int) -> dict[str, float]:
    """What `generations` cost, after a first round of as many as run at once, a hundred at most."""
    peak_kb = 0.0

    async def watch() -> None:
        nonlocal peak_kb
        while True:
            peak_kb = max(peak_kb, resident_kb())
            await asyncio.sleep(LOOK_EVERY_S)

    async with CLIENTS[name](base_url, concurrency) as generate:
        await _all(generate, range(min(concurrency, 100)), concurrency)
        gc.collect()
        begun_with_kb, started = resident_kb(), cpu_s()
        watching = asyncio.create_task(watch())
        await _all(generate, range(1_000, 1_000 + generations), concurrency)
        watching.cancel()
    return {
        "cpu_ms": (cpu_s() - started) / generations * 1000,
        "start_up_cpu_s": started,
        "kb_each": (peak_kb - begun_with_kb) / min(generations, concurrency),
    }


async def _all(generate: Generate, numbers: Sequence[int], concurrency: int) -> None:
    waiting = iter(numbers)

    async def turn() -> None:
        for number in waiting:
            await generate(number)

    await asyncio.gather(*(turn() for _ in range(min(concurrency, len(numbers)))))


if __name__ == "__main__":
    client_name, url, count, at_once = sys.argv[1:]
    print(json.dumps(asyncio.run(measure(client_name, url, int(count), int(at_once)))))
