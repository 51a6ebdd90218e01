"""Time that can run faster than the wall's: an hour of rate limits in seconds."""

from __future__ import annotations

import asyncio
import time


class Clock:
    """A clock running `scale` times as fast as the wall's. `now` is Unix seconds and never goes back."""

    def __init__(self, scale: float = 1.0) -> None:
        if scale <= 0:
            raise ValueError(f"time scale is {scale}; it must be above 0 (60 makes a minute pass in a second)")
        self.scale = scale
        self._wall_at_start = time.time()
        self._monotonic_at_start = time.monotonic()

    def now(self) -> float:
        return self._wall_at_start + (time.monotonic() - self._monotonic_at_start) * self.scale

    async def sleep(self, seconds: float) -> None:
        """Wait this many seconds of this clock."""
        if seconds > 0:
            await asyncio.sleep(seconds / self.scale)
