"""Jobs that run elsewhere, from any shell: `status`, `list`, `watch`, `wait`, `logs`, `cancel`. None needs the SDK."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from polythink.cli.console import say, stdout_console
from polythink.cli.exits import INTERRUPTED, exit_code, reported_errors
from polythink.cli.options import ArchiveOption, JobName, JsonOption, read_archive
from polythink.cli.progress import ProgressView
from polythink.cli.status import go_on, headline, jobs_table, screen, status_json
from polythink.jobs import follow
from polythink.storage.state import JobState


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
            say(f"no jobs in {where.root}")


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
            say(f"finishing what is in flight, for at most {follow.GRACE_S / 60:.0f} min; --now does not wait")
        state = follow.cancel(where, job_id, grace_s=0.0 if now else follow.GRACE_S, say=say)
        say(f"job {job_id}: {state.status}, {state.done:,} of {state.wanted:,} samples kept")


def _until_over(job: str, archive: str | None, see: Callable[[JobState], None]) -> follow.Sighting:
    where = read_archive(archive)
    return follow.follow(where, where.resolve(job), see)


def _exit(job_archive: str | None, sighting: follow.Sighting) -> NoReturn:
    """Leave as the job's run would; where it is not done, say how to go on."""
    is_gone = sighting.verdict.liveness == "gone"
    if is_gone:
        say(f"job {sighting.state.job_id}: {headline(sighting)}")
    if command := go_on(read_archive(job_archive), sighting):
        say(f"go on with `{command}`")
    raise typer.Exit(INTERRUPTED if is_gone else exit_code(sighting.state))
