"""The problems of a job: files found, rows read, ids and reference answers taken from them."""

from __future__ import annotations

import glob
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polythink.errors import SpecIssue
from polythink.jobs.problem_files import BadRow, as_text, read_rows
from polythink.jobs.spec_lines import Finding, Loc, near, path_of
from polythink.jobs.spec_parts import Problems
from polythink.records import Problem

ID_FIELDS = ("id", "problem_id", "question_id")
GOLD_FIELD = "gold"
SHOWN_ROWS = 20  # bad rows of one kind that are told of one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRow:
    """A row, where it stands, and the problem it is."""

    fields: dict[str, Any]  # with the further names that the job gives
    file: str
    line: int  # from 1; for Parquet the number of the row
    problem: Problem | None  # None: it has no id, or that of an earlier row


@dataclass(slots=True, kw_only=True)
class RowIssues:
    """Issues of rows, of one kind: the first of them, and how many there are."""

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
            path=last.path,
            line=last.line,
            file=last.file,
            found=f"{more:,} more of the kind after this one",
            wanted="to be mended alike",
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


def read_problems(spec: Problems, files: list[Path]) -> tuple[list[PlacedRow], tuple[Finding | SpecIssue, ...]]:
    """The rows of the files in order, at most `spec.limit` of them, and all that keeps them from being problems.

    A field that the job names and some rows lack is told row by row; one that no row has is told at its name.
    """
    reading = _Reading(spec)
    reading.read(files)
    return reading.rows, tuple(reading.findings())


class _Reading:
    """Rows as they are read, and what is wrong with them by kind, so that no kind hides another."""

    def __init__(self, spec: Problems) -> None:
        self.rows: list[PlacedRow] = []
        self._spec = spec
        self._id_field = spec.id
        self._first: dict[str, PlacedRow] = {}  # by problem_id
        self._wrong = defaultdict[str, RowIssues](RowIssues)
        self._lacking = defaultdict[Loc, RowIssues](RowIssues)  # by the place in the job that names the field

    def read(self, files: list[Path]) -> None:
        """All files up to the limit; what cannot be read counts too."""
        taken = 0
        for path in files:
            before = taken
            for row in read_rows(path):
                if taken == self._spec.limit:
                    return
                taken += 1
                if isinstance(row, BadRow):
                    self._add("bad row", "path", str(path), row.line, row.found, row.wanted)
                else:
                    self._take(str(path), row.line, row.fields)
            if taken == before and taken != self._spec.limit:
                self._add("empty file", "path", str(path), None, "no rows", "at least one problem")

    def findings(self) -> Iterator[Finding | SpecIssue]:
        names = dict.fromkeys(name for row in self.rows for name in row.fields)
        for loc, issues in self._lacking.items():
            if issues.count == len(self.rows):
                yield _absent(self._spec, loc, names)
            else:
                yield from issues.all()
        for issues in self._wrong.values():
            yield from issues.all()

    def _take(self, file: str, line: int, row: dict[str, Any]) -> None:
        fields = row | {ours: row[theirs] for ours, theirs in self._spec.fields.items() if theirs in row}
        self._id_field = self._id_field or next((name for name in ID_FIELDS if name in fields), None)
        for loc, found, wanted in _lacks(self._spec, self._id_field, fields):
            self._lacking[loc].add(path=path_of(loc), file=file, line=line, found=found, wanted=wanted)
        problem = self._problem(fields, file, line)
        self.rows.append(PlacedRow(fields=fields, file=file, line=line, problem=problem))
        if problem is not None:
            self._first[problem.problem_id] = self.rows[-1]

    def _problem(self, fields: dict[str, Any], file: str, line: int) -> Problem | None:
        if self._id_field is None or self._id_field not in fields:
            return None
        problem_id = as_text(fields[self._id_field])
        if problem_id is None:
            self._add("empty id", "id", file, line, f"an empty `{self._id_field}`", "an id")
            return None
        if earlier := self._first.get(problem_id):
            found = f'"{problem_id}" again, first in {Path(earlier.file).name}:{earlier.line}'
            self._add("id again", "id", file, line, found, "an id that is unique within the job")
            return None
        gold = as_text(fields.get(self._spec.gold or GOLD_FIELD))
        family = as_text(fields.get(self._spec.family)) if self._spec.family else None
        return Problem(problem_id=problem_id, gold=gold, fields=fields, ordinal=len(self._first), family=family)

    def _add(self, kind: str, key: str, file: str, line: int | None, found: str, wanted: str) -> None:
        self._wrong[kind].add(path=f"problems.{key}", file=file, line=line, found=found, wanted=wanted)


def _named(spec: Problems) -> dict[Loc, str]:
    """The fields of rows that a job names, by the place where it does."""
    named: dict[Loc, str] = {("problems", "fields", ours): theirs for ours, theirs in spec.fields.items()}
    named |= {("problems", "gold"): spec.gold} if spec.gold else {}
    named |= {("problems", "family"): spec.family} if spec.family else {}
    return named | ({("problems", "id"): spec.id} if spec.id else {})


def _lacks(spec: Problems, id_field: str | None, fields: dict[str, Any]) -> Iterator[tuple[Loc, str, str]]:
    """What a row has not that it should: place in the job, what was found, what is wanted."""
    named = _named(spec) | ({("problems", "id"): id_field} if id_field else {})
    for loc, name in named.items():
        if name not in fields:
            yield loc, f"a row without `{name}`", f"{near(name, fields)}the fields are {', '.join(fields)}"
    if id_field is None:
        yield ("problems", "id"), "no field with an id", _wanted_id(fields)


def _absent(spec: Problems, loc: Loc, names: Iterable[str]) -> Finding:
    """The one finding about a field that no row has."""
    if (name := _named(spec).get(loc)) is None:
        return Finding(loc=loc, found="no field with an id", wanted=_wanted_id(names))
    wanted = f"{near(name, names)}the fields are {', '.join(names)}"
    return Finding(loc=loc, found=f"`{name}`, which no row has", wanted=wanted)


def _wanted_id(names: Iterable[str]) -> str:
    return f"one of {', '.join(ID_FIELDS)}, or a field that problems.id names: {', '.join(names)}"
