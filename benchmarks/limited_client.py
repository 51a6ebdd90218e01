"""A client that keeps generating against a limited endpoint until it is killed: the bare SDK, fixed or AIMD.

    python -m benchmarks.limited_client fixed|aimd BASE_URL REQUEST_JSON IN_FLIGHT

`fixed` holds so many requests in flight and leaves retries to the SDK. `aimd` starts there, sends one more a round trip
for as long as nothing is refused, and halves after a 429, at most once a second; it waits as long as the 429 says.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import anthropic

HALVED_AT_MOST_EVERY_S = 1.0


class Window:
    """How many requests may be in flight."""

    def __init__(self, size: float, *, is_fixed: bool) -> None:
        self.size = size
        self._is_fixed = is_fixed
        self._cut_at = 0.0

    def answered(self) -> None:
        self.size += 0.0 if self._is_fixed else 1 / self.size

    def refused(self) -> None:
        if not self._is_fixed and time.monotonic() - self._cut_at > HALVED_AT_MOST_EVERY_S:
            self.size, self._cut_at = max(1.0, self.size / 2), time.monotonic()


async def generate(client: anthropic.AsyncAnthropic, request: dict[str, Any], window: Window) -> None:
    """One generation, whatever becomes of it."""
    try:
        async with client.messages.stream(**request) as stream:
            await stream.get_final_message()
        window.answered()
    except anthropic.RateLimitError as error:
        window.refused()
        await asyncio.sleep(float(error.response.headers.get("retry-after", "1")))
    except anthropic.APIError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)


async def go_on(kind: str, base_url: str, request: dict[str, Any], in_flight: int) -> None:
    """Generate without end."""
    retries = anthropic.DEFAULT_MAX_RETRIES if kind == "fixed" else 0
    client = anthropic.AsyncAnthropic(
        api_key="none", base_url=base_url, max_retries=retries, http_client=anthropic.DefaultAioHttpClient()
    )
    window = Window(in_flight, is_fixed=kind == "fixed")
    running: set[asyncio.Task[None]] = set()
    while True:
        while len(running) < int(window.size):
            running.add(asyncio.create_task(generate(client, request, window)))
        _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)


if __name__ == "__main__":
    asyncio.run(go_on(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])))
