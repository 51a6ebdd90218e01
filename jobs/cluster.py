"""Reaching Ray: a local one started for this process, or a cluster by address."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator

import ray

from polythink.errors import ClusterError

MOST_WORKERS = 8  # on a machine


@contextlib.contextmanager
def cluster(address: str | None, *, workers: int | None) -> Iterator[None]:
    """Ray, for as long as the block lasts. Raises ClusterError if it cannot be reached or started.

    `address` is that of an existing cluster; None starts Ray on this machine, wide enough for `workers`. Inside a
    process that Ray itself started (a submitted job), the cluster is the one it runs on.
    """
    with contextlib.redirect_stdout(sys.stderr):  # what Ray prints is talk, not a result
        yield from _connected(address, workers)


def _connected(address: str | None, workers: int | None) -> Iterator[None]:
    if ray.is_initialized():  # by a block around this one
        yield
        return
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    target = address or os.environ.get("RAY_ADDRESS")
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        if target:
            ray.init(address=target, logging_level=logging.ERROR, log_to_driver=False)
        else:
            _start_here(workers)
    except Exception as error:  # a start that takes too long has no class of its own
        raise ClusterError(f"cannot {'reach Ray at ' + target if target else 'start Ray here'}: {error}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_terminate)  # Ray has put its own in place, which ends the process on the spot
    try:
        yield
    finally:
        ray.shutdown()


def _start_here(workers: int | None) -> None:
    """Ray gives itself half a minute to start, which a busy machine may not have: then once more."""
    for is_last in (False, True):
        try:
            ray.init(
                address="local",  # never a cluster that somebody else left running on this machine
                num_cpus=max(os.cpu_count() or 1, workers or 1),
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
        except Exception:
            ray.shutdown()
            if is_last:
                raise
        else:
            return


def default_workers() -> int:
    """As many workers as there are cores, one left for everything else; streams are many per worker, so few will do."""
    cores = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return max(1, min(MOST_WORKERS * len(nodes), cores - 1))
