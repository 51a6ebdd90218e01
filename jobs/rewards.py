"""Before picking answers: functions are asked about samples they have not scored yet, models are taken from other jobs.

Afterwards the archive holds all that selection needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from jinja2 import TemplateError

from polythink.errors import UnknownJobError
from polythink.jobs import functions
from polythink.jobs.asking import ask, kept
from polythink.jobs.embedding import embed
from polythink.jobs.prompt import question
from polythink.jobs.workload import Workload, recall
from polythink.records import Arm, Problem
from polythink.selectors.registry import SelectorConfig
from polythink.selectors.rewards import SHOWN, Scores
from polythink.selectors.sandbox import Sandbox, SandboxLimits
from polythink.selectors.scorer import embedder
from polythink.selectors.scorer_model import as_taken, from_json, model_file
from polythink.storage.archive import Archive
from polythink.storage.schema import SCORES


def prepare(archive: Archive, work: Workload, selectors: Sequence[SelectorConfig]) -> tuple[str, ...]:
    """Ask and take what these selectors need; returns what there is to say of it. The job's lock need not be held."""
    return tuple(chain.from_iterable(_prepare(archive, work, config) for config in selectors))


def refused(work: Workload, selectors: Sequence[SelectorConfig]) -> dict[str, str]:
    """Why functions cannot be asked about a job's samples, by the selector: what a problem asks is not known."""
    imported = [arm for arm in work.arms if not arm.template]
    try:
        for problem in work.problems if imported else ():
            question(imported[0], problem)
    except ValueError as error:
        return {config.row_name: str(error) for config in selectors if config.kind.function(config.settings)}
    return {}


def _prepare(archive: Archive, work: Workload, config: SelectorConfig) -> Iterator[str]:
    name, job_id, settings = config.row_name, work.job_id, config.settings
    if (function := config.kind.function(settings)) is not None:
        earlier = kept(archive, job_id, SCORES, name, function)
        yield from ask(archive, job_id, name, function, _Scores(work), earlier)
    if config.kind.learns:
        if settings["from"] is not None:
            yield from _take(archive, work, name, settings["from"])
        try:
            function = embedder(archive, job_id, name, settings)
        except ValueError:
            return  # nothing was taken, which is said
        if function is not None:
            yield from embed(archive, job_id, name, function)


class _Scores(Scores):
    """What a reward function is asked, and what of its replies is kept."""

    table = SCORES
    shown: Sequence[str] = ("answer", *SHOWN)
    noun = "score"
    limits = SandboxLimits()

    def __init__(self, work: Workload) -> None:
        super().__init__()
        self._problems, self._arms = work.problems_by_id, work.arms_by_id

    def ask(self, sandbox: Sandbox, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[object]]:
        """Raises SandboxError if the function cannot be loaded."""
        return {"score": [self.read(value) for value in sandbox.call([self._arguments(row) for row in rows])]}

    def _arguments(self, row: Mapping[str, Any]) -> list[object]:
        """What the function is called with: nothing of gold or of any verdict."""
        asked = question(self._arms[row["arm_id"]], self._problems[row["problem_id"]])
        return [asked, row["answer"], {name: row[name] for name in SHOWN}]


def _take(archive: Archive, work: Workload, name: str, source: str) -> Iterator[str]:
    """Copy the model of another job, as JOB or JOB/NAME, so that this one can be selected from by itself."""
    job, _, theirs = source.partition("/")
    try:
        job_id = archive.resolve(job)
    except UnknownJobError as error:
        yield f"{name}.from: {error}"
        return
    text = archive.read_text(job_id, model_file(theirs or "scorer"))
    if job_id == work.job_id or text is None:
        yield f"{name}.from: {source} keeps no model of a scorer to take; run `polythink select {job} --with scorer`"
        return
    try:
        model = from_json(text)
    except ValueError as error:
        yield f"{name}.from: {model_file(theirs or 'scorer')} of {job_id}: {error}"
        return
    if model.trained_on == work.job_id:
        yield f"{name}.from: the model of {source} was trained on this job, and would score what it saw"
        return
    if model.embed is not None and not functions.take(archive, job_id, work.job_id, model.embed):
        yield f"{name}.from: its model looks at vectors of {model.embed}, and {job_id} no longer keeps that file"
        return
    archive.write_text(work.job_id, model_file(name), as_taken(text, source))
    if model.trained_on is not None and (shared := _shared(archive, work, model.trained_on)):
        where = f"{shared:,} of these problems in {model.trained_on}"
        yield f"{name}: its model has seen {where}; their scores are too good"


def _shared(archive: Archive, work: Workload, job_id: str) -> int:
    """How many problems ask what a problem of that job asks; 0 if the archive does not hold it."""
    if archive.state(job_id) is None:
        return 0
    theirs = recall(archive, job_id)
    seen = {
        asked
        for arm in (work.arms[0], theirs.arms[0])
        for problem in theirs.problems
        if (asked := _asked(arm, problem))
    }
    return sum(_asked(work.arms[0], problem) in seen for problem in work.problems)


def _asked(arm: Arm, problem: Problem) -> str | None:
    try:
        return question(arm, problem)
    except (TemplateError, ValueError):  # of another job: its rows have other fields
        return None
