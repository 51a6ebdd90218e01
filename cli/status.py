"""How a job looks from outside: one screen, one row of a list, or JSON."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from rich.table import Table

from polythink.cli.going_on import command_to_go_on
from polythink.cli.progress import duration
from polythink.jobs.follow import Sighting
from polythink.jobs.liveness import seconds_left
from polythink.storage.archive import Archive
from polythink.storage.cache_use import cache_line, cache_use
from polythink.storage.state import JobState

_DONE_BEFORE = "SELECT count(*) AS n FROM traces WHERE job_id = ? AND finished_at < to_timestamp(?)"

_JUDGES = "SELECT selector, job_id, spent_usd FROM jobs WHERE parent_job_id = ? ORDER BY created_at"


def status_json(archive: Archive, sighting: Sighting) -> dict[str, Any]:
    """The state, the verdict on it, and how to go on where that is needed."""
    state, verdict = sighting.state, sighting.verdict
    return asdict(state) | {
        "liveness": verdict.liveness,
        "note": verdict.note,
        "submission_status": sighting.submission.status if sighting.submission else None,
        "seconds_left": _seconds_left(archive, sighting),
        "go_on": go_on(archive, sighting),
        "cache": asdict(cache) if (cache := cache_use(archive, state.job_id)) else None,
    }


def screen(archive: Archive, sighting: Sighting, now: float) -> str:
    """All about one job at `now`, in Unix seconds."""
    state = sighting.state
    rows = [
        ("job", state.job_id),
        ("state", headline(sighting)),
        *([("reason", state.reason)] if state.reason else []),
        *([("judges", f"{state.parent_job_id} for {state.selector}")] if state.parent_job_id else []),
        *(("warning", warning) for warning in state.warnings),
        ("driver", _place(state)),
        ("samples", f"{_share(state.done, state.wanted)}, {state.in_flight:,} in flight{_spared(state)}"),
        *((f"  {arm_id}", _share(arm.done, arm.wanted)) for arm_id, arm in state.arms.items()),
        ("retries", f"{state.retries:,}"),
        ("failed", f"{state.failed:,}"),
        ("tokens", f"{state.output_tokens:,} output"),
        ("spent", _money(state)),
        *_judge_rows(archive, state),
        *([("cache", cache_line(cache))] if (cache := cache_use(archive, state.job_id)) else []),
        ("started", f"{_moment(state.started_at)} ({duration(now - state.started_at)} ago)"),
        ("last sign", f"{_moment(state.updated_at)} ({duration(now - state.updated_at)} ago)"),
        *_end_rows(archive, sighting, now),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _spared(state: JobState) -> str:
    return f", {state.spared:,} of {state.total:,} spared by the stopping rule" if state.spared else ""


def _judge_rows(archive: Archive, state: JobState) -> list[tuple[str, str]]:
    """What was spent on judging the job's samples, by selector."""
    found = archive.sql(_JUDGES, [state.job_id]).to_pylist()
    return [(f"  {row['selector']}", f"${row['spent_usd']:,.2f} more, in {row['job_id']}") for row in found]


def headline(sighting: Sighting) -> str:
    """What it says of itself, and whether that is so."""
    state, verdict = sighting.state, sighting.verdict
    return f"{state.status}, but gone: {verdict.note}" if verdict.liveness == "gone" else state.status


def jobs_table(sightings: list[Sighting], now: float) -> Table:
    """One row per job."""
    table = Table(box=None, pad_edge=False)
    for name in ("job", "state", "done", "total", "failed", "spent", "last sign", "driver"):
        table.add_column(name, justify="right" if name in ("done", "total", "failed", "spent") else "left")
    for sighting in sightings:
        state = sighting.state
        table.add_row(
            state.job_id,
            "gone" if sighting.verdict.liveness == "gone" else state.status,
            f"{state.done:,}",
            f"{state.wanted:,}",
            f"{state.failed:,}",
            _money(state),
            f"{duration(now - state.updated_at)} ago",
            _place(state),
        )
    return table


def go_on(archive: Archive, sighting: Sighting) -> str | None:
    """The command that goes on with a job that is over and not done."""
    return command_to_go_on(archive, sighting.state, time.time()) if sighting.verdict.is_over else None


def _end_rows(archive: Archive, sighting: Sighting, now: float) -> list[tuple[str, str]]:
    if command := go_on(archive, sighting):
        return [("go on", command)]
    left = _seconds_left(archive, sighting)
    return [] if left is None else [("left", f"about {duration(left)}, until {_moment(now + left)}")]


def _seconds_left(archive: Archive, sighting: Sighting) -> float | None:
    state = sighting.state
    if sighting.verdict.liveness != "running":
        return None
    done_before = archive.sql(_DONE_BEFORE, [state.job_id, state.started_at]).to_pylist()[0]["n"]
    return seconds_left(done_before=done_before, state=state)


def _place(state: JobState) -> str:
    if state.status == "submitted" and state.address:
        return f"{state.address} as {state.submission_id}"
    where = f"process {state.pid} on {state.host}"
    return f"{where}; {state.address} as {state.submission_id}" if state.submission_id else where


def _share(done: int, total: int) -> str:
    return f"{done:,} of {total:,} ({done / max(total, 1):.0%})"


def _money(state: JobState) -> str:
    cap = f" of ${state.cap_usd:,.2f}" if state.cap_usd is not None else ""
    return f"${state.spent_usd:,.2f}{cap}"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
