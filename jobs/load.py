"""A job file to a job that can run, or every reason why it cannot: nothing is spent on a spec that is wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os.path import abspath
from pathlib import Path
from typing import Any

import yaml
from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError

from polythink.errors import SandboxError, SpecError, SpecIssue
from polythink.jobs.arms import place_arms
from polythink.jobs.functions import placed, selector_functions
from polythink.jobs.judging_job import wrong_with_judge
from polythink.jobs.overrides import merged, redirected
from polythink.jobs.problem_list import PlacedRow, RowIssues, find_files, read_problems
from polythink.jobs.prompt import named_fields, render_template
from polythink.jobs.providers import check_providers
from polythink.jobs.spec import Job
from polythink.jobs.spec_checks import (
    check_answer,
    check_arms,
    check_endpoints,
    check_select,
    check_templates,
    template_places,
)
from polythink.jobs.spec_lines import Document, Finding, Loc, issues, parse, path_of, secret_findings, show
from polythink.jobs.spec_parts import PythonGrade
from polythink.jobs.spec_validation import Validated, validate
from polythink.records import Arm, Problem
from polythink.selectors.registry import parse_selector
from polythink.selectors.sandbox import check_function


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedJob:
    """A job whose every part was checked."""

    job: Job
    base_dir: Path  # what paths in the job are relative to
    source: str  # the job file as written
    file: str | None  # its path; None for a job made in Python
    arms: tuple[Arm, ...]
    problems: tuple[Problem, ...]
    grade_function: str | None  # file or module, colon, function; files by their absolute path
    digest: str  # of the job with its overrides and of all problems

    @property
    def functions(self) -> list[str]:
        """Every Python function that the job names, as `grade_function`."""
        graded = [self.grade_function] if self.grade_function is not None else []
        return [*graded, *selector_functions(self.job.select, self.base_dir)]

    @property
    def total(self) -> int:
        """Samples asked for."""
        return len(self.problems) * len(self.arms) * self.job.samples

    @property
    def archive(self) -> str | None:
        """The archive that the job names, if it names one; as all its paths relative to the job file."""
        named = self.job.archive
        if named is None or "://" in named:
            return named
        return abspath(self.base_dir / Path(named).expanduser())


def load_job(path: Path, overrides: Mapping[str, Any] | None = None, *, base_url: str | None = None) -> LoadedJob:
    """Read and check a job file.

    `overrides` is a mapping of the same shape as the file; what it says goes before what the file says. `base_url` is
    the server to send to in place of the job's. Raises SpecError with every issue of the job file and of its problem
    files.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        issue = SpecIssue(path="(file)", line=None, file=str(path), found=f"{error}", wanted="a readable file in UTF-8")
        raise SpecError((issue,)) from error
    document = parse(text, str(path))
    data, ambiguous = redirected(merged(document.data, overrides or {}), base_url)
    return _load(document, data, ambiguous, path.parent, str(path))


def load_job_model(job: Job, base_dir: Path) -> LoadedJob:
    """Check a job made in Python as a job file is checked. Raises SpecError with every issue."""
    document = parse(job_yaml(job), None)
    return _load(document, document.data, (), base_dir, None)


