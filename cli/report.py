"""`report`: the archive as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polythink.cli.exits import reported_errors
from polythink.cli.options import ArchiveOption, JobName, read_archive
from polythink.explorer.report import write_report


def report(
    job: JobName,
    archive: ArchiveOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("report.html"),
) -> None:
    """Write one self-contained HTML file: figures, tables, traces, spend."""
    with reported_errors():
        where = read_archive(archive)
        print(write_report(where, where.resolve(job), output))
