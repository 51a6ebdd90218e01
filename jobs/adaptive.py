"""Waves at work: what finished samples say goes in, what is wanted next goes to the scheduler.

To read an answer, and to tell whether two are the same, may take seconds, so that is done on a thread of its own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType

from polythink.jobs.scheduler import Scheduler
from polythink.jobs.waves import Form, Step, Waves
from polythink.records import AnswerRule, Attempt
from polythink.selectors.equivalence import PairJudge, are_told_apart, class_map
from polythink.selectors.math_judge import MathJudge
from polythink.selectors.panel import ABSTAINS
from polythink.selectors.reading import read_sample
from polythink.storage.rows import text_of

BEGIN_S = 20.0  # seconds that a run waits for votes before it begins to send


class Adaptive:
    """One run's waves. Context manager: it may hold a thread and a child process."""

    def __init__(self, waves: Waves, scheduler: Scheduler, rule: AnswerRule, known: dict[int, Form]) -> None:
        """`known` are the answers of the samples that are finished, by their number; it is used up."""
        self._waves = waves
        self._scheduler = scheduler
        self._rule = rule
        self._known = known  # of samples that are not released yet
        self._judge = MathJudge() if rule.equivalence == "math" else None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="votes")
        self._reads: deque[tuple[int, Future[Form]]] = deque()  # of samples, in order of arrival
        self._looks: dict[int, Future[list[int]]] = {}  # by cell
        self._ready: deque[tuple[int, list[int]]] = deque()  # cells whose answers were told apart

    @property
    def is_looking(self) -> bool:
        """Whether more may be wanted in a moment."""
        return bool(self._reads or self._looks or self._ready)

    def begin(self) -> None:
        """Release the first wave, and what follows from the samples that are finished, as far as that is soon told."""
        self._take(self._waves.begin())
        until = time.monotonic() + BEGIN_S
        self.advance()
        while self._looks and (left := until - time.monotonic()) > 0:
            wait(self._looks.values(), timeout=left, return_when=FIRST_COMPLETED)
            self.advance()

    def heard(self, attempt: Attempt) -> None:
        """A sample has finished, durably."""
        ordinal = self._scheduler.grid.ordinal(attempt.key)
        if ordinal is not None:
            self._reads.append((ordinal, self._thread.submit(self._read, attempt)))

    def advance(self) -> None:
        """Release and spare what follows from what was read and told apart meanwhile."""
        while self._reads and self._reads[0][1].done():
            ordinal, form = self._reads.popleft()
            self._hear(ordinal, form.result())
        for cell in [cell for cell, look in self._looks.items() if look.done()]:
            self._ready.append((cell, self._looks.pop(cell).result()))
        while self._ready:
            self._take(self._waves.looked(*self._ready.popleft()))

    def _take(self, step: Step) -> None:
        self._scheduler.spare(step.spare)
        self._scheduler.release(step.release)
        for ordinal in step.release:
            if ordinal in self._known:
                self._hear(ordinal, self._known.pop(ordinal))

    def _hear(self, ordinal: int, form: Form) -> None:
        if not self._waves.is_released(ordinal):
            self._known[ordinal] = form
            return
        cell = self._waves.heard(ordinal, form)
        if cell is None:
            return
        forms = self._waves.forms(cell)
        if self._judge is None or are_told_apart(filter(None, forms)):
            self._ready.append((cell, _labels(forms, None)))
        else:
            self._looks[cell] = self._thread.submit(_labels, forms, self._judge)

    def _read(self, attempt: Attempt) -> Form:
        return read_sample(
            text=text_of(attempt.content, "text"),
            stop_reason=attempt.stop_reason,
            failed=attempt.status == "failed",
            rule=self._rule,
        ).canonical_answer

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


def _labels(forms: Sequence[Form], judge: PairJudge | None) -> list[int]:
    classes = class_map({form for form in forms if form is not None}, judge)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(classes.values()))}
    return [ABSTAINS if form is None else numbers[classes[form]] for form in forms]
