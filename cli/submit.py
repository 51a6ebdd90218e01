"""`polythink submit`: a job is stored and sent to a Ray cluster."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

from polythink.cli.asking import asked_for
from polythink.cli.console import say
from polythink.cli.exits import reported_errors
from polythink.cli.options import (
    ArchiveOption,
    BaseUrlOption,
    JobFile,
    JsonOption,
    NewArmsOption,
    YesOption,
)
from polythink.cli.run import confirm
from polythink.jobs.load import load_job
from polythink.jobs.submit import pin_base_url
from polythink.jobs.submit import submit as submit_job
from polythink.jobs.workload import preview

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
        loaded = pin_base_url(load_job(job_file, base_url=base_url), os.environ)
        where, loaded = asked_for(loaded, archive, new_arms=new_arms)
        confirm(where, preview(where, loaded), yes=yes)
        state = submit_job(where, loaded, address=address, say=say)
        say(f"submitted to {state.address}; `polythink watch {state.job_id} --archive {where.root}` follows it")
        if as_json:
            fields = ("job_id", "name", "status", "address", "submission_id")
            print(json.dumps({name: getattr(state, name) for name in fields} | {"archive": where.root}))
        else:
            print(state.job_id)
