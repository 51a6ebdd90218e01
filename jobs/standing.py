"""Where a job stands, from the archive alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from polythink.jobs.grid import DoneSet, Grid
from polythink.jobs.purse import Purse
from polythink.jobs.scheduler import Scheduler
from polythink.jobs.workload import Workload
from polythink.records import SampleKey
from polythink.storage.archive import Archive
from polythink.storage.state import ArmProgress, JobState

_DONE = "SELECT problem_id, arm_id, sample_index, attempts FROM traces WHERE job_id = ?"
_TRIED = """
    SELECT problem_id, arm_id, sample_index, max(attempt) FROM attempts WHERE job_id = ?
    GROUP BY ALL HAVING bool_and(status = 'retry')
"""
_TOTALS = """
    SELECT count(*) FILTER (status = 'failed') AS failed, count(*) FILTER (status = 'retry') AS retries,
        coalesce(sum(cost_usd), 0.0) AS spent_usd, coalesce(sum(output_tokens), 0)::BIGINT AS output_tokens
    FROM attempts WHERE job_id = ?
"""
_ORIGINS = """
    SELECT DISTINCT simulated FROM attempts WHERE job_id = ? AND status <> 'retry' AND http_status IS NOT NULL
"""


@dataclass(slots=True)
class Standing:
    """What is done, what was spent, what is owed."""

    scheduler: Scheduler
    purse: Purse
    state: JobState
    simulated: bool | None  # whether a simulator made the kept traces; None while nothing says so


def standing(archive: Archive, work: Workload, state: JobState) -> Standing:
    """Count done samples, attempts and money. Journals must have landed."""
    grid = Grid([p.problem_id for p in work.problems], [arm.arm_id for arm in work.arms], work.job.samples)
    done = DoneSet(len(grid))
    per_arm = dict.fromkeys((arm.arm_id for arm in work.arms), 0)
    for ordinal, _ in _ordinals(archive, grid, work.job_id, _DONE):
        if done.add(ordinal):
            per_arm[grid.arm_id(ordinal)] += 1
    totals = archive.sql(_TOTALS, [work.job_id]).to_pylist()[0]
    scheduler = Scheduler(
        grid,
        done,
        earlier_attempts=dict(_ordinals(archive, grid, work.job_id, _TRIED)),
        max_strikes=1 + work.job.retries,
        seed=work.job.seed,
    )
    arms = {arm_id: ArmProgress(done=count, total=grid.per_arm) for arm_id, count in per_arm.items()}
    return Standing(
        scheduler=scheduler,
        purse=Purse(cap_usd=work.job.cap.usd if work.job.cap else None, settled_usd=totals["spent_usd"]),
        state=replace(state, total=len(grid), done=len(done), arms=arms, **totals),
        simulated=_simulated(archive, work.job_id),
    )


def _simulated(archive: Archive, job_id: str) -> bool | None:
    origins = archive.sql(_ORIGINS, [job_id])["simulated"].to_pylist()
    return origins[0] if len(origins) == 1 else None


def _ordinals(archive: Archive, grid: Grid, job_id: str, query: str) -> Iterator[tuple[int, int]]:
    """(ordinal, number) of every row of a query for problem, arm, index and a number."""
    for batch in archive.sql(query, [job_id]).to_batches():
        for problem_id, arm_id, index, number in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            ordinal = grid.ordinal(SampleKey(problem_id=problem_id, arm_id=arm_id, sample_index=index))
            if ordinal is not None:
                yield ordinal, number
