"""A job's grader, with the user's function where the archive keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from polythink.jobs.functions import loadable
from polythink.jobs.spec_parts import PythonGrade
from polythink.jobs.workload import Workload
from polythink.selectors.grading import Grader
from polythink.selectors.sandbox import SandboxLimits
from polythink.storage.archive import Archive


@contextmanager
def job_grader(archive: Archive, work: Workload) -> Iterator[Grader]:
    """Grades answers as the job says; what it started ends with the context."""
    grade, rule = work.job.grade, work.job.answer.rule()
    if not isinstance(grade, PythonGrade):
        with Grader(rule, mode="gold" if grade == "auto" else "none") as grader:
            yield grader
        return
    limits = SandboxLimits(seconds=grade.timeout_s)
    with (
        loadable(archive, work.job_id, grade.python) as function,
        Grader(rule, mode="function", function=function, limits=limits) as grader,
    ):
        yield grader
