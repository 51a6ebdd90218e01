"""Patience ends a wait that is too long in all or too quiet, and no other."""

from __future__ import annotations

import asyncio

import pytest

from polythink.workers.patience import Patience


def test_a_wait_without_a_byte_ends_and_says_so() -> None:
    async def wait() -> None:
        async with Patience(whole_s=60, idle_s=0.02):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match=r"not a byte came for 0\.02 s"):
        asyncio.run(wait())


def test_a_wait_that_is_too_long_in_all_ends_though_bytes_come() -> None:
    async def wait() -> None:
        async with Patience(whole_s=0.1, idle_s=60) as patience:
            while True:
                await asyncio.sleep(0.005)
                patience.heard()

    with pytest.raises(TimeoutError, match=r"it took longer than 0\.1 s"):
        asyncio.run(wait())


def test_what_is_heard_puts_the_end_off() -> None:
    async def wait() -> bool:
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with Patience(whole_s=60, idle_s=1.0) as patience:
            while loop.time() < started + 1.2:
                await asyncio.sleep(0.05)
                patience.heard()
        return True

    assert asyncio.run(wait())


def test_leave_shortens_the_wait_and_never_lengthens_it() -> None:
    async def wait() -> float:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with Patience(whole_s=60, idle_s=60) as patience:
                patience.leave(0.02)
                patience.leave(30)
                await asyncio.Event().wait()
        except TimeoutError:
            return loop.time() - started
        raise AssertionError("it waited for ever")

    assert asyncio.run(wait()) < 5


def test_a_cancellation_from_outside_stays_one() -> None:
    async def wait() -> None:
        async with Patience(whole_s=60, idle_s=60):
            await asyncio.Event().wait()

    async def cancelled() -> bool:
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        try:
            await waiting
        except asyncio.CancelledError:
            return True
        return False

    assert asyncio.run(cancelled())
