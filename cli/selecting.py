"""`select`: picking answers again, asking judges what they have not been asked yet, and explaining what counted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer
import yaml

from polythink.cli.console import stdout_console
from polythink.cli.exits import BAD_USAGE, exit_code, reported_errors
from polythink.cli.interrupts import interrupts
from polythink.cli.options import ArchiveOption, JobName, JsonOption, read_archive
from polythink.cli.progress import ProgressView
from polythink.cli.results import rich_table
from polythink.explorer.explanation import explanation
from polythink.explorer.labels import clean
from polythink.jobs.control import Control
from polythink.jobs.explaining import explain_job
from polythink.jobs.picking import Picked, pick
from polythink.jobs.workload import Workload, recall
from polythink.storage.archive import Archive

_SELECTED = """
    SELECT arm_id, selector, count(*) AS problems, count(answer) AS answered,
        round(avg(correct::INT), 4) AS accuracy, round(avg(confidence), 3) AS confidence
    FROM selections JOIN arms USING (job_id, arm_id) WHERE job_id = ? AND list_contains(?, selector)
    GROUP BY arm_id, selector, ordinal ORDER BY selector, ordinal
"""


def select(
    job: JobName,
    problem: Annotated[
        str | None, typer.Argument(metavar="[PROBLEM]", help="With --explain: a problem, to see it sample by sample.")
    ] = None,
    selectors: Annotated[
        list[str] | None,
        typer.Option(
            "--with", help="A selector, or as YAML 'judge: {model: claude-sonnet-4-6}'; may be given several times."
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Say which samples count, and why; nothing is selected anew, sent or written."),
    ] = False,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pick answers again, from the archive alone; only a judge is sent what it has not been asked yet."""
    if problem is not None and not explain:
        print(f"polythink: found {problem!r} behind the job; a problem is for --explain", file=sys.stderr)
        raise typer.Exit(BAD_USAGE)
    with reported_errors():
        where = read_archive(archive)
        work = recall(where, where.resolve(job))
        try:
            asked = [yaml.safe_load(text) for text in selectors] if selectors else None
            if explain:
                _print_explained(where, work, asked, problem, as_json=as_json)
                return
            picked = _pick(where, work, asked)
        except (ValueError, yaml.YAMLError) as error:
            print(f"polythink: --with: {error}", file=sys.stderr)
            raise typer.Exit(BAD_USAGE) from error
    _print_picked(where, picked, as_json=as_json)
    for note in picked.notes:
        print(f"polythink: {clean(note)}", file=sys.stderr)
    if picked.broken_off is not None:
        print(f"polythink: {clean(picked.broken_off.reason or '')}", file=sys.stderr)
        raise typer.Exit(exit_code(picked.broken_off))
    if picked.failed:
        raise typer.Exit(BAD_USAGE)


def _print_explained(
    archive: Archive, work: Workload, selectors: Sequence[object] | None, problem: str | None, *, as_json: bool
) -> None:
    found = explain_job(archive, work, selectors, problem)
    if as_json:
        print(json.dumps(asdict(found), ensure_ascii=False))
    else:
        stdout_console().print(explanation(found))


def _pick(archive: Archive, work: Workload, selectors: Sequence[object] | None) -> Picked:
    control, view = Control(archive, work.job_id), ProgressView()
    return pick(archive, work, selectors, watch=view.update, control=control, session=_shown(view, control))


@contextmanager
def _shown(view: ProgressView, control: Control) -> Iterator[None]:
    with view, interrupts(control):
        yield


def _print_picked(where: Archive, picked: Picked, *, as_json: bool) -> None:
    names = list(picked.selectors)
    if as_json:
        counts = {"samples": picked.samples, "selections": picked.selections}
        print(json.dumps({"job_id": picked.job_id, "selectors": names, **counts}))
        return
    accuracy = where.sql(_SELECTED, [picked.job_id, names])
    print(f"{picked.selections:,} selections over {picked.samples:,} samples of {picked.job_id}")
    stdout_console().print(rich_table(accuracy))
