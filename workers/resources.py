"""How many streams one worker can hold: by file descriptors and by memory."""

from __future__ import annotations

import resource
from pathlib import Path

MOST_STREAMS = 4000  # of one event loop; more work is better spread over more workers
SPARE_DESCRIPTORS = 256  # for Ray, the interpreter and the log
STREAM_BYTES = 512 * 1024  # memory set aside for one: buffers, and a long trace
OF_MEMORY = 0.5  # of what is free may be used by all workers of a machine
_MEMINFO = Path("/proc/meminfo")


def streams_at_once(workers: int) -> int:
    """How many streams a worker may hold where `workers` of them share the machine. Raises the descriptor limit."""
    descriptors = _raised_descriptor_limit() - SPARE_DESCRIPTORS
    memory = _free_bytes() * OF_MEMORY / max(1, workers) / STREAM_BYTES
    return max(1, min(MOST_STREAMS, descriptors, int(memory)))


def _raised_descriptor_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_STREAMS + SPARE_DESCRIPTORS
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(soft, most)


def _free_bytes() -> int:
    """Memory that can still be had; plenty where the system does not say."""
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return MOST_STREAMS * STREAM_BYTES * 4
    kilobytes = next((int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), 0)
    return kilobytes * 1024
