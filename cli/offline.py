"""Jobs that run elsewhere: `submit` one, and `status`, `list`, `watch`, `wait`, `logs`, `cancel` from any shell."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from polythink.cli.asking import ask_endpoints
from polythink.cli.console import stdout_console
from polythink.cli.exits import INTERRUPTED, exit_code, reported_errors
from polythink.cli.options import (
    ArchiveOption,
    BaseUrlOption,
    JobFile,
    JobName,
    JsonOption,
    NewArmsOption,
    YesOption,
    open_archive,
    read_archive,
)
from polythink.cli.progress import ProgressView
from polythink.cli.run import confirm
from polythink.cli.status import go_on, headline, jobs_table, screen, status_json
from polythink.jobs import follow
from polythink.jobs.load import load_job
from polythink.jobs.submit import pin_base_url
from polythink.jobs.submit import submit as submit_job
from polythink.jobs.workload import preview, with_new_arms
from polythink.storage.state import JobState

ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Ray cluster, as http://HOST:8265; default $RAY_ADDRESS, else one on this machine, started if need be.",
    ),
]


def submit(
    job_file: JobFile,
    archive: ArchiveOption = None,
    base_url: BaseUrlOption = None,
    address: ClusterOption = None,
    new_arms: NewArmsOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send a job to a Ray cluster and return at once; prints its id."""
    with reported_errors():
        loaded = ask_endpoints(pin_base_url(load_job(job_file, base_url=base_url), os.environ))
        where = open_archive(archive, loaded.archive)
        loaded = with_new_arms(where, loaded) if new_arms else loaded
        confirm(where, preview(where, loaded), yes=yes)
        state = submit_job(where, loaded, address=address, say=_say)
        _say(f"submitted to {state.address}; `polythink watch {state.job_id} --archive {where.root}` follows it")
        if as_json:
            fields = ("job_id", "name", "status", "address", "submission_id")
            print(json.dumps({name: getattr(state, name) for name in fields} | {"archive": where.root}))
        else:
            print(state.job_id)


def status(job: JobName, archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """Where a job stands, on one screen."""
    with reported_errors():
        where = read_archive(archive)
        sighting = follow.look(where, where.resolve(job))
        if as_json:
            print(json.dumps(status_json(where, sighting)))
        else:
            print(screen(where, sighting, time.time()))


def list_jobs(archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """All jobs of an archive, oldest first."""
    with reported_errors():
        where = read_archive(archive)
        sightings = [follow.look(where, job_id) for job_id in where.job_ids()]
        if as_json:
            print(json.dumps([status_json(where, sighting) for sighting in sightings]))
        elif sightings:
            stdout_console().print(jobs_table(sightings, time.time()))
        else:
            _say(f"no jobs in {where.root}")


def watch(job: JobName, archive: ArchiveOption = None) -> None:
    """Follow a job live until it ends; exits as its run would."""
    with reported_errors():
        with ProgressView() as view:
            sighting = _until_over(job, archive, view.update)
        _exit(archive, sighting)


def wait(job: JobName, archive: ArchiveOption = None) -> None:
    """Wait in silence until a job ends; exits as its run would."""
    with reported_errors():
        _exit(archive, _until_over(job, archive, lambda _state: None))


def logs(job: JobName, archive: ArchiveOption = None) -> None:
    """What the driver of a submitted job said."""
    with reported_errors():
        where = read_archive(archive)
        state = follow.look(where, where.resolve(job)).state
        print(follow.driver_log(state).rstrip())


def cancel(
    job: JobName,
    archive: ArchiveOption = None,
    now: Annotated[
        bool, typer.Option("--now", help="Do not wait for requests in flight, though they are paid.")
    ] = False,
) -> None:
    """Stop a job: nothing more is sent, what is in flight is kept; `resume` goes on with it."""
    with reported_errors():
        where = read_archive(archive)
        job_id = where.resolve(job)
        if not now:
            _say(f"finishing what is in flight, for at most {follow.GRACE_S / 60:.0f} min; --now does not wait")
        state = follow.cancel(where, job_id, grace_s=0.0 if now else follow.GRACE_S, say=_say)
        _say(f"job {job_id}: {state.status}, {state.done:,} of {state.wanted:,} samples kept")


def _until_over(job: str, archive: str | None, see: Callable[[JobState], None]) -> follow.Sighting:
    where = read_archive(archive)
    return follow.follow(where, where.resolve(job), see)


def _exit(job_archive: str | None, sighting: follow.Sighting) -> NoReturn:
    """Leave as the job's run would; where it is not done, say how to go on."""
    is_gone = sighting.verdict.liveness == "gone"
    if is_gone:
        _say(f"job {sighting.state.job_id}: {headline(sighting)}")
    if command := go_on(read_archive(job_archive), sighting):
        _say(f"go on with `{command}`")
    raise typer.Exit(INTERRUPTED if is_gone else exit_code(sighting.state))


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
