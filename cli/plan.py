"""`plan`: what would be sent and what it may cost. Nothing is spent."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

from rich.table import Table

from polythink.cli.asking import ask_endpoints
from polythink.cli.console import stdout_console
from polythink.cli.exits import reported_errors
from polythink.cli.options import ArchiveOption, BaseUrlOption, JobFile, JsonOption, open_archive
from polythink.jobs.load import load_job
from polythink.jobs.price import ArmPrice, price_job, retiring
from polythink.jobs.workload import Workload, preview


def plan(
    job_file: JobFile, archive: ArchiveOption = None, base_url: BaseUrlOption = None, as_json: JsonOption = False
) -> None:
    """Check a job and price it: what would be sent, how many, from how much to how much."""
    with reported_errors():
        loaded = ask_endpoints(load_job(job_file, base_url=base_url))
        where = open_archive(archive, loaded.archive)
        work = preview(where, loaded)
        prices = price_job(where, work)
    for warning in retiring(work):
        print(f"polythink: note: {warning}", file=sys.stderr)
    if as_json:
        print(json.dumps(_as_json(work, prices)))
    else:
        stdout_console().print(plan_table(work, prices))


def plan_table(work: Workload, prices: Sequence[ArmPrice]) -> Table:
    """The plan for people."""
    cap = f", capped at ${work.job.cap.usd:,.2f}" if work.job.cap else ", without a cap"
    owed = sum(price.owed for price in prices)
    table = Table(
        title=f"{work.job.name}: {len(work.problems):,} problems x {len(work.arms)} arms x {work.job.samples} samples"
        f" = {work.total:,} samples, {owed:,} to send{cap}",
        caption="at least: no thinking, short answers. budget used: every thinking budget spent, long answers. "
        "at most: every sample runs into max_tokens.",
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
                "kept": price.kept,
                "to_send": price.owed,
                "low_usd": price.low_usd,
                "likely_usd": price.likely_usd,
                "high_usd": price.high_usd,
            }
            for price in prices
        ],
    }
