"""The problems of a job: files found, rows read, ids and reference answers taken from them."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polythink.errors import SpecIssue
from polythink.jobs.problem_files import BadRow, as_text, read_rows
from polythink.jobs.spec_lines import Finding, near
from polythink.jobs.spec_parts import Problems
from polythink.records import Problem

ID_FIELDS = ("id", "problem_id", "question_id")
GOLD_FIELD = "gold"
SHOWN_ROWS = 20  # bad rows that are told of one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedProblem:
    """A problem, and the row it came from."""

    problem: Problem
    file: str
    line: int  # from 1; for Parquet the number of the row


@dataclass(slots=True, kw_only=True)
class RowIssues:
    """Issues of rows: the first of them, and how many there are."""

    shown: list[SpecIssue] = field(default_factory=list)
    count: int = 0

    def add(self, *, path: str, file: str, line: int | None, found: str, wanted: str) -> None:
        self.count += 1
        if self.count <= SHOWN_ROWS:
            self.shown.append(SpecIssue(path=path, line=line, file=file, found=found, wanted=wanted))

    def all(self) -> tuple[SpecIssue, ...]:
        """What was found, with a last issue that counts those not shown."""
        if (more := self.count - len(self.shown)) <= 0:
            return tuple(self.shown)
        last = self.shown[-1]
        rest = SpecIssue(
            path=last.path, line=None, file=last.file, found=f"{more} more of the kind", wanted="to be mended alike"
        )
        return (*self.shown, rest)


def find_files(spec: Problems, base_dir: Path) -> tuple[list[Path], list[Finding]]:
    """The files that `problems.path` means, each once and in order, those of a glob by name; and what leads nowhere."""
    files: dict[Path, None] = {}
    findings = []
    several = not isinstance(spec.path, str)
    for index, path in enumerate([spec.path] if isinstance(spec.path, str) else spec.path):
        found = _matches(base_dir / path)
        files |= dict.fromkeys(found)
        if not found:
            loc = ("problems", "path", index) if several else ("problems", "path")
            findings.append(Finding(loc=loc, found=f'"{path}", which is no file', wanted=_wanted_file(base_dir / path)))
    return list(files), findings


def _matches(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [found for name in sorted(glob.glob(str(path), recursive=True)) if (found := Path(name)).is_file()]


def _wanted_file(path: Path) -> str:
    siblings = [entry.name for entry in path.parent.iterdir() if entry.is_file()] if path.parent.is_dir() else []
    return f"{near(path.name, siblings)}a file or glob relative to the job file"


def read_problems(spec: Problems, files: list[Path]) -> tuple[list[PlacedProblem], tuple[SpecIssue, ...]]:
    """The problems in the order of the files, at most `spec.limit` of them, and every row that cannot be one."""
    issues = RowIssues()
    problems: dict[str, PlacedProblem] = {}
    id_field = spec.id
    for file, line, row in _rows(spec, files, issues):
        fields = row | {ours: row[theirs] for ours, theirs in spec.fields.items() if theirs in row}
        id_field = id_field or next((name for name in ID_FIELDS if name in fields), None)
        lacks = list(_lacks(spec, id_field, fields))
        for path, found, wanted in lacks:
            issues.add(path=path, file=file, line=line, found=found, wanted=wanted)
        problem_id = None if lacks else as_text(fields[id_field or ""])
        if problem_id is None:
            continue
        gold = as_text(fields.get(spec.gold or GOLD_FIELD))
        problem = Problem(problem_id=problem_id, gold=gold, fields=fields, ordinal=len(problems))
        placed = PlacedProblem(problem=problem, file=file, line=line)
        if problem_id in problems:
            _add_duplicate(placed, problems[problem_id], issues)
        problems.setdefault(problem_id, placed)
    return list(problems.values()), issues.all()


def _rows(spec: Problems, files: list[Path], issues: RowIssues) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """File, line and fields of the rows of all files up to the limit; bad ones go to the issues, and count."""
    taken = 0
    for path in files:
        before = taken
        for row in read_rows(path):
            if taken == spec.limit:
                return
            taken += 1
            if isinstance(row, BadRow):
                issues.add(path="problems.path", file=str(path), line=row.line, found=row.found, wanted=row.wanted)
            else:
                yield str(path), row.line, row.fields
        if taken == before and taken != spec.limit:
            issues.add(path="problems.path", file=str(path), line=None, found="no rows", wanted="at least one problem")


def _lacks(spec: Problems, id_field: str | None, fields: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What a row has not that it should: path in the job, what was found, what is wanted."""
    named = {f"problems.fields.{ours}": theirs for ours, theirs in spec.fields.items()}
    named |= {"problems.gold": spec.gold} if spec.gold else {}
    named |= {"problems.id": id_field} if id_field else {}
    for path, name in named.items():
        if name not in fields:
            yield path, f"a row without `{name}`", f"{near(name, fields)}the fields are {', '.join(fields)}"
    if id_field is None:
        wanted = f"one of {', '.join(ID_FIELDS)}, or a field that problems.id names: {', '.join(fields)}"
        yield "problems.id", "no field with an id", wanted
    elif id_field in fields and as_text(fields[id_field]) is None:
        yield "problems.id", f"an empty `{id_field}`", "an id"


def _add_duplicate(placed: PlacedProblem, first: PlacedProblem, issues: RowIssues) -> None:
    issues.add(
        path="problems.id",
        file=placed.file,
        line=placed.line,
        found=f'"{placed.problem.problem_id}" again, first in {Path(first.file).name}:{first.line}',
        wanted="an id that is unique within the job",
    )
