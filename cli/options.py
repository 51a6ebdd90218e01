"""Options that several commands share."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from polythink.cli.exits import BAD_USAGE
from polythink.storage.archive import Archive

ARCHIVE_VARIABLE = "POLYTHINK_ARCHIVE"
DEFAULT_ARCHIVE = "archive"

ArchiveOption = Annotated[
    str | None,
    typer.Option("--archive", help=f"Archive folder or URL; default ${ARCHIVE_VARIABLE}, else ./{DEFAULT_ARCHIVE}."),
]
BaseUrlOption = Annotated[
    str | None, typer.Option("--base-url", help="Send to this server in place of the job's endpoint.")
]
AddressOption = Annotated[
    str | None, typer.Option("--address", help="Ray cluster to run on; default: Ray started on this machine.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before spending.")]
NewArmsOption = Annotated[
    bool,
    typer.Option(
        "--new-arms", help="Arms that sample otherwise than the kept ones become new arms; arms that are gone stay."
    ),
]
JobFile = Annotated[Path, typer.Argument(help="The job file.", metavar="JOB.yaml")]
JobName = Annotated[str, typer.Argument(help="The job's name or id.", metavar="JOB")]


def open_archive(asked: str | None, of_job: str | None = None) -> Archive:
    """The archive meant: asked for, else named in the job, else in the environment, else ./archive."""
    return Archive(asked or of_job or os.environ.get(ARCHIVE_VARIABLE) or DEFAULT_ARCHIVE)


def read_archive(asked: str | None) -> Archive:
    """The archive meant, to be read: ends the command where nothing was ever kept, as under a mistyped name."""
    archive = open_archive(asked)
    if archive.exists():
        return archive
    print(
        f"polythink: no archive in {archive.root}: it has neither jobs/ nor tables/; "
        f"name one with --archive or ${ARCHIVE_VARIABLE}",
        file=sys.stderr,
    )
    raise typer.Exit(BAD_USAGE)
