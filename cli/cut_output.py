"""A reader that has seen enough, as `head` has, ends a command as it ends other tools: at once and without a word."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

READER_GONE = 141  # 128 + SIGPIPE: what a shell shows of a tool that wrote into a closed pipe


@contextmanager
def quiet_when_cut() -> Iterator[None]:
    """Turn every end that a closed stdout brings about into exit code 141."""
    before = _identity()
    try:
        yield
        sys.stdout.flush()
    except SystemExit as ending:
        if _is_cut(before) if ending.code == 1 else not _flushes():
            _leave()
        raise
    except OSError:
        if _is_cut(before):
            _leave()
        raise


def _identity() -> tuple[int, int] | None:
    """Which file stdout is; None if it is none, as under a test runner."""
    try:
        status = os.fstat(sys.stdout.fileno())
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_cut(before: tuple[int, int] | None) -> bool:
    """Whether nobody reads stdout any more; a library that noticed has put another file in its place."""
    if before is None or _identity() != before:
        return before is not None
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _flushes() -> bool:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return False
    return True


def _leave() -> None:
    """Exit; what is still in buffers goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(READER_GONE) from None
