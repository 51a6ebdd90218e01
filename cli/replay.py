"""`replay`: what stopping early would have saved."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from polythink.cli.console import stdout_console
from polythink.cli.exits import BAD_USAGE, reported_errors
from polythink.cli.options import ArchiveOption, JobName, JsonOption, read_archive
from polythink.explorer.data import read_results
from polythink.explorer.figures import FORMATS, write_figure
from polythink.explorer.replay_figure import replay_figure
from polythink.explorer.theme import PRINT
from polythink.jobs.replaying import Replays, replay_job
from polythink.jobs.workload import recall
from polythink.storage.archive import Archive


def replay(
    job: JobName,
    archive: ArchiveOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Draw it too: a file that ends in .html, .svg or .png.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a job's samples under rules that stop when a vote is decided: what each would have saved, and cost."""
    if output is not None and output.suffix not in FORMATS:
        print(f"polythink: -o {output}: wanted a file that ends in {', '.join(FORMATS)}", file=sys.stderr)
        raise typer.Exit(BAD_USAGE)
    with reported_errors():
        where = read_archive(archive)
        found = replay_job(where, recall(where, where.resolve(job)), _tell)
    if not found:
        print(f"polythink: {job} has no graded samples to replay, or none that were not stopped early", file=sys.stderr)
        raise typer.Exit(BAD_USAGE)
    if output is not None:
        _draw(where, job, found, output)
    if as_json:
        print(json.dumps({arm_id: [asdict(each) for each in rows] for arm_id, rows in found.items()}, indent=1))
        return
    table = Table(
        caption="accuracy: of the majority when the rule stops, over ten random orders of each problem's samples. "
        "difference: to the majority of all samples, with its standard error over problems.",
        caption_justify="left",
    )
    for name in ("arm", "rule"):
        table.add_column(name, no_wrap=True)
    for name in ("samples", "of", "share", "accuracy", "difference"):
        table.add_column(name, justify="right")
    for arm_id, rows in found.items():
        for each in rows:
            table.add_row(
                arm_id,
                each.rule,
                f"{each.samples:.1f}",
                f"{each.of_samples:.0f}",
                f"{each.samples / each.of_samples:.0%}",
                f"{each.accuracy:.1%}",
                f"{each.difference:+.2%} ± {each.error:.2%}",
            )
        table.add_section()
    stdout_console().print(table)


def _draw(archive: Archive, job: str, found: Replays, path: Path) -> None:
    with reported_errors():
        drawing = replay_figure(found, read_results(archive, job), PRINT)
        if drawing is not None:
            print(f"drawn in {write_figure(drawing, path)}", file=sys.stderr)


def _tell(note: str) -> None:
    print(f"polythink: {note}", file=sys.stderr)
