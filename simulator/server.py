"""Running a simulator: bind, say where, serve until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from polythink.simulator.app import make_app
from polythink.simulator.clock import Clock
from polythink.simulator.faults import load_plan
from polythink.simulator.front import Fronts
from polythink.simulator.meter import Meter
from polythink.simulator.service import Simulator, make_mind
from polythink.simulator.settings import Settings

METER_SECONDS = 1.0  # least wall seconds between writes of the meter file
METER_SHARE = 0.02  # most of the time that writing it may take: a long meter is written less often
GC_THRESHOLD = 50_000  # net new objects before the youngest are collected
BACKLOG = 4096  # connections that may wait to be accepted
PARENT_ENV = "POLYTHINK_SIMULATOR_PARENT"  # process id: of a simulator that ends with the process that started it
PARENT_SECONDS = 0.5  # wall seconds between two looks at it
SHUTDOWN_SECONDS = 0.5  # wall seconds that open replies are given at exit


async def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `announce` gets the base URL as soon as requests are answered.

    Raises ProblemFileError, LocalMindError, FaultPlanError or OSError before that.
    """
    simulator = Simulator(settings, make_mind(settings), Clock(settings.time_scale), load_plan(settings.faults))
    spare_the_collector()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stopped.set)
    runner = web.AppRunner(make_app(simulator), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    assert runner.server is not None
    fronts = Fronts(simulator, runner.server)
    watch = asyncio.create_task(_end_with_parent(stopped))
    try:
        listening = await loop.create_server(fronts, settings.host, settings.port, backlog=BACKLOG)
        announce(f"http://{settings.host}:{listening.sockets[0].getsockname()[1]}")
        await _until(stopped, simulator.meter, settings.meter)
        listening.close()
    finally:
        watch.cancel()
        await asyncio.gather(fronts.shutdown(SHUTDOWN_SECONDS), runner.cleanup())
        if settings.meter:
            write_meter(simulator.meter, settings.meter)


async def _end_with_parent(stopped: asyncio.Event) -> None:
    """A parent that was killed could not stop us."""
    parent = os.environ.get(PARENT_ENV)
    while parent is not None and not stopped.is_set():
        if str(os.getppid()) != parent:
            stopped.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), PARENT_SECONDS)


def spare_the_collector() -> None:
    """Keep the garbage collector from walking problems and meter, which only grow, over and over."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


async def _until(stopped: asyncio.Event, meter: Meter, path: Path | None) -> None:
    while path is not None and not stopped.is_set():
        started = time.perf_counter()
        write_meter(meter, path)
        pause = max(METER_SECONDS, (time.perf_counter() - started) / METER_SHARE)
        try:
            await asyncio.wait_for(stopped.wait(), pause)
        except TimeoutError:
            continue
    await stopped.wait()


def write_meter(meter: Meter, path: Path) -> None:
    """Replace the meter file, so that a reader never sees half of one."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(meter.summary(with_samples=True)), encoding="utf-8")
    unfinished.replace(path)
