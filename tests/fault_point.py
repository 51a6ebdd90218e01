"""The command line in a process that kills itself: `python -m tests.fault_point POINT ARGUMENTS...`.

POINT is JSON: a step's name, `before`, `torn` or `after`, and which time. The wrappers stand around the edges (durable
writes, what goes to workers, the calls of the batch API) and change nothing else. `torn` writes the first half.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from polythink.cli.main import app
from polythink.jobs import batch_book
from polythink.jobs.crew import Crew
from polythink.storage import files, local_store
from polythink.storage.journal import JournalWriter
from polythink.storage.local_store import LocalStore
from polythink.storage.remote_store import RemoteStore
from polythink.workers.batches import BatchEndpoint

When = Literal["before", "torn", "after"]
_FILES = {"lease.json": "lease", "state.json": "state", "spec.yaml": "job", "job.json": "job"}
_Seen = Callable[[str, When], None]
_seen: Counter[tuple[str, When]] = Counter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where to die."""

    step: str
    when: When
    nth: int  # from 1

    def __str__(self) -> str:
        return json.dumps(asdict(self))


def kind_of(name: str) -> str:
    """What a file of an archive is.

    >>> kind_of("tables/traces/job_id=x/part-000001.parquet"), kind_of("jobs/x/lease.json"), kind_of("jobs/x/journal/1")
    ('part of traces', 'lease', 'journal')
    """
    steps = name.split("/")
    if steps[0] == "tables":
        return f"part of {steps[1]}"
    return steps[-2] if steps[-2] in ("journal", "batches") else _FILES.get(steps[-1], "other file")


def arm(point: Point) -> None:
    """Make this process die there."""

    def reached(step: str, when: When) -> bool:
        _seen[step, when] += 1
        return (step, when) == (point.step, point.when) and _seen[step, when] == point.nth

    def around(owner: Any, name: str, step: Callable[[Sequence[Any]], str]) -> None:
        original = getattr(owner, name)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            if reached(step(arguments), "before"):
                die()
            result = original(*arguments, **options)
            if reached(step(arguments), "after"):
                die()
            return result

        setattr(owner, name, wrapped)

    for store in (LocalStore, RemoteStore):
        for method in ("put", "put_if_absent", "put_if_match"):
            around(store, method, lambda given: f"write {kind_of(given[1])}")
        around(store, "delete", lambda given: f"delete {kind_of(given[1])}")
    around(JournalWriter, "append", lambda given: "append to the journal")
    around(JournalWriter, "close", lambda given: "close the journal")
    around(Crew, "send", lambda given: "send to workers")
    around(Crew, "news", lambda given: "hear from workers")
    for method in ("create", "look", "results", "cancel"):
        around(BatchEndpoint, method, lambda given, method=method: f"batch {method}")  # type: ignore[misc]
    _tear(reached)


def _tear(reached: Callable[[str, When], bool]) -> None:
    """Die in the middle of a write."""
    write_all, write_synced, replace_file = JournalWriter._write_all, local_store._write_synced, files.replace_file

    def torn_append(self: JournalWriter, block: bytes) -> None:
        if reached("append to the journal", "torn"):
            write_all(self, block[: len(block) // 2])
            die()
        write_all(self, block)

    def step_of(path: Path) -> str:
        start = max((n for n, part in enumerate(path.parts) if part in ("jobs", "tables")), default=0)
        return f"write {kind_of('/'.join(path.parts[start:]))}"

    def torn_write(path: Path, data: bytes) -> None:
        if reached(step_of(path), "torn"):
            path.write_bytes(data[: len(data) // 2])
            die()
        write_synced(path, data)

    def torn_replace(path: Path, write: Callable[[Path], object]) -> None:
        def write_half(temporary: Path) -> None:
            write(temporary)
            if reached(step_of(path), "torn"):
                os.truncate(temporary, temporary.stat().st_size // 2)
                die()

        replace_file(path, write_half)

    JournalWriter._write_all = torn_append  # type: ignore[method-assign]
    local_store._write_synced = torn_write
    local_store.replace_file = torn_replace  # type: ignore[attr-defined]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    batch_book.GRACE_S = 1.0  # the simulator lists a batch sooner than the API may
    arm(Point(**json.loads(sys.argv[1])))
    app(sys.argv[2:])
