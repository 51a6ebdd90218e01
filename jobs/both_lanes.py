"""Two lanes as one: batches beside live requests, for the run's one thread."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from polythink.errors import EndpointError
from polythink.jobs.batch_crew import BatchCrew
from polythink.jobs.crew import Crew, News
from polythink.records import Lane
from polythink.workers.tasks import Task


class BothLanes:
    """The crews of a run some of whose samples go in batches, or are in batches of an earlier run, and others live.

    A batch may take minutes to send or to read, in which live results must go on becoming durable: the news of batches
    is made in a thread of its own, and while that is under way nothing else is asked of them. Where batches cannot go
    on, what is in flight on the live lane is paid: it comes in before the run ends.
    """

    def __init__(self, batches: BatchCrew, live: Crew) -> None:
        self._batches = batches
        self._live = live
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._coming: Future[News] | None = None  # of the batches
        self._error: EndpointError | None = None  # likewise

    def __enter__(self) -> BothLanes:
        return self

    def __exit__(self, *raised: object) -> None:
        self._thread.shutdown()  # it sends nothing once the run has let go of the job

    def lane(self, pool: str) -> Lane:
        return "batch" if pool in self._batches.pools else "live"

    def room(self, lanes: Collection[Lane]) -> dict[str, int]:
        """How many tasks of each pool of some lanes it can take now."""
        if self._error is not None:
            return {}
        room = self._live.room(lanes)
        return room if self._coming is not None else {**self._batches.room(lanes), **room}

    def send(self, pool: str, tasks: Sequence[Task]) -> None:
        """Hand tasks of one pool to its lane. There must be room for them."""
        (self._batches if self.lane(pool) == "batch" else self._live).send(pool, tasks)

    def news(self) -> News:
        """What happened on both. Raises as either crew does."""
        if self._error is not None:
            if not self._live.is_busy:
                raise self._error
            return self._live.news()
        if self._coming is None:
            self._coming = self._thread.submit(self._batches.news)
        news = self._live.news()
        return news + self._take(self._coming) if self._coming.done() else news

    def _take(self, coming: Future[News]) -> News:
        self._coming = None
        try:
            return coming.result()
        except EndpointError as error:
            self._error = error
            return News([], [], returned=self.recall())

    def recall(self) -> list[Task]:
        """Take back what the run need not wait for."""
        self._settle_down()
        return self._batches.recall() + self._live.recall()

    def leave_out(self, endpoint: str) -> list[Task]:
        """Send nothing more to an endpoint. Returns what waits there."""
        self._settle_down()
        return self._batches.leave_out(endpoint) + self._live.leave_out(endpoint)

    def close(self) -> None:
        """Note what became durable. News that nobody heard has not: a resume hears it again."""
        self._settle_down()
        if self._coming is None:
            self._batches.close()

    def _settle_down(self) -> None:
        """Wait for what is under way; `news` hands it over."""
        if self._coming is not None:
            wait([self._coming])
