"""Keeping what came back: journal first, Parquet in the background."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from polythink.records import AnswerRule, Attempt, Problem, Reading
from polythink.selectors.grading import FinishedText, Grader, read_and_grade
from polythink.storage import landing
from polythink.storage.archive import Archive
from polythink.storage.journal import JournalWriter, Segment
from polythink.storage.rows import text_of

SEGMENT_RECORDS = 4_096  # attempts per Parquet part
SEGMENT_S = 120.0  # seconds until even a small part is written, so that queries see a slow job's traces


class Reader:
    """Reads and grades finished samples by the rules of one job."""

    def __init__(self, problems: Mapping[str, Problem], rule: AnswerRule, grader: Grader) -> None:
        self._problems = problems
        self._rule = rule
        self._grader = grader

    def read(self, finals: Sequence[Attempt]) -> list[Reading]:
        texts = [
            FinishedText(
                problem_id=attempt.key.problem_id,
                text=text_of(attempt.content, "text"),
                stop_reason=attempt.stop_reason,
                failed=attempt.status == "failed",
            )
            for attempt in finals
        ]
        return read_and_grade(texts, self._problems, self._rule, self._grader)


class Keeper:
    """Makes attempts durable and turns closed segments into Parquet on a thread of its own."""

    def __init__(self, archive: Archive, job_id: str, reader: Reader) -> None:
        self._archive = archive
        self._job_id = job_id
        self._reader = reader
        self._writer: JournalWriter | None = None
        self._opened_at = 0.0
        self._landings: dict[Path, Future[Segment]] = {}  # by the segment's journal
        self.warnings: tuple[str, ...] = ()  # about segments that were damaged
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="landing")

    def keep(self, attempts: Sequence[Attempt]) -> None:
        """Durable when this returns. Raises ArchiveError, of the journal or of an earlier landing."""
        if not attempts:
            return
        if self._writer is None:
            self._writer = JournalWriter(landing.new_segment(self._archive, self._job_id))
            self._opened_at = time.monotonic()
        self._writer.append(attempts)

    def roll(self) -> None:
        """Close the segment if it is full or old enough, and see to landings. Raises ArchiveError."""
        if self._writer is not None and self._is_ripe(self._writer):
            self._close_segment()
        for path in [path for path, landed in self._landings.items() if landed.done()]:
            self._note(path)

    def close(self) -> None:
        """Land everything. Raises ArchiveError."""
        self._close_segment()
        self._thread.shutdown(wait=True)
        for path in list(self._landings):
            self._note(path)

    def _note(self, path: Path) -> None:
        """See to a landing that has ended. Raises ArchiveError."""
        if warning := landing.damage(path, self._landings.pop(path).result()):
            self.warnings += (warning,)

    def _is_ripe(self, writer: JournalWriter) -> bool:
        return writer.records >= SEGMENT_RECORDS or time.monotonic() - self._opened_at >= SEGMENT_S

    def _close_segment(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        path = self._writer.path
        self._landings[path] = self._thread.submit(landing.land, self._archive, self._job_id, path, self._reader.read)
        self._writer = None
