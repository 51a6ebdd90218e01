"""Picking answers: the downstream stage with a job's own rules, from the archive alone."""

from __future__ import annotations

from collections.abc import Sequence

from polythink.jobs.workload import Workload
from polythink.selectors.registry import parse_selector
from polythink.selectors.stage import Selected, select_job
from polythink.storage.archive import Archive


def select(archive: Archive, work: Workload, selectors: Sequence[object] | None = None) -> tuple[list[str], Selected]:
    """Write selections and curves by these selectors (None: the job's own); returns their names and the counts.

    Raises ValueError, with a suggestion, for a selector that is not known or is named twice.
    """
    chosen = [parse_selector(value) for value in selectors or work.job.select]
    selected = select_job(
        archive, work.job_id, selectors=chosen, equivalence=work.job.answer.equivalence, seed=work.job.seed
    )
    return [selector.name for selector in chosen], selected
