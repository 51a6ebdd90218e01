"""The lease: one owner per job, wherever its processes run.

A lease is one small object, replaced only by who has read what it replaces (compare and swap). Its owner changes it
every few seconds. Who wants it and finds an owner watches the object itself: unchanged for TIMEOUT_S of the watcher's
own monotonic clock, it is free. No two machines' clocks are ever compared, so a clock that jumps does no harm. The
owner, for its part, stops when it could not renew for GRACE_S, which is less: it has stopped before another can have
begun. A process that was frozen through all of that finds its place in the journal taken, see segments.py.

An owner on this machine whose process has ended is replaced at once.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace

from polythink.errors import ArchiveError, JobBusyError, LeaseLostError
from polythink.storage.damage import parsed
from polythink.storage.process import Process, this_process
from polythink.storage.store import Store, Versioned

TIMEOUT_S = 60.0  # seconds an owner may show no sign of life before another takes its place
GRACE_S = 45.0  # seconds without a renewal after which an owner stops by itself
STALE_S = 8.0  # seconds without a renewal after which an owner renews before it does anything else
RENEW_S = 3.0  # seconds between renewals
LOOK_EVERY_S = 0.5  # seconds between a watcher's looks


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """What lies in the store."""

    epoch: int  # grows by one with every owner
    mark: str  # unlike any other record's: what a change is known by
    owner: Process | None  # None once it was given back


def elapsed() -> float:
    """Seconds that passed, those in which the machine slept included, where the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Lease:
    """Held: renewed by a thread of its own until it is given back or lost."""

    def __init__(
        self, store: Store, name: str, what: str, record: LeaseRecord, version: str, is_takeover: bool
    ) -> None:
        self._store, self._name, self._what = store, name, what
        self._record, self._version = record, version
        self._renewed_at = elapsed()
        self._lost: str | None = None
        self._renewing = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name="lease", daemon=True)
        self._thread.start()
        self.is_takeover = is_takeover  # whether the owner before did not give it back

    @property
    def epoch(self) -> int:
        return self._record.epoch

    def check(self) -> None:
        """Raises LeaseLostError once another may own it, ArchiveError if that cannot be told.

        A process that was frozen, or whose store was away, finds out here before it goes on.
        """
        for _ in range(2):  # the first may have taken so long that it says nothing of now
            if self._lost is None and elapsed() - self._renewed_at > STALE_S:
                self._renew()
        silent_s = elapsed() - self._renewed_at
        if self._lost is None and silent_s > GRACE_S:
            self._lost = (
                f"{self._what}: its lease {self._store.place(self._name)} could not be renewed for {silent_s:.0f} s, "
                "so another may run it by now; check that the archive can be reached, then resume"
            )
        if self._lost:
            raise LeaseLostError(self._lost)

    @contextmanager
    def given_back_only_if_done(self) -> Iterator[None]:
        """Where this fails, the lease is left as a dead owner leaves it: the next owner has to do it too."""
        try:
            yield
        except BaseException:
            self._lost = f"{self._what}: its lease was left, because taking it over failed"
            raise

    def give_back(self) -> None:
        """Let the next owner begin at once."""
        self._ended.set()
        self._thread.join()
        if self._lost is None:
            with suppress(ArchiveError):  # then it is taken over, like a dead owner's
                free = replace(self._record, owner=None, mark=secrets.token_hex(8))
                self._store.put_if_match(self._name, _encode(free), self._version)
        self._lost = self._lost or f"{self._what}: its lease was given back"  # whoever still works under it must stop

    def _keep_alive(self) -> None:
        while not self._ended.wait(RENEW_S) and self._lost is None:
            with suppress(ArchiveError):  # tried again; `check` knows for how long
                self._renew()

    def _renew(self) -> None:
        with self._renewing:
            self._renew_once(elapsed())

    def _renew_once(self, began: float) -> None:
        record = replace(self._record, mark=secrets.token_hex(8))
        version = self._store.put_if_match(self._name, _encode(record), self._version)
        if version is None:
            version, self._lost = self._look_again()
        if version is not None:
            self._record, self._version, self._renewed_at = record, version, began

    def _look_again(self) -> tuple[str | None, str | None]:
        """After a refusal: the version to go on from, if what is there is ours (a renewal that was thought to have
        failed), else the words for the loss."""
        found = self._store.read(self._name)
        there = _decode(self._store, self._name, found.data) if found else None
        if found and there and (there.epoch, there.owner) == (self._record.epoch, self._record.owner):
            return found.version, None
        by = f" by {there.owner}" if there and there.owner else ""
        return None, f"{self._what} was taken over{by}; this run has stopped sending"


