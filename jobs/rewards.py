"""Before picking answers: functions are asked about samples they have not scored yet, models are taken from other jobs.

Afterwards the archive holds all that selection needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from polythink.errors import SandboxError, UnknownJobError
from polythink.jobs.functions import loadable
from polythink.jobs.prompt import question
from polythink.jobs.workload import Workload
from polythink.selectors.registry import SelectorConfig
from polythink.selectors.rewards import SHOWN, Replies
from polythink.selectors.sandbox import Sandbox
from polythink.selectors.scorer_model import from_json, model_file
from polythink.storage.archive import Archive
from polythink.storage.schema import SCORES

_BATCH = 200  # samples handed to the function's process at a time
_KEYS = ("problem_id", "arm_id", "sample_index")
_KEPT = """
    SELECT ? AS selector, problem_id, arm_id, sample_index, max(score) AS score, source FROM scores
    WHERE job_id = ? AND source = ? GROUP BY ALL
"""
_UNSCORED = f"""
    SELECT {", ".join(_KEYS)}, answer, {", ".join(SHOWN)} FROM traces
    ANTI JOIN (SELECT * FROM scores WHERE job_id = $1 AND source = $2) USING ({", ".join(_KEYS)})
    WHERE job_id = $1 AND outcome = 'answered'
"""
_SHARED = """
    SELECT count(DISTINCT ours.problem_id) AS n FROM problems ours JOIN problems theirs USING (fields)
    WHERE ours.job_id = ? AND theirs.job_id = ?
"""


def prepare(archive: Archive, work: Workload, selectors: Sequence[SelectorConfig]) -> tuple[str, ...]:
    """Ask and take what these selectors need; returns what there is to say of it. The job's lock need not be held."""
    return tuple(chain.from_iterable(_prepare(archive, work, config) for config in selectors))


def _prepare(archive: Archive, work: Workload, config: SelectorConfig) -> Iterator[str]:
    settings = config.settings
    if (function := config.kind.function(settings)) is not None:
        yield from _ask(archive, work, config.row_name, function)
    if config.kind.learns and settings["from"] is not None:
        yield from _take(archive, work, config.row_name, settings["from"])


def _ask(archive: Archive, work: Workload, name: str, function: str) -> Iterator[str]:
    """Score the samples that have no score by this function."""
    asking = _Asking(archive, work, name, function)
    with archive.connect("traces scores") as connection, loadable(archive, work.job_id, function) as path:
        cursor = connection.execute(_UNSCORED, [work.job_id, function])
        columns = [column for column, *_ in cursor.description or ()]
        with Sandbox(path) as sandbox:
            while rows := [dict(zip(columns, row, strict=True)) for row in cursor.fetchmany(_BATCH)]:
                try:
                    asking.ask(sandbox, rows)
                except SandboxError as error:
                    yield f"{name}: {error}"
                    break
    asking.keep()
    for message, count in asking.replies.errors.items():
        yield f"{name}: {count:,} {'sample has' if count == 1 else 'samples have'} no score: {message}"


class _Asking:
    """The scores of one function as they come in. They are kept whenever there are twice as many as were kept."""

    def __init__(self, archive: Archive, work: Workload, name: str, function: str) -> None:
        self.replies = Replies()
        self._archive, self._job_id, self._name, self._function = archive, work.job_id, name, function
        self._problems, self._arms = work.problems_by_id, work.arms_by_id
        self._earlier = archive.sql(_KEPT, [name, work.job_id, function])
        self._fresh: dict[str, list[Any]] = {key: [] for key in (*_KEYS, "score")}
        self._kept = 0  # of the fresh ones

    def ask(self, sandbox: Sandbox, rows: Sequence[dict[str, Any]]) -> None:
        """Raises SandboxError if the function cannot be loaded."""
        values = sandbox.call([self._arguments(row) for row in rows])
        for key in _KEYS:
            self._fresh[key] += [row[key] for row in rows]
        self._fresh["score"] += [self.replies.read(value) for value in values]
        if len(self._fresh["score"]) >= 2 * self._kept:
            self.keep()

    def keep(self) -> None:
        """Durably, unless nothing is new."""
        count = len(self._fresh["score"])
        if count == self._kept:
            return
        columns = {**self._fresh, "selector": pa.repeat(self._name, count), "source": pa.repeat(self._function, count)}
        fresh = pa.table({name: columns[name] for name in SCORES.arrow.names}, schema=SCORES.arrow)
        rows = pa.concat_tables([self._earlier.cast(SCORES.arrow), fresh])
        self._archive.replace_part(SCORES, self._job_id, self._name, rows)
        self._kept = count

    def _arguments(self, row: dict[str, Any]) -> list[object]:
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
        from_json(text)
    except ValueError as error:
        yield f"{name}.from: {model_file(theirs or 'scorer')} of {job_id}: {error}"
        return
    archive.write_text(work.job_id, model_file(name), text)
    shared: int = archive.sql(_SHARED, [work.job_id, job_id])["n"][0].as_py()
    if shared:
        yield f"{name}: its model has seen {shared:,} of these problems in {job_id}; their scores are too good"
