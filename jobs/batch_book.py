"""What is known of a job's batches. Pure: records and what may follow from which; no I/O, no clock.

intended -> created -> settled        the usual way: results are in, and durable
         -> released                  the API refused it, or it turned out never to have been made
         -> intended (held)           the reply to `create` was lost: nobody sends its samples until its fate is known
created  -> settled, with a reason    the API no longer has its results: what they may have cost stays held

A record is durable before `create` is called and again once the id is known, so a crash leaves nothing unaccounted for:
whatever the API may have taken in has a record that names every sample of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from polythink.records import SampleKey

BatchState = Literal["intended", "created", "settled", "released"]
Outcome = Literal["succeeded", "errored", "canceled", "expired"]

GRACE_S = 120.0  # seconds of watching after which a batch that is not listed was never made
CLOCKS_APART_S = 7 * 86400.0  # seconds by which the API's clock and ours may differ, or ours have jumped
FOUND_WITHIN_S = 600.0  # seconds for which a new batch may be unknown to the API's other machines

_NEXT: dict[BatchState, frozenset[BatchState]] = {
    "intended": frozenset({"created", "released"}),
    "created": frozenset({"settled"}),
    "settled": frozenset(),
    "released": frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One sample of a batch."""

    key: SampleKey
    number: int  # of the attempt, from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """One batch, from intent to end. Times are Unix seconds (UTC)."""

    number: int  # within the job, from 1
    endpoint: str  # the endpoint's name in the job
    model: str
    requests: int  # entries it was made with
    entries: tuple[Entry, ...]  # forgotten once it is over
    reserved_usd: float  # worst case of all entries together
    intended_at: float
    state: BatchState = "intended"
    batch_id: str | None = None  # the API's, once known
    created_at: float | None = None
    ended_at: float | None = None
    reason: str | None = None  # why it was released, or settled without results
    outcomes: Mapping[str, int] | None = None  # entries by outcome, once settled
    cost_usd: float | None = None  # billed, once settled

    @property
    def is_open(self) -> bool:
        """Whether its samples must not be sent by anybody else."""
        return self.state in ("intended", "created")

    def created(self, batch_id: str, at: float) -> BatchRecord:
        return self._become("created", batch_id=batch_id, created_at=at)

    def settled(
        self, *, outcomes: Mapping[str, int], cost_usd: float, ended_at: float, reason: str | None = None
    ) -> BatchRecord:
        return self._become("settled", outcomes=dict(outcomes), cost_usd=cost_usd, ended_at=ended_at, reason=reason)

    def released(self, reason: str) -> BatchRecord:
        return self._become("released", reason=reason)

    def _become(self, state: BatchState, **changes: object) -> BatchRecord:
        if state not in _NEXT[self.state]:
            raise ValueError(f"batch {self.number} is {self.state} and cannot become {state}")
        return replace(self, state=state, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A batch as the API lists it."""

    batch_id: str
    created_at: float  # Unix seconds, by the API's clock
    requests: int  # in all
    has_ended: bool


Fate = Literal["adopt", "wait", "release"]


def created_from(record: BatchRecord) -> float:
    """The time, by the API's clock, before which the batch that a record intended cannot have been created."""
    return record.intended_at - CLOCKS_APART_S


def candidates(record: BatchRecord, listed: Iterable[Listed], known: Collection[str]) -> list[Listed]:
    """The listed batches that may be the one a record intended, whose reply was lost.

    `known` are ids that other records of the job hold.
    """
    since = created_from(record)
    return [
        batch
        for batch in listed
        if batch.created_at >= since and batch.requests == record.requests and batch.batch_id not in known
    ]


def fate(ours: Mapping[str, bool | None], watched_s: float) -> tuple[Fate, str | None]:
    """What becomes of a record whose batch may or may not exist.

    `ours` says of each candidate whether its results carry our ids; None while it has no results yet. Every candidate
    must be ruled out before the samples may be sent again; and for the first `GRACE_S` that this process has watched,
    by a clock that does not jump, one may still appear.
    """
    for batch_id, is_ours in ours.items():
        if is_ours:
            return "adopt", batch_id
    if None in ours.values() or watched_s < GRACE_S:
        return "wait", None
    return "release", None


def next_poll_s(age_s: float) -> float:
    """Seconds until a batch of that age is looked at again: soon at first, at most a minute.

    >>> next_poll_s(0.0), next_poll_s(100.0), next_poll_s(1e5)
    (0.5, 5.0, 60.0)
    """
    return min(60.0, max(0.5, 0.05 * age_s))
