"""How long a request may take: in all, and between two bytes of its reply."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Patience:
    """A block that TimeoutError ends after `whole_s` seconds, or once `heard` was not called for `idle_s` seconds.

    One timer serves a whole stream: it looks back at what was heard, where the transport's own read timeout starts a
    timer for every packet, which costs more than reading it.
    """

    def __init__(self, *, whole_s: float, idle_s: float) -> None:
        self._whole_s = whole_s
        self._idle_s = idle_s
        self._timeout = asyncio.timeout(None)
        self._reason = ""

    async def __aenter__(self) -> Patience:
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._ends_at = self._heard_at + self._whole_s
        self._timer = self._loop.call_at(self._due(), self._check)
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise TimeoutError(self._reason) from None

    def heard(self) -> None:
        """A byte came."""
        self._heard_at = self._loop.time()

    def leave(self, within_s: float) -> None:
        """Let the block go on for at most this many seconds."""
        ends_at = self._loop.time() + within_s
        if ends_at < self._ends_at:
            self._ends_at = ends_at
            self._timer.cancel()
            self._timer = self._loop.call_at(self._due(), self._check)

    def _due(self) -> float:
        return min(self._ends_at, self._heard_at + self._idle_s)

    def _check(self) -> None:
        now, due = self._loop.time(), self._due()
        if due > now:
            self._timer = self._loop.call_at(due, self._check)
            return
        silent = f"not a byte came for {self._idle_s:g} s"
        self._reason = silent if due < self._ends_at else f"it took longer than {self._whole_s:g} s"
        self._timeout.reschedule(now)