def job_yaml(job: Job) -> str:
    """The job as a job file, every default written out."""
    return yaml.safe_dump(job.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _load(document: Document, data: Any, earlier: tuple[Finding, ...], base_dir: Path, file: str | None) -> LoadedJob:
    """The job that `data` describes, which is the document's with its overrides. Raises SpecError."""
    secrets = list(secret_findings(document.text, file))
    if document.root is None and document.findings:
        raise SpecError(issues([*document.findings, *secrets], document, file))
    validated = validate(data)
    checked = _Checks(validated, base_dir)
    told = [*secrets, *document.findings, *earlier, *validated.findings, *checked.findings()]
    if found := issues(told, document, file):
        raise SpecError(found)
    return checked.loaded(document, file)


class _Checks:
    """The checks beyond the model, on as much of the job as is valid, and the job once there is nothing to say."""

    def __init__(self, validated: Validated, base_dir: Path) -> None:
        self._job, self._unusable, self._base_dir = validated.job, validated.unusable, base_dir
        self._arms = place_arms(self._job)
        self._rows: list[PlacedRow] = []

    def findings(self) -> Iterator[Finding | SpecIssue]:
        yield from check_arms(self._arms, self._unusable)
        yield from check_endpoints(self._job, self._arms, self._unusable)
        yield from check_providers(self._job, self._unusable)
        yield from check_answer(self._job)
        yield from check_select(self._job)
        yield from self._check_judges()
        yield from self._check_grade()
        yield from self._check_scored()
        if not self._unusable.covers(("problems", "path")):
            yield from self._check_problems()
        yield from self._check_templates()

    def loaded(self, document: Document, file: str | None) -> LoadedJob:
        problems = tuple(row.problem for row in self._rows if row.problem is not None)
        return LoadedJob(
            job=self._job,
            base_dir=self._base_dir,
            source=document.text,
            file=file,
            arms=tuple(placed.arm for placed in self._arms),
            problems=problems,
            grade_function=_grade_function(self._job, self._base_dir),
            digest=_digest(self._job, problems),
        )

    def _check_grade(self) -> Iterator[Finding]:
        function = _grade_function(self._job, self._base_dir)
        if function is not None and isinstance(self._job.grade, PythonGrade):
            yield from _unloadable(("grade", "python"), self._job.grade.python, function)

    def _check_scored(self) -> Iterator[Finding]:
        """The functions of selectors must load as the grading function must."""
        for index, value in enumerate(self._job.select):
            try:
                functions = selector_functions([value], self._base_dir)
            except ValueError:
                continue  # `check_select` has told of it
            for function in functions:
                yield from _unloadable(("select", index), value, function)

    def _check_judges(self) -> Iterator[Finding]:
        if (judge := self._job.answer.equivalence_judge) is not None:
            for wanted in wrong_with_judge(self._job, judge):
                yield Finding(loc=("answer", "equivalence", "judge"), found=show(judge.settings), wanted=wanted)
        for index, value in enumerate(self._job.select):
            try:
                config = parse_selector(value)
            except ValueError:
                continue  # `check_select` has told of it
            for wanted in wrong_with_judge(self._job, config) if config.kind.judge else ():
                yield Finding(loc=("select", index), found=show(value), wanted=wanted)

    def _check_problems(self) -> Iterator[Finding | SpecIssue]:
        files, missing = find_files(self._job.problems, self._base_dir)
        self._rows, wrong = read_problems(self._job.problems, files)
        mended = {path_of(place) for place in self._unusable.places}
        for finding in (*missing, *wrong):
            path = finding.path if isinstance(finding, SpecIssue) else path_of(finding.loc)
            if path not in mended:
                yield finding

    def _check_templates(self) -> Iterator[Finding | SpecIssue]:
        templates = {loc: text for loc, text in template_places(self._job).items() if not self._unusable.covers(loc)}
        aliases = self._aliases()
        fields = {name for row in self._rows for name in row.fields}
        yield from check_templates(templates, None if aliases is None or not self._rows else fields | aliases)
        for loc, template in templates.items():
            if _parses(template) and named_fields(template) <= fields:
                yield from _unrendered(loc, template, self._rows, aliases or frozenset())

    def _aliases(self) -> frozenset[str] | None:
        """The further names that the job gives to fields, those included that name no field; None if not known."""
        if self._unusable.covers(("problems", "fields")):
            return None
        lost = {str(place[2]) for place in self._unusable.places if place[:2] == ("problems", "fields")}
        return frozenset(self._job.problems.fields) | lost


def _unloadable(loc: Loc, written: object, function: str) -> Iterator[Finding]:
    try:
        check_function(function)
    except SandboxError as error:
        yield Finding(loc=loc, found=show(written), wanted=f"a function that can be loaded ({error})")


def _parses(template: str) -> bool:
    try:
        named_fields(template)
    except TemplateSyntaxError:
        return False
    return True


def _unrendered(loc: Loc, template: str, rows: list[PlacedRow], aliases: frozenset[str]) -> tuple[SpecIssue, ...]:
    """The rows over which a template cannot be filled in, or comes out empty.

    A row that lacks what one of the `aliases` stands for was told of already.
    """
    found, told = RowIssues(), named_fields(template) & aliases
    for row in rows:
        if told - row.fields.keys():
            continue
        wanted = "a row, or a template, that fit each other"
        try:
            if render_template(template, row.fields).strip() or loc[-1] == "system":
                continue
            what = "an empty prompt"
        except UndefinedError as error:
            what = f"a row that lacks what the template names ({error})"
        except TemplateError as error:
            what = f"a row on which the template fails ({error})"
        found.add(path=path_of(loc), file=row.file, line=row.line, found=what, wanted=wanted)
    return found.all()


def _grade_function(job: Job, base_dir: Path) -> str | None:
    """The reference with its file, if it names one, by an absolute path."""
    return placed(job.grade.python, base_dir) if isinstance(job.grade, PythonGrade) else None


def _digest(job: Job, problems: tuple[Problem, ...]) -> str:
    digest = hashlib.blake2b(_canonical(job.model_dump(mode="json")), digest_size=16)
    for problem in problems:
        digest.update(_canonical([problem.problem_id, problem.gold, problem.fields]))
    return digest.hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
