"""What an interrupt means to a job in the foreground."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from polythink.jobs.control import Control


@contextmanager
def interrupts(control: Control) -> Iterator[None]:
    """While it lasts, the first interrupt asks to stop and the second ends at once."""

    def first(_signal: int, _frame: FrameType | None) -> None:
        print("\nfinishing what is in flight; interrupt again to stop at once", file=sys.stderr)
        control.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def terminate(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGINT, first), signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier[0])
        signal.signal(signal.SIGTERM, earlier[1])
