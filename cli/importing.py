"""`import`: samples that others generated, as a job of the archive."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import yaml

from polythink.cli.console import stdout_console
from polythink.cli.exits import BAD_USAGE, FAILED_SAMPLES, reported_errors
from polythink.cli.options import ArchiveOption, JsonOption, open_archive
from polythink.explorer.data import read_results
from polythink.explorer.labels import clean
from polythink.explorer.terminal import summary
from polythink.jobs.foreign import OURS, Issue
from polythink.jobs.importing import import_samples as import_into
from polythink.jobs.selection import notes, select_anew
from polythink.jobs.workload import recall

_SHOWN = 20  # issues printed


def import_samples(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help=".jsonl, .jsonl.gz, .csv or .parquet.")],
    job: Annotated[str, typer.Option(help="The job's name; one imported under it earlier is replaced.")],
    names: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OURS=THEIRS", help=f"A field's name in the file. Ours: {', '.join(OURS)}."),
    ] = None,
    answer: Annotated[
        str,
        typer.Option(
            metavar="YAML",
            help="As `answer` in a job file. With `extract`, answers are read anew from the completions.",
        ),
    ] = "{}",
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring samples generated elsewhere into the archive, with the answers, verdicts and scores they carry."""
    mapped, rule = _names(names or []), _answer(answer)
    with reported_errors():
        where = open_archive(archive)
        done = import_into(where, job, files, names=mapped, answer=rule)
        selected = select_anew(where, recall(where, done.job_id), prepares=True)
    _tell(done.issues)
    for note in notes(selected, done.job_id):
        print(f"polythink: {clean(note)}", file=sys.stderr)
    if as_json:
        lines = [{"file": i.file, "line": i.line, "found": i.found, "taken": i.taken} for i in done.issues]
        counts = {"samples": done.samples, "problems": done.problems, "arms": done.arms}
        print(json.dumps({"job_id": done.job_id, **counts, "issues": lines}))
    else:
        print(f"{done.samples:,} samples of {done.problems:,} problems in {done.arms:,} arms as {done.job_id}")
        stdout_console().print(summary(read_results(where, done.job_id)))
    if not all(issue.taken for issue in done.issues):
        raise typer.Exit(FAILED_SAMPLES)


def _names(pairs: list[str]) -> dict[str, str]:
    names = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not equals or ours not in OURS:
            _refuse(f"--map: found {pair!r}; wanted OURS=THEIRS, where ours is one of {', '.join(OURS)}")
        names[ours] = theirs
    return names


def _answer(text: str) -> dict[str, Any]:
    try:
        answer = yaml.safe_load(text)
    except yaml.YAMLError as error:
        _refuse(f"--answer: not YAML: {error}")
    if not isinstance(answer, dict):
        _refuse(f"--answer: found {text!r}; wanted a mapping, as in '{{extract: boxed, equivalence: math}}'")
    return answer


def _refuse(message: str) -> NoReturn:
    print(f"polythink: {message}", file=sys.stderr)
    raise typer.Exit(BAD_USAGE)


def _tell(issues: tuple[Issue, ...]) -> None:
    for issue in issues[:_SHOWN]:
        print(f"{issue}{'' if issue.taken else ' (left out)'}", file=sys.stderr)
    if len(issues) > _SHOWN:
        print(f"... and {len(issues) - _SHOWN:,} more", file=sys.stderr)
