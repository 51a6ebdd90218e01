"""The batch lane: what the workers are to the live lane. Driven by the run's one thread; it needs no cluster.

A batch is intended, durably; then created; then looked at until it has ended; then its results are handed over; and
when they are durable, it is settled. See `batch_book` for what may follow from what.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from polythink.errors import EndpointError
from polythink.jobs.backoff import longer_s
from polythink.jobs.batch_book import (
    FOUND_WITHIN_S,
    BatchRecord,
    Entry,
    Listed,
    candidates,
    created_from,
    fate,
    next_poll_s,
)
from polythink.jobs.batch_ledger import BatchLedger
from polythink.jobs.batch_packing import MOST_REQUESTS, packed
from polythink.jobs.crew import News
from polythink.jobs.pools import pool_name
from polythink.jobs.requests import Requests
from polythink.records import Lane, SampleKey
from polythink.workers.batches import (
    LOST,
    NO_BATCHES,
    BatchCallError,
    BatchEndpoint,
    Line,
    RemoteBatch,
    billed_usd,
    result_of,
)
from polythink.workers.tasks import Endpoint, Failure, Result, Task

HANDED_OVER = 1_000  # results at a time
REST_S = 0.25  # seconds between two looks at what is due
QUEUE_LOOK_S = 600.0  # seconds, at most, until a batch for which the queue was full is sent again
PATIENCE_S = 60.0  # seconds without any answer of an endpoint before the run gives up on it

Asked = Callable[[], Literal["interrupted", "cancelled"] | None]


@dataclass(slots=True)
class _Open:
    """A batch whose fate is not settled."""

    record: BatchRecord
    pool: str
    tasks: dict[str, Task]  # by custom id: those whose results are still wanted
    due_at: float = 0.0  # when to look again, on the monotonic clock, as is all waiting
    opened_at: float = field(default_factory=time.monotonic)  # by this process
    refusals: int = 0  # in a row
    remote: RemoteBatch | None = None
    results: Iterator[Line | None] | None = None
    outcomes: Counter[str] = field(default_factory=Counter)
    cost_usd: float = 0.0
    is_read: bool = False  # all results were handed over
    is_ours: dict[str, bool] = field(default_factory=dict)  # by id: what the results of candidates said
    unreadable: int = 0  # lines of its results
    gone: str | None = None  # why nobody will ever see its results, or some of them
    is_cancelled: bool = False  # the API was told, and said yes
    cancel_at: float = 0.0  # when to tell it again
    cancel_refusals: int = 0

    @property
    def can_be_cancelled(self) -> bool:
        is_known = self.record.state == "created" and self.results is None and not self.is_read
        return is_known and not self.is_cancelled and not (self.remote and self.remote.is_canceling)


class BatchCrew:
    """Open batches of one job. Raises EndpointError where an endpoint refuses the job or cannot be reached."""

    def __init__(
        self,
        ledger: BatchLedger,
        requests: Requests,
        endpoints: Mapping[str, Endpoint],
        pools: Sequence[str],
        *,
        wanted: Collection[SampleKey],
        asked: Asked,
    ) -> None:
        """`pools` are the names of the limit pools whose samples go in batches.

        `asked` says whether the run was asked to stop. `wanted` are the samples in batches that an earlier run left
        open whose results are not kept yet.
        """
        self._ledger = ledger
        self._requests = requests
        needed = {pool.partition("/")[0] for pool in pools} | {record.endpoint for record in ledger.open}
        self._remotes = {name: BatchEndpoint(endpoints[name]) for name in needed}
        self._pools = tuple(pools)
        self._asked = asked
        self._has_more = dict.fromkeys(pools, True)  # pool -> whether its last draw was a full one
        self._granted = dict.fromkeys(pools, 0)
        self._open = [self._reopened(record, wanted) for record in ledger.open]
        self._unsent: list[Task] = []
        self._send_at = 0.0
        self._refusals = 0  # of `create`, in a row
        self._silent_since: float | None = None
        self._returned: list[Task] = []  # not at the API after all
        self._warnings: list[str] = []
        self._no_batches: EndpointError | None = None  # an endpoint has none

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools for which it creates batches."""
        return self._pools

    def lane(self, pool: str) -> Lane:
        return "batch"

    def room(self, lanes: Collection[Lane]) -> dict[str, int]:
        """How many tasks of each pool may be drawn now. Small batches wait until the others of their pool are in."""
        if "batch" not in lanes:
            return {}
        busy = {each.pool for each in self._open}
        self._granted = {
            pool: MOST_REQUESTS if not self._unsent and (self._has_more[pool] or pool not in busy) else 0
            for pool in self._pools
        }
        for pool, granted in self._granted.items():
            if granted:
                self._has_more[pool] = False
        return self._granted

    def send(self, pool: str, tasks: Sequence[Task]) -> None:
        """Take tasks of one pool, to be batched."""
        self._has_more[pool] = len(tasks) == self._granted[pool]
        self._unsent += tasks

    def news(self) -> News:
        """What came back. By the next call it must be durable: then a batch of which it was the last is settled."""
        self._settle_read()
        if self._asked() == "cancelled":
            self._cancel_open()
        else:
            self._create_due()
        for each in self._open:
            if time.monotonic() >= each.due_at and (results := self._advance(each)):
                return self._news(results)
        self._open = [each for each in self._open if each.record.is_open]
        time.sleep(REST_S)
        return self._news([])

    def _news(self, results: list[Result]) -> News:
        returned, self._returned = self._returned, []
        if self._asked() == "cancelled":
            returned += self._unsent
            self._unsent = []
        warnings, self._warnings = self._warnings, []
        return News(results, [], returned=returned, at_once=bool(results), warnings=warnings)

    def recall(self) -> list[Task]:
        """What is not at the API; and unless the job was cancelled, what is there too: a resume collects it."""
        tasks, self._unsent, self._returned = self._unsent + self._returned, [], []
        if self._asked() != "cancelled":
            tasks += [task for each in self._open for task in each.tasks.values()]
        return tasks

    def leave_out(self, endpoint: str) -> list[Task]:
        """Create no more batches at an endpoint. Returns what was to be sent there."""
        self._pools = tuple(pool for pool in self._pools if pool.partition("/")[0] != endpoint)
        there = [task for task in self._unsent if task.endpoint == endpoint]
        self._unsent = [task for task in self._unsent if task.endpoint != endpoint]
        return there

    def close(self) -> None:
        """Note what became durable since the last news."""
        self._settle_read()

    # Creating

    def _create_due(self) -> None:
        """Raises EndpointError once an endpoint has no batches, and what others have under way is in."""
        if not self._unsent or time.monotonic() < self._send_at:
            return
        if self._no_batches is not None:
            if not self._open:
                raise self._no_batches
            return
        batch = next(packed(self._unsent))
        taken = {id(task) for task in batch}
        self._unsent = [task for task in self._unsent if id(task) not in taken]
        self._intend(batch)  # a refusal puts them back

    def _intend(self, tasks: list[Task]) -> None:
        record = BatchRecord(
            number=self._ledger.next_number(),
            endpoint=tasks[0].endpoint,
            model=str(tasks[0].body["model"]),
            requests=len(tasks),
            entries=tuple(Entry(key=task.key, number=task.number) for task in tasks),
            reserved_usd=sum(self._requests.worst_case_usd(task.key) for task in tasks),
            intended_at=time.time(),
        )
        each = _Open(self._ledger.keep(record), tasks[0].pool, {task.sample_id: task for task in tasks})
        self._open.append(each)
        try:
            remote = self._remotes[record.endpoint].create(tasks)
        except BatchCallError as error:
            each.due_at = time.monotonic() + REST_S
            if error.is_certain:
                self._release(each, error.failure.message)
                self._unsent += tasks
                self._refusals += 1
                self._send_at = time.monotonic() + self._refused_for_s(error.failure)
            if error.failure.http_status in NO_BATCHES:
                self._do_without(record.endpoint, error.failure)
            else:
                self._hear(error.failure)
            return
        self._heard()
        self._refusals = 0
        self._created(each, remote)

    def _do_without(self, endpoint: str, failure: Failure) -> None:
        """Create nothing more: an endpoint has no batches. Batches that are under way elsewhere are waited for."""
        message = f"endpoint {endpoint} takes no message batches ({failure.message}); set `lane: live`"
        self._no_batches, self._send_at = EndpointError(message), 0.0
        if any(each.record.is_open for each in self._open):
            self._warnings.append(f"{message}; batches that are under way are collected first")

    def _refused_for_s(self, failure: Failure) -> float:
        """Seconds until a batch is sent again. A full queue has room when a batch ends, so it is not pressed."""
        is_queued = failure.limited and any(each.record.state == "created" for each in self._open)
        wait_s = min(QUEUE_LOOK_S, 2.0**self._refusals) if is_queued else longer_s(self._refusals)
        return max(failure.retry_after_s or 0.0, wait_s)

    def _created(self, each: _Open, remote: RemoteBatch) -> None:
        each.record = self._ledger.keep(each.record.created(remote.batch_id, remote.created_at))
        each.due_at = time.monotonic() + next_poll_s(0.0)

    def _release(self, each: _Open, reason: str) -> None:
        """Nothing of it is at the API: its samples may be sent again."""
        each.record = self._ledger.keep(each.record.released(reason))
        each.tasks = {}

    def _return(self, each: _Open) -> None:
        """Its samples have no result and are not at the API: whether they are sent again is not for a crew to say."""
        self._returned += each.tasks.values()
        if each.tasks:
            self._has_more[each.pool] = True  # they need not wait for other batches
        each.tasks = {}

    # Following

    def _advance(self, each: _Open) -> list[Result]:
        """One step with a batch that is due. Returns results to keep."""
        try:
            if each.is_read:
                return []
            if each.record.state == "intended":
                self._resolve(each)
            elif each.results is None:
                self._look(each)
            results = self._read(each) if each.results is not None else []
        except BatchCallError as error:
            each.results = None
            self._trouble(each, error.failure)
            return []
        self._heard()
        each.refusals = 0
        return results

    def _resolve(self, each: _Open) -> None:
        """Find out whether a batch was created whose reply was lost."""
        remote = self._remotes[each.record.endpoint]
        listed = {batch.batch_id: batch for batch in remote.since(created_from(each.record))}
        found = candidates(each.record, map(_listed, listed.values()), self._ledger.known_ids)
        ours = {batch.batch_id: self._is_ours(each, listed[batch.batch_id]) for batch in found}
        watched_s = time.monotonic() - each.opened_at
        verdict, batch_id = fate(ours, watched_s)
        if verdict == "adopt" and batch_id is not None:
            self._created(each, listed[batch_id])
        elif verdict == "release":
            self._return(each)
            self._release(each, "it was never created")
        else:
            each.due_at = time.monotonic() + next_poll_s(watched_s)

    def _is_ours(self, each: _Open, batch: RemoteBatch) -> bool | None:
        """Whether a batch holds the samples of a record; None while it has no results. The answer is asked for once."""
        if batch.is_archived:
            return True  # nobody can tell any more; as ours, its worst case stays under the cap
        if batch.ended_at is not None and batch.batch_id not in each.is_ours:
            first = self._remotes[each.record.endpoint].first_custom_id(batch.batch_id)
            each.is_ours[batch.batch_id] = any(
                entry.key.sample_id(self._requests.job_id) == first for entry in each.record.entries
            )
        return each.is_ours.get(batch.batch_id)

    def _look(self, each: _Open) -> None:
        remote = self._remotes[each.record.endpoint]
        batch_id = str(each.record.batch_id)
        each.remote = remote.look(batch_id)
        if each.remote.is_archived:
            self._give_up(each, "the API keeps results for 29 days, and these are gone")
        elif each.remote.ended_at is not None:
            each.results = remote.results(batch_id)
            each.outcomes, each.cost_usd, each.unreadable = Counter(), 0.0, 0
        else:
            each.due_at = time.monotonic() + next_poll_s(time.monotonic() - each.opened_at)

    def _give_up(self, each: _Open, reason: str) -> None:
        """What it brought that was not kept is lost: it may have been billed, and its samples are owed again."""
        each.outcomes, each.cost_usd = self._ledger.collected(each.record)
        self._lose_rest(each, reason)

    def _give_up_unreadable(self, each: _Open) -> None:
        """Any sample that had no result may be one whose line could not be read."""
        many = f"{each.unreadable:,} line{'s' if each.unreadable > 1 else ''} of its results could not be read"
        lost = f"; {len(each.tasks):,} of its samples are recorded as lost, and sent again" if each.tasks else ""
        self._warnings.append(f"batch {each.record.number} ({each.record.batch_id}): {many}{lost}")
        self._lose_rest(each, many)

    def _lose_rest(self, each: _Open, reason: str) -> None:
        each.gone = reason
        each.results = ((sample_id, {"type": LOST}, None) for sample_id in tuple(each.tasks))

    def _read(self, each: _Open) -> list[Result]:
        """The next results, as the API orders them. Raises BatchCallError once all before it are handed over."""
        assert each.results is not None
        results: list[Result] = []
        try:
            for line in each.results:
                if line is None:
                    each.unreadable += 1
                    continue
                custom_id, result, simulator = line
                each.outcomes[str(result["type"] if each.gone is None else "errored")] += 1
                each.cost_usd += billed_usd(self._endpoint(each), each.record.model, result)
                if task := each.tasks.pop(custom_id, None):
                    results.append(self._result(each, task, result, simulator))
                if len(results) >= HANDED_OVER and each.tasks:  # after the last that is wanted, the rest is counted
                    return results
        except BatchCallError:
            if not results:
                raise
            each.results = None  # from the start, next time
            return results
        if each.unreadable and each.gone is None:
            self._give_up_unreadable(each)
            if each.tasks:  # those come next
                return results
        self._return(each)
        each.is_read = True
        return results

    def _result(self, each: _Open, task: Task, result: dict[str, Any], simulator: str | None) -> Result:
        ended_at = (each.remote and each.remote.ended_at) or time.time()
        created_at = each.record.created_at or each.record.intended_at
        return result_of(
            self._endpoint(each), task, result, created_at=created_at, ended_at=ended_at, simulator=simulator
        )

    def _endpoint(self, each: _Open) -> Endpoint:
        return self._remotes[each.record.endpoint].endpoint

    def _settle_read(self) -> None:
        for each in self._open:
            if each.is_read:
                ended_at = (each.remote and each.remote.ended_at) or time.time()
                record = each.record.settled(
                    outcomes=each.outcomes, cost_usd=each.cost_usd, ended_at=ended_at, reason=each.gone
                )
                each.record = self._ledger.keep(record)
                self._send_at = 0.0  # there is room in the queue
        self._open = [each for each in self._open if each.record.is_open]

    def _cancel_open(self) -> None:
        """Tell the API to end each batch that it has, until it has heard it."""
        for each in self._open:
            if each.can_be_cancelled and time.monotonic() >= each.cancel_at:
                self._cancel(each)

    def _cancel(self, each: _Open) -> None:
        try:
            self._remotes[each.record.endpoint].cancel(str(each.record.batch_id))
        except BatchCallError as error:
            each.cancel_refusals += 1
            wait_s = max(error.failure.retry_after_s or 0.0, longer_s(each.cancel_refusals))
            each.cancel_at = time.monotonic() + wait_s
            if error.failure.disposition != "give_up":  # else it may just have ended, as a look will tell
                self._hear(error.failure)
        else:
            each.is_cancelled = True
            self._heard()
        each.due_at = time.monotonic() + REST_S

    # Trouble

    def _trouble(self, each: _Open, failure: Failure) -> None:
        """A look or a download failed: try again later; or let go of a batch that the API no longer knows."""
        watched_s = time.monotonic() - each.opened_at
        if failure.http_status == 404 and each.record.state == "created" and watched_s > FOUND_WITHIN_S:
            self._give_up(each, f"the API does not know it: {failure.message}")
            return
        if failure.http_status != 404:
            self._hear(failure)
        each.refusals += 1
        each.due_at = time.monotonic() + max(failure.retry_after_s or 0.0, longer_s(each.refusals))

    def _hear(self, failure: Failure) -> None:
        if failure.disposition == "stop_job":
            raise EndpointError(f"the API refuses: {failure.message}")
        if failure.disposition == "give_up" and failure.http_status != 404:
            raise EndpointError(f"the API does not take the batch: {failure.message}")
        if not failure.unreachable:
            self._heard()
            return
        now = time.monotonic()
        self._silent_since = self._silent_since or now
        if now - self._silent_since > PATIENCE_S:
            raise EndpointError(f"no endpoint answers: {failure.message}; check base_url and the network")

    def _heard(self) -> None:
        self._silent_since = None

    def _reopened(self, record: BatchRecord, wanted: Collection[SampleKey]) -> _Open:
        pool = pool_name(record.endpoint, record.model)
        tasks = [
            self._requests.task(entry.key, entry.number, record.intended_at, pool=pool)
            for entry in record.entries
            if entry.key in wanted
        ]
        return _Open(record, pool, {task.sample_id: task for task in tasks})


def _listed(batch: RemoteBatch) -> Listed:
    return Listed(
        batch_id=batch.batch_id,
        created_at=batch.created_at,
        requests=batch.requests,
        has_ended=batch.ended_at is not None,
    )
