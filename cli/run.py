"""`run` and `resume`: a job in the foreground."""

from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from polythink.cli.asking import asked_for
from polythink.cli.console import stdout_console
from polythink.cli.exits import BAD_USAGE, exit_code, reported_errors
from polythink.cli.going_on import command_to_go_on
from polythink.cli.interrupts import interrupts
from polythink.cli.options import (
    AddressOption,
    ArchiveOption,
    BaseUrlOption,
    JobFile,
    JobName,
    JsonOption,
    NewArmsOption,
    YesOption,
    read_archive,
)
from polythink.cli.plan import plan_table
from polythink.cli.progress import ProgressView
from polythink.errors import SpecError, SpecIssue
from polythink.explorer.data import read_results
from polythink.explorer.terminal import summary
from polythink.jobs.control import Control
from polythink.jobs.lanes import on_their_lanes
from polythink.jobs.load import load_job
from polythink.jobs.measured import predict, prediction, prediction_line
from polythink.jobs.price import price_job
from polythink.jobs.run import run_job
from polythink.jobs.spec_parts import Cap
from polythink.jobs.workload import Workload, preview, recall, store, with_cap
from polythink.storage.archive import Archive
from polythink.storage.cache_use import cache_line, cache_use
from polythink.storage.state import JobState

DEADLINES = ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]


def run(
    job_file: JobFile,
    archive: ArchiveOption = None,
    base_url: BaseUrlOption = None,
    address: AddressOption = None,
    new_arms: NewArmsOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a job in the foreground: a new one, or more of the one of that name."""
    with reported_errors():
        loaded = load_job(job_file, base_url=base_url)
        where, loaded = asked_for(loaded, archive, new_arms=new_arms)
        confirm(where, preview(where, loaded), yes=yes)
        work = store(where, loaded)
        predict(where, on_their_lanes(work, time.time()))
        finish(where, work, address=address, as_json=as_json)


def resume(
    job: JobName,
    archive: ArchiveOption = None,
    address: AddressOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take the job from whoever runs it; what that has in flight is paid twice.")
    ] = False,
    cap_usd: Annotated[
        float | None, typer.Option("--cap-usd", min=0.01, help="Another cap for the whole job, in place of cap.usd.")
    ] = None,
    cap_output_tokens: Annotated[
        int | None, typer.Option("--cap-output-tokens", min=1, help="Likewise, in place of cap.output_tokens.")
    ] = None,
    deadline: Annotated[
        datetime | None,
        typer.Option("--deadline", formats=DEADLINES, help="Likewise, in place of cap.deadline; UTC."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a job of the archive: only what is owed is sent."""
    with reported_errors():
        where = read_archive(archive)
        work = recall(where, where.resolve(job))
        work = _under(where, work, usd=cap_usd, output_tokens=cap_output_tokens, deadline=deadline)
        finish(where, work, address=address, as_json=as_json, force=force)


def _under(archive: Archive, work: Workload, **caps: float | datetime | None) -> Workload:
    """The stored job under the caps that are given, if any. Raises SpecError."""
    given = {name: value for name, value in caps.items() if value is not None}
    if not given:
        return work
    if work.job.cap is None and "usd" not in given:
        raise SpecError((SpecIssue(path="cap", line=None, file=None, found="no cap", wanted="--cap-usd too"),))
    kept = work.job.cap.model_dump() if work.job.cap else {}
    return with_cap(archive, work, Cap.model_validate(kept | given))


def confirm(archive: Archive, work: Workload, *, yes: bool) -> None:
    """Show the price on a terminal and ask; a script is not asked."""
    if yes or not sys.stdin.isatty():
        return
    work = on_their_lanes(work, time.time())
    Console(stderr=True).print(plan_table(work, price_job(archive, work)))
    if not typer.confirm("Send these requests?", err=True):
        raise typer.Exit(BAD_USAGE)


def finish(archive: Archive, work: Workload, *, address: str | None, as_json: bool, force: bool = False) -> None:
    """Run, say how it ended, and exit with the code for it."""
    state = run_watched(archive, work, address=address, force=force)
    if as_json:
        print(json.dumps(asdict(state)))
    else:
        print_summary(archive, state)
    raise typer.Exit(exit_code(state))


def run_watched(archive: Archive, work: Workload, *, address: str | None = None, force: bool = False) -> JobState:
    """Run with the progress view; the first interrupt drains what is in flight, the second ends at once."""
    control = Control(archive, work.job_id)
    with ProgressView() as view, interrupts(control):
        return run_job(archive, work, watch=view.update, control=control, address=address, force=force)


def print_summary(archive: Archive, state: JobState) -> None:
    """What came of the job, on stdout."""
    console = stdout_console()
    if state.done:
        console.print(summary(read_results(archive, state.job_id)))
    if cache := cache_use(archive, state.job_id):
        console.print(f"cache    {cache_line(cache)}", highlight=False, soft_wrap=True)
    if said := prediction(archive, state.job_id):
        console.print(
            f"plan     {prediction_line(said, state.spent_usd, state.spared)}", highlight=False, soft_wrap=True
        )
    where = f"--archive {shlex.quote(archive.root)}"
    console.print(f"archive  {archive.root}", highlight=False, soft_wrap=True)
    console.print(f"report   polythink report {state.job_id} {where}", highlight=False, soft_wrap=True)
    console.print(f'query    polythink query {where} "SELECT * FROM selections"', highlight=False, soft_wrap=True)
    if command := command_to_go_on(archive, state, time.time()):
        console.print(f"go on    {command}", highlight=False, soft_wrap=True)
