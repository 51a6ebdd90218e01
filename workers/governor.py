"""The governor: one Ray actor that all workers of a job ask before they start requests."""

from __future__ import annotations

import time

import ray

from polythink.workers.pace import Lease, Pace


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class Governor:
    """Holds the shared limit. Restarted empty if it dies: it then starts slowly, as from cold."""

    def __init__(self, requests_per_minute: float | None, in_flight: int) -> None:
        self._pace = Pace(requests_per_minute=requests_per_minute, in_flight=in_flight, now=time.monotonic())

    async def lease(self, holder: str, want: int, in_flight: int, unused: int) -> Lease:
        return self._pace.lease(holder, want=want, in_flight=in_flight, unused=unused, now=time.monotonic())

    async def freeze(self, seconds: float) -> None:
        self._pace.freeze(seconds, time.monotonic())

    async def forget(self, holder: str) -> None:
        self._pace.forget(holder)
