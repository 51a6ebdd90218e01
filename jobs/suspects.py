"""Samples whose workers died: tried again apart from all others, until each has ended or died alone. No I/O, no clock.

A death implicates everything its worker held, and nothing tells what of it was to blame, if anything was: most often a
machine was taken away. So a first death counts for nothing but the record. Who was there at a second is a suspect and
goes to a worker of its own, a sixteenth of the suspects at a time; those who die there are divided again. Only a sample
that has died alone twice is to blame. That costs four workers, and one more for each sixteen-fold of the suspects.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from polythink.records import Attempt, AttemptStatus
from polythink.workers.tasks import Failure, Result, Task

PARTS = 16
WORKER_DIED = "worker_died"


class Suspects:
    """Ordinals of samples, how their workers died, and who is under suspicion."""

    def __init__(self) -> None:
        self._deaths: dict[int, tuple[str, ...]] = {}
        self._alone: Counter[int] = Counter()  # of these, with no other sample
        self._groups: deque[tuple[float, Sequence[int]]] = deque()  # (when due, who goes together)

    def __contains__(self, ordinal: int) -> bool:
        return len(self.deaths(ordinal)) > 1

    def deaths(self, ordinal: int) -> tuple[str, ...]:
        """How its workers died, in order."""
        return self._deaths.get(ordinal, ())

    def accuse(self, ordinals: Sequence[int], death: str) -> bool:
        """A worker died with these. True if it was but one, and that is to blame; else suspects among them are held."""
        for ordinal in ordinals:
            self._deaths[ordinal] = (*self.deaths(ordinal), death)
        if len(ordinals) == 1:
            self._alone[ordinals[0]] += 1
            if self._alone[ordinals[0]] > 1:
                return True
        suspects = [ordinal for ordinal in ordinals if ordinal in self]
        size = -(-len(suspects) // PARTS) or 1
        self._groups.extend((0.0, suspects[start : start + size]) for start in range(0, len(suspects), size))
        return False

    def hold(self, ordinal: int, until: float) -> None:
        """A suspect that has come back without having ended goes alone the next time."""
        self._groups.append((until, (ordinal,)))

    def clear(self, ordinal: int) -> None:
        """It has ended, one way or the other."""
        self._deaths.pop(ordinal, None)
        self._alone.pop(ordinal, None)

    def next_group(self, now: float) -> Sequence[int]:
        """Who is to go next, to a worker that holds nothing else; empty if nobody is due."""
        for place, (due, group) in enumerate(self._groups):
            if due <= now:
                del self._groups[place]
                return group
        return ()


def died(task: Task, deaths: Sequence[str], now: float, worst_usd: float) -> Result:
    """The end of a sample that is to blame for the death of its workers, at `now` (Unix seconds)."""
    message = f"its workers died, twice with no other sample: {'; '.join(deaths)}"
    attempt = _unanswered(task, "failed", message, now, worst_usd)
    return Result(attempt=attempt, failure=Failure(disposition="give_up", error_type=WORKER_DIED, message=message))


def lost(task: Task, death: str, now: float, worst_usd: float) -> Attempt:
    """A request that a dead worker held: whether it was sent, and what it was billed, nobody can say."""
    return _unanswered(task, "lost", f"its worker died: {death}", now, worst_usd)


def _unanswered(task: Task, status: AttemptStatus, message: str, now: float, worst_usd: float) -> Attempt:
    return Attempt(
        key=task.key,
        number=task.number,
        status=status,
        lane="live",
        endpoint=task.endpoint,
        queued_at=task.queued_at,
        started_at=task.queued_at,
        finished_at=now,
        reserved_usd=worst_usd,
        error_type=WORKER_DIED,
        error_message=message,
    )
