"""`select`: picking answers again, and asking judges what they have not been asked yet."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
import yaml

from polythink.cli.console import stdout_console
from polythink.cli.exits import BAD_USAGE, exit_code, reported_errors
from polythink.cli.interrupts import interrupts
from polythink.cli.options import ArchiveOption, JobName, JsonOption, read_archive
from polythink.cli.progress import ProgressView
from polythink.cli.results import rich_table
from polythink.jobs.control import Control
from polythink.jobs.judging_job import wrong_with_judge
from polythink.jobs.run import run_judges
from polythink.jobs.selection import chosen
from polythink.jobs.selection import select as select_answers
from polythink.jobs.workload import Workload, recall
from polythink.storage.archive import Archive
from polythink.storage.state import JobState

_SELECTED = """
    SELECT arm_id, selector, count(*) AS problems, count(answer) AS answered,
        round(avg(correct::INT), 4) AS accuracy, round(avg(confidence), 3) AS confidence
    FROM selections JOIN arms USING (job_id, arm_id) WHERE job_id = ? AND list_contains(?, selector)
    GROUP BY arm_id, selector, ordinal ORDER BY selector, ordinal
"""


def select(
    job: JobName,
    selectors: Annotated[
        list[str] | None,
        typer.Option(
            "--with", help="A selector, or as YAML 'judge: {model: claude-sonnet-4-6}'; may be given several times."
        ),
    ] = None,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pick answers again, from the archive alone; only a judge is sent what it has not been asked yet."""
    with reported_errors():
        where = read_archive(archive)
        work = recall(where, where.resolve(job))
        try:
            asked = [yaml.safe_load(text) for text in selectors] if selectors else None
            broken_off = _ask_judges(where, work, asked)
            names, done = select_answers(where, work, asked)
        except (ValueError, yaml.YAMLError) as error:
            print(f"polythink: --with: {error}", file=sys.stderr)
            raise typer.Exit(BAD_USAGE) from error
    counts = {"samples": done.samples, "selections": done.selections}
    _print_selected(where, work, names, counts, as_json=as_json)
    for warning in done.warnings:
        print(f"polythink: {warning}", file=sys.stderr)
    for name, reason in done.failed.items():
        print(f"polythink: {name}: {reason}", file=sys.stderr)
    if broken_off is not None:
        print(f"polythink: {broken_off.reason}", file=sys.stderr)
        raise typer.Exit(exit_code(broken_off))
    if done.failed:
        raise typer.Exit(BAD_USAGE)


def _print_selected(where: Archive, work: Workload, names: list[str], counts: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"job_id": work.job_id, "selectors": names, **counts}))
        return
    accuracy = where.sql(_SELECTED, [work.job_id, names])
    print(f"{counts['selections']:,} selections over {counts['samples']:,} samples of {work.job_id}")
    stdout_console().print(rich_table(accuracy))


def _ask_judges(archive: Archive, work: Workload, selectors: Sequence[object] | None) -> JobState | None:
    """Ask what the judges among these selectors (None: the job's own) have not been told yet.

    Returns the state of what could not be finished, None if all was heard. Raises ValueError for a selector that is
    not known or cannot judge the job.
    """
    judges = [config for config in chosen(work, selectors) if config.kind.judge is not None]
    for config in judges:
        for wrong in wrong_with_judge(work.job, config):
            raise ValueError(wrong)
    if not judges:
        return None
    control = Control(archive, work.job_id)
    with archive.lock(work.job_id), ProgressView() as view, interrupts(control):
        return run_judges(archive, work, judges, watch=view.update, control=control)
