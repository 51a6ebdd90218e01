"""Python's questions to an archive alone: nothing is sent, and neither Ray nor the SDK is imported."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from polythink.jobs.explaining import explain_job
from polythink.jobs.replaying import replay_job
from polythink.jobs.workload import recall
from polythink.selectors.explain import Explanation
from polythink.selectors.replay import Replayed
from polythink.storage.archive import Archive


def explain(
    job: str,
    selectors: Sequence[object] | None = None,
    problem: str | None = None,
    archive: Archive | str | Path = "archive",
) -> Explanation:
    """Which samples of a job (name or id) count for these selectors (None: the job's own), and why.

    Selectors are as in a job file: a name, or one name with its options. With `problem` its samples are listed one by
    one. Nothing is sent or written. Raises UnknownJobError, UnknownProblemError, and ValueError for a selector that is
    not known or is named twice.
    """
    where = as_archive(archive)
    return explain_job(where, recall(where, where.resolve(job)), selectors, problem)


def replay(job: str, archive: Archive | str | Path = "archive") -> dict[str, list[Replayed]]:
    """What rules that stop a problem when its vote is decided would have saved, by arm; empty if nothing is graded.

    Warns of answers that no judge has yet put into classes. Raises UnknownJobError.
    """
    where = as_archive(archive)
    return replay_job(where, recall(where, where.resolve(job)), lambda note: warnings.warn(note, stacklevel=4))


def as_archive(archive: Archive | str | Path) -> Archive:
    """The archive, given itself or by its place."""
    return archive if isinstance(archive, Archive) else Archive(archive)
