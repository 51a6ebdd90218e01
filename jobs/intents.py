"""The live half of the ledger: what may have been sent is on record before it is, so that no crash forgets it.

An intent is journalled before its request is handed to a worker, in one write with the results of the moment. An
attempt or a recall ends it. What no record ends is an attempt of status `lost`: its worst case stays reserved under the
cap, for nobody can say what was billed, and whatever the API's meter holds beyond the traces has a row to explain it.
"""

from __future__ import annotations

from polythink.records import Attempt, Intent
from polythink.storage.archive import Archive
from polythink.storage.journal import open_intents, read_segment
from polythink.storage.segments import Journal, SegmentRef, read_blocks, segments
from polythink.workers.tasks import Task

DRIVER_DIED = "driver_died"


def intent_of(task: Task, reserved_usd: float, now: float) -> Intent:
    """To be journalled before a task is handed to a worker, at `now` (Unix seconds)."""
    return Intent(key=task.key, number=task.number, endpoint=task.endpoint, reserved_usd=reserved_usd, at=now)


def unknown_end(intent: Intent, reason: str, now: float) -> Attempt:
    """What is recorded of a request whose end nobody saw."""
    return Attempt(
        key=intent.key,
        number=intent.number,
        status="lost",
        lane="live",
        endpoint=intent.endpoint,
        queued_at=intent.at,
        started_at=intent.at,
        finished_at=now,
        reserved_usd=intent.reserved_usd,
        error_type=DRIVER_DIED,
        error_message=reason,
    )


def leftovers(archive: Archive, job_id: str, now: float) -> list[SegmentRef]:
    """The segments that an earlier run left, and one more for what it had sent, if its end is not in them.

    That one is durable before any other lands: killed in between, the next call finds nothing more to add.
    """
    refs = segments(archive, job_id)
    left = open_intents(read_segment(read_blocks(archive, ref) or []) for ref in refs)
    if left:
        writer = Journal(archive, job_id).begin()
        writer.append([unknown_end(intent, "the run was killed before its reply was kept", now) for intent in left])
        writer.close()
        refs.append(writer.ref)
    return refs
