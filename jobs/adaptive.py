"""Waves at work: what finished samples say goes in, what is wanted next goes to the scheduler.

Whether two answers are the same may take seconds to tell, so votes are looked at on a thread of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from polythink.jobs.scheduler import Scheduler
from polythink.jobs.waves import Form, Step, Waves
from polythink.records import AnswerRule, Attempt
from polythink.selectors.equivalence import class_map
from polythink.selectors.math_judge import MathJudge
from polythink.selectors.panel import ABSTAINS
from polythink.selectors.reading import read_sample
from polythink.storage.rows import text_of


class Adaptive:
    """One run's waves. Context manager: it may hold a thread and a child process."""

    def __init__(self, waves: Waves, scheduler: Scheduler, rule: AnswerRule, kept: Mapping[int, Form]) -> None:
        """`kept` are the answers of the samples that are finished, by their number."""
        self._waves = waves
        self._scheduler = scheduler
        self._rule = rule
        self._known = dict(kept)  # of samples that are not released yet
        self._judge = MathJudge() if rule.equivalence == "math" else None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="votes")
        self._looks: dict[int, Future[list[int]]] = {}  # by cell

    @property
    def is_looking(self) -> bool:
        """Whether more may be wanted in a moment."""
        return bool(self._looks)

    def begin(self) -> None:
        """Release the first wave, and whatever follows from the samples that are finished."""
        self._take(self._waves.begin())
        while self._looks:
            self._advance(wait=True)

    def heard(self, attempt: Attempt) -> None:
        """A sample has finished, durably."""
        ordinal = self._scheduler.grid.ordinal(attempt.key)
        if ordinal is None:
            return
        reading = read_sample(
            text=text_of(attempt.content, "text"),
            stop_reason=attempt.stop_reason,
            failed=attempt.status == "failed",
            rule=self._rule,
        )
        if self._waves.is_released(ordinal):
            self._hear(ordinal, reading.canonical_answer)
        else:
            self._known[ordinal] = reading.canonical_answer

    def advance(self) -> None:
        """Release and spare what follows from the votes that were looked at meanwhile."""
        self._advance(wait=False)

    def _advance(self, *, wait: bool) -> None:
        for cell in [cell for cell, look in self._looks.items() if wait or look.done()]:
            self._take(self._waves.looked(cell, self._looks.pop(cell).result()))

    def _take(self, step: Step) -> None:
        self._scheduler.spare(step.spare)
        self._scheduler.release(step.release)
        for ordinal in step.release:
            if ordinal in self._known:
                self._hear(ordinal, self._known.pop(ordinal))

    def _hear(self, ordinal: int, form: Form) -> None:
        cell = self._waves.heard(ordinal, form)
        if cell is not None:
            self._looks[cell] = self._thread.submit(self._labels, self._waves.forms(cell))

    def _labels(self, forms: Sequence[Form]) -> list[int]:
        classes = class_map({form for form in forms if form is not None}, self._judge)
        numbers = {name: number for number, name in enumerate(dict.fromkeys(classes.values()))}
        return [ABSTAINS if form is None else numbers[classes[form]] for form in forms]

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._judge is not None:
            self._judge.close()

    def __enter__(self) -> Adaptive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
