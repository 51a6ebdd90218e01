"""`verify`: the audit of a job."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer
from rich.table import Table
from rich.text import Text

from polythink.cli.console import stdout_console
from polythink.cli.exits import DIFFERENCE, reported_errors
from polythink.cli.options import ArchiveOption, JobName, JsonOption, read_archive
from polythink.explorer.labels import clean
from polythink.jobs.findings import Audit
from polythink.jobs.verify import verify_job


def verify(job: JobName, archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """Make counts, readings, costs, selections and curves again from raw traces; exit with 5 if anything differs."""
    with reported_errors():
        where = read_archive(archive)
        audits = verify_job(where, where.resolve(job))
    if as_json:
        print(json.dumps([{**asdict(audit), "agrees": audit.agrees} for audit in audits], ensure_ascii=False, indent=1))
    else:
        for audit in audits:
            _print_audit(audit)
    if not all(audit.agrees for audit in audits):
        raise typer.Exit(DIFFERENCE)


def _print_audit(audit: Audit) -> None:
    console = stdout_console()
    console.print(Text(audit.job_id, style="bold"))
    for check in dict.fromkeys([*audit.looked_at, *audit.differing]):
        differing = audit.differing.get(check, 0)
        verdict = f"{differing:,} differ" if differing else "agree"
        console.print(f"  {check:<22} {audit.looked_at.get(check, 0):>12,} looked at   {verdict}", highlight=False)
    if audit.arms:
        console.print(_arms_table(audit))
    if audit.differences:
        console.print(_differences_table(audit))
        hidden = sum(audit.differing.values()) - len(audit.differences)
        if hidden:
            console.print(f"and {hidden:,} more")
    for warning in audit.warnings:
        console.print(Text(f"warning: {clean(warning)}"), soft_wrap=True)


def _arms_table(audit: Audit) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in audit.arms[0]:
        table.add_column(name.replace("_", " "), justify="left" if name in ("arm_id", "reasoning") else "right")
    for arm in audit.arms:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value or "-") for value in arm.values()))
    return table


def _differences_table(audit: Audit) -> Table:
    table = Table()
    for name in ("check", "where", "found", "expected"):
        table.add_column(name, overflow="fold")
    for each in audit.differences:
        table.add_row(*(Text(clean(text)) for text in (each.check, each.where, each.found, each.expected)))
    return table