@contextmanager
def hold(store: Store, name: str, what: str, *, force: bool = False, waits: bool = False) -> Iterator[Lease]:
    """Own a lease. Raises JobBusyError if another does, unless it is taken with `force` or waited for."""
    lease = _acquire(store, name, what, force=force, waits=waits)
    try:
        yield lease
    finally:
        lease.give_back()


def is_held_here(store: Store, name: str) -> bool:
    """Whether a live process of this machine owns the lease."""
    found = store.get(name)
    owner = _decode(store, name, found).owner if found else None
    return owner is not None and owner.is_here and not owner.is_gone


@dataclass(slots=True)
class Watcher:
    """What can be concluded from looking at a lease again and again. Pure: the time of each look is given."""

    seen: LeaseRecord | None = None
    since: float = 0.0  # when `seen` was first seen, in seconds
    is_alive: bool = False  # whether its owner gave a sign of life between two looks

    def look(self, record: LeaseRecord | None, now: float) -> None:
        if self.seen is not None and record == self.seen:
            return
        self.is_alive = bool(self.seen and record and record.owner and record.owner == self.seen.owner)
        self.seen, self.since = record, now

    def is_free(self, now: float) -> bool:
        """Whether nobody owns it, or its owner has ended or was silent for TIMEOUT_S."""
        owner = self.seen.owner if self.seen else None
        return owner is None or owner.is_gone or now - self.since > TIMEOUT_S


def _acquire(store: Store, name: str, what: str, *, force: bool, waits: bool) -> Lease:
    watcher = Watcher()
    while True:
        found = store.read(name)
        record = _decode(store, name, found.data) if found else None
        watcher.look(record, elapsed())
        if force or watcher.is_free(elapsed()):
            if lease := _take(store, name, what, found):
                return lease
        elif not waits and record and record.owner and (watcher.is_alive or record.owner.is_here):
            raise JobBusyError(
                f"{what} is being run by {record.owner}; watch it, or cancel it first; if that process hangs, "
                "`resume --force` takes its place"
            )
        else:
            time.sleep(LOOK_EVERY_S)


def _take(store: Store, name: str, what: str, found: Versioned | None) -> Lease | None:
    """Try to be the next owner; None if another was faster."""
    before = _decode(store, name, found.data) if found else None
    record = LeaseRecord(epoch=before.epoch + 1 if before else 1, mark=secrets.token_hex(8), owner=this_process())
    data = _encode(record)
    version = store.put_if_match(name, data, found.version) if found else store.put_if_absent(name, data)
    if version is None:
        return None
    return Lease(store, name, what, record, version, is_takeover=before is not None and before.owner is not None)


def _encode(record: LeaseRecord) -> bytes:
    return json.dumps(asdict(record), indent=1).encode()


def _decode(store: Store, name: str, data: bytes) -> LeaseRecord:
    fix = "see that no process runs what it is for, and remove it"
    return parsed(store.place(name), data, _read, fix)


def _read(data: bytes) -> LeaseRecord:
    fields = json.loads(data)
    owner = fields.pop("owner")
    return LeaseRecord(owner=Process(**owner) if owner else None, **fields)
