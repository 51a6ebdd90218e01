"""Samples whose worker died: tried again apart from all others, until each has ended or died alone. No I/O, no clock.

A death implicates everything its worker held, and nothing tells what of it was to blame, if anything was: most often a
machine was taken away. So suspects go to a worker of their own, a sixteenth of them at a time, and those who die there
are divided again. Only a sample that has died in company and then alone is to blame. That costs one worker for each
sixteen-fold of the crowd: two in all up to 16 suspects, three up to 256; and 16 rounds where nobody was to blame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from polythink.records import Attempt
from polythink.workers.tasks import Failure, Result, Task

PARTS = 16
WORKER_DIED = "worker_died"


class Suspects:
    """Ordinals of samples under suspicion, and how their workers died."""

    def __init__(self) -> None:
        self._deaths: dict[int, tuple[str, ...]] = {}
        self._groups: deque[tuple[float, Sequence[int]]] = deque()  # (when due, who goes together)

    def __contains__(self, ordinal: int) -> bool:
        return ordinal in self._deaths

    def deaths(self, ordinal: int) -> tuple[str, ...]:
        """How its workers died, in order."""
        return self._deaths.get(ordinal, ())

    def accuse(self, ordinals: Sequence[int], death: str) -> bool:
        """A worker died with these. True if it was but one, and that is certain to be to blame."""
        for ordinal in ordinals:
            self._deaths[ordinal] = (*self.deaths(ordinal), death)
        if len(ordinals) == 1 and len(self._deaths[ordinals[0]]) > 1:
            return True
        size = -(-len(ordinals) // PARTS) or 1
        self._groups.extend((0.0, ordinals[start : start + size]) for start in range(0, len(ordinals), size))
        return False

    def hold(self, ordinal: int, until: float) -> None:
        """A suspect that has come back without having ended goes alone the next time."""
        self._groups.append((until, (ordinal,)))

    def clear(self, ordinal: int) -> None:
        """It has ended, one way or the other."""
        self._deaths.pop(ordinal, None)

    def next_group(self, now: float) -> Sequence[int]:
        """Who is to go next, to a worker that holds nothing else; empty if nobody is due."""
        for place, (due, group) in enumerate(self._groups):
            if due <= now:
                del self._groups[place]
                return group
        return ()


def died(task: Task, deaths: Sequence[str], now: float) -> Result:
    """The end of a sample that is to blame for the death of its workers, at `now` (Unix seconds)."""
    message = f"its worker died each time it was tried, at last with no other sample: {'; '.join(deaths)}"
    attempt = Attempt(
        key=task.key,
        number=task.number,
        status="failed",
        lane="live",
        endpoint=task.endpoint,
        queued_at=task.queued_at,
        started_at=task.queued_at,
        finished_at=now,
        error_type=WORKER_DIED,
        error_message=message,
    )
    return Result(attempt=attempt, failure=Failure(disposition="give_up", error_type=WORKER_DIED, message=message))
