"""`plan`: what would be sent and what it may cost. Nothing is spent."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from polythink.cli.asking import asked_for
from polythink.cli.console import stdout_console
from polythink.cli.exits import BAD_USAGE, reported_errors
from polythink.cli.interrupts import interrupts
from polythink.cli.options import (
    ArchiveOption,
    BaseUrlOption,
    JobFile,
    JsonOption,
    NewArmsOption,
    YesOption,
)
from polythink.cli.progress import ProgressView
from polythink.jobs.estimate import Estimate, Interval
from polythink.jobs.lanes import on_their_lanes
from polythink.jobs.load import LoadedJob, load_job
from polythink.jobs.measured import ArmForecast, Way, chosen_way, measure, predict, usd, whole_interval
from polythink.jobs.price import ArmPrice, price_job, retiring
from polythink.jobs.workload import Workload, preview, store
from polythink.storage.archive import Archive

_WAYS: tuple[Way, ...] = ("live", "cached", "batch")


def plan(
    job_file: JobFile,
    archive: ArchiveOption = None,
    base_url: BaseUrlOption = None,
    pilot: Annotated[
        int | None, typer.Option(min=1, help="Send about so many of the job's samples first, and price by these.")
    ] = None,
    new_arms: NewArmsOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check a job and price it: what would be sent, how many, from how much to how much."""
    with reported_errors():
        loaded = load_job(job_file, base_url=base_url)
        where, loaded = asked_for(loaded, archive, new_arms=new_arms)
        work = preview(where, loaded)
        if pilot is not None:
            work = _send_pilot(where, loaded, pilot, yes=yes)
        work = on_their_lanes(work, time.time())
        prices, forecasts = price_job(where, work), measure(where, work)
        whole = whole_interval(where, work, forecasts)
    for warning in retiring(work):
        print(f"polythink: note: {warning}", file=sys.stderr)
    if as_json:
        print(json.dumps({**_as_json(work, prices), **_measured_json(forecasts, whole)}))
        return
    console = stdout_console()
    console.print(plan_table(work, prices))
    if forecasts:
        console.print(_measured_table(work, forecasts, whole))


def _send_pilot(archive: Archive, loaded: LoadedJob, samples: int, *, yes: bool) -> Workload:
    """The job, stored, with a pilot's samples in. They are the job's own: it will not pay for them again."""
    if not yes and sys.stdin.isatty() and not typer.confirm(f"Send a pilot of about {samples:,} samples?", err=True):
        raise typer.Exit(BAD_USAGE)
    from polythink.jobs.control import Control
    from polythink.jobs.run import run_job  # Ray takes seconds to import

    work = store(archive, loaded)
    control = Control(archive, work.job_id)
    with ProgressView() as view, interrupts(control):
        state = run_job(archive, work, watch=view.update, control=control, pilot=samples)
    predict(archive, on_their_lanes(work, time.time()))
    print(f"polythink: {state.reason or 'the pilot was the whole job'}", file=sys.stderr)
    return work


def _measured_table(work: Workload, forecasts: Sequence[ArmForecast], whole: Interval | None) -> Table:
    sources = ", ".join(dict.fromkeys(f.source + (" (simulated)" if f.simulated else "") for f in forecasts))
    table = Table(
        title=f"What is still to send, by the samples of {sources}",
        caption="expected, and where 95% of such jobs end. The job sends each arm the way that is marked with *.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("arm", no_wrap=True)
    for name in ("measured", "live", "live, cached", "batch"):
        table.add_column(name, justify="right")
    for forecast in forecasts:
        way = chosen_way(work, forecast)
        cells = (_range(forecast.ways, each, is_chosen=each == way) for each in _WAYS)
        table.add_row(forecast.arm_id, f"{forecast.samples:,}", *cells)
    if whole is not None:
        table.add_section()
        table.add_row("whole job, with what is spent", "", _interval(whole))
    return table


def _range(ways: Mapping[Way, Estimate], way: Way, *, is_chosen: bool) -> str:
    return "-" if way not in ways else _interval(ways[way].interval()) + (" *" if is_chosen else "")


def _interval(found: Interval) -> str:
    return f"{usd(found.expected)} ({usd(found.low)} to {usd(found.high)})"


def _measured_json(forecasts: Sequence[ArmForecast], whole: Interval | None) -> dict[str, object]:
    arms = [
        {
            "arm_id": forecast.arm_id,
            "source": forecast.source,
            "samples": forecast.samples,
            "simulated": forecast.simulated,
            **{way: asdict(found.interval()) for way, found in forecast.ways.items()},
        }
        for forecast in forecasts
    ]
    return {"measured": arms, "whole_job": None if whole is None else asdict(whole)}


def _by_batches(work: Workload) -> str:
    if not work.batched:
        return ""
    return ", by batches" if len(work.batched) == len(work.arms) else f", {len(work.batched)} of the arms by batches"


def plan_table(work: Workload, prices: Sequence[ArmPrice]) -> Table:
    """The plan for people."""
    cap = f", capped at ${work.job.cap.usd:,.2f}" if work.job.cap else ", without a cap"
    by = _by_batches(work)
    owed = sum(price.owed for price in prices)
    table = Table(
        title=f"{work.job.name}: {len(work.problems):,} problems x {len(work.arms)} arms x {work.job.samples} samples"
        f" = {work.total:,} samples, {owed:,} to send{by}{cap}",
        caption="at least: no thinking, short answers. budget used: every thinking budget spent, long answers. "
        "at most: every sample runs into max_tokens."
        + (" The stopping rule will leave some samples unsent." if work.job.stop else ""),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("arm", no_wrap=True)
    for name in ("max_tokens", "kept", "to send", "at least", "budget used", "at most"):
        table.add_column(name, justify="right")
    for price in prices:
        table.add_row(
            price.arm.arm_id,
            f"{price.arm.max_tokens:,}",
            f"{price.kept:,}",
            f"{price.owed:,}",
            *map(_usd, (price.low_usd, price.likely_usd, price.high_usd)),
        )
    table.add_section()
    kept = sum(price.kept for price in prices)
    totals = (_total(column) for column in zip(*((p.low_usd, p.likely_usd, p.high_usd) for p in prices), strict=True))
    table.add_row("all", "", f"{kept:,}", f"{owed:,}", *map(_usd, totals))
    return table


def _total(column: Iterable[float | None]) -> float | None:
    known = [usd for usd in column if usd is not None]
    return sum(known) if known else None


def _usd(usd: float | None) -> str:
    return "?" if usd is None else f"${usd:,.2f}"


def _as_json(work: Workload, prices: Sequence[ArmPrice]) -> dict[str, object]:
    return {
        "job": work.job.name,
        "problems": len(work.problems),
        "samples": work.total,
        "to_send": sum(price.owed for price in prices),
        "cap_usd": work.job.cap.usd if work.job.cap else None,
        "arms": [
            {
                "arm_id": price.arm.arm_id,
                "lane": work.lane(price.arm),
                "kept": price.kept,
                "to_send": price.owed,
                "low_usd": price.low_usd,
                "likely_usd": price.likely_usd,
                "high_usd": price.high_usd,
            }
            for price in prices
        ],
    }
