"""Keeping what is sent and what came back: journal first, Parquet in the background."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from polythink.jobs.intents import unknown_end
from polythink.records import AnswerRule, Attempt, Intent, Problem, Reading, Recall, SampleKey
from polythink.selectors.grading import FinishedText, Grader, read_and_grade
from polythink.storage import landing
from polythink.storage.archive import Archive
from polythink.storage.journal import Record, Segment
from polythink.storage.lease import Lease
from polythink.storage.rows import text_of
from polythink.storage.segments import Journal, SegmentRef, Writer

SEGMENT_RECORDS = 4_096  # attempts per Parquet part
WINDOW_S = 1.0  # seconds between two writes to an object store's journal, each of which costs money and a round trip
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

    def __init__(self, archive: Archive, job_id: str, reader: Reader, lease: Lease) -> None:
        self._archive = archive
        self._job_id = job_id
        self._reader = reader
        self._lease = lease
        self._journal = Journal(archive, job_id)
        self._writer: Writer | None = None
        self._opened_at = 0.0
        self._window_s = WINDOW_S if archive.is_remote else 0.0
        self._waiting: list[Record] = []  # not yet durable
        self._open: dict[tuple[SampleKey, int], Intent] = {}  # whose end is not durable
        self._flushed_at = 0.0
        self._landings: dict[SegmentRef, Future[Segment]] = {}
        self.warnings: tuple[str, ...] = ()  # about segments that were damaged
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="landing")

    @property
    def is_prompt(self) -> bool:
        """Whether what is kept now becomes durable at once."""
        return time.monotonic() - self._flushed_at >= self._window_s

    def recall(self, key: SampleKey, number: int) -> None:
        """A request was not sent after all. Durable with what is kept next."""
        if (key, number) in self._open:
            self._waiting.append(Recall(key=key, number=number))

    def keep(self, records: Sequence[Attempt | Intent]) -> list[Attempt]:
        """Take records in; returns the attempts, of this call or earlier ones, that have become durable.

        On an object store what comes within a second is written together. Raises ArchiveError, of the journal or of an
        earlier landing, and LeaseLostError.
        """
        self._waiting += records
        return self.flush() if self.is_prompt else []

    def flush(self) -> list[Attempt]:
        """Make all that waits durable and return the attempts of it. Raises ArchiveError and LeaseLostError."""
        if not self._waiting:
            return []
        if self._writer is None:
            self._writer = self._journal.begin()
            self._opened_at = time.monotonic()
        self._writer.append(self._waiting)
        self._flushed_at = time.monotonic()
        kept, self._waiting = self._waiting, []
        for record in kept:
            if isinstance(record, Intent):
                self._open[record.key, record.number] = record
            else:
                self._open.pop((record.key, record.number), None)
        return [record for record in kept if isinstance(record, Attempt)]

    def roll(self) -> None:
        """See that the job is still ours, close the segment if it is full or old enough, and see to landings.

        Raises ArchiveError and LeaseLostError.
        """
        self._lease.check()
        if self._writer is not None and self._is_ripe(self._writer):
            self._close_segment(carry=True)
        for ref in [ref for ref, landed in self._landings.items() if landed.done()]:
            self._note(ref)

    def close(self) -> None:
        """Make durable what waits, and land everything. Raises ArchiveError and LeaseLostError.

        What is still with workers is lost: the run broke off.
        """
        try:
            self.flush()
            now = time.time()
            self._waiting += [
                unknown_end(each, "the run broke off before its reply", now) for each in self._open.values()
            ]
            self.flush()
        finally:
            self._close_segment()
            self._thread.shutdown(wait=True)
        for ref in list(self._landings):
            self._note(ref)

    def _note(self, ref: SegmentRef) -> None:
        """See to a landing that has ended. Raises ArchiveError."""
        if warning := landing.damage(self._archive, ref, self._landings.pop(ref).result()):
            self.warnings += (warning,)

    def _is_ripe(self, writer: Writer) -> bool:
        return writer.attempts >= SEGMENT_RECORDS or time.monotonic() - self._opened_at >= SEGMENT_S

    def _close_segment(self, *, carry: bool = False) -> None:
        """Land the segment; open intents go on in the next one, before this one can be gone."""
        closed, self._writer = self._writer, None
        if closed is None:
            return
        closed.close()
        if carry and self._open:
            self._writer, self._opened_at = self._journal.begin(), time.monotonic()
            self._writer.append(list(self._open.values()))
        self._landings[closed.ref] = self._thread.submit(
            landing.land, self._archive, self._job_id, closed.ref, self._reader.read
        )
