"""Where a job stands, from the archive alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from polythink.jobs.batch_book import Entry
from polythink.jobs.grid import DoneSet, Grid, Ordinals
from polythink.jobs.purse import Purse
from polythink.jobs.scheduler import Scheduler
from polythink.jobs.spent_beside import spent_beside
from polythink.jobs.workload import Workload
from polythink.records import SampleKey
from polythink.storage.archive import Archive
from polythink.storage.state import JobState, progress

# A sample's number by the formula of `Grid`: over a million samples, that is no work for Python.
_DONE = """
    SELECT (sample_index * ? + problems.ordinal) * ? + arms.ordinal AS ordinal
    FROM traces JOIN problems USING (job_id, problem_id) JOIN arms USING (job_id, arm_id)
    WHERE job_id = ? AND sample_index < ?
"""
_ANSWERS = """
    SELECT (sample_index * ? + problems.ordinal) * ? + arms.ordinal AS ordinal,
        CASE WHEN outcome = 'answered' THEN canonical_answer END AS form
    FROM traces JOIN problems USING (job_id, problem_id) JOIN arms USING (job_id, arm_id)
    WHERE job_id = ? AND sample_index < ?
"""
_TRIED = """
    SELECT problem_id, arm_id, sample_index, max(attempt) AS number FROM attempts
    WHERE job_id = ? AND status IN ('retry', 'lost') GROUP BY ALL
"""
_TOTALS = """
    SELECT count(*) FILTER (status = 'failed') AS failed, count(*) FILTER (status = 'retry') AS retries,
        coalesce(sum(cost_usd), 0.0) AS spent_usd, coalesce(sum(output_tokens), 0)::BIGINT AS output_tokens,
        coalesce(sum(reserved_usd), 0.0) AS held_usd,
        coalesce(sum(max_tokens - output_tokens) FILTER (reserved_usd IS NOT NULL), 0)::BIGINT AS held_tokens,
        CASE WHEN bool_and(simulated) FILTER (answered) = bool_or(simulated) FILTER (answered)
            THEN bool_or(simulated) FILTER (answered) END AS simulated
    FROM (SELECT *, status NOT IN ('retry', 'lost') AND http_status IS NOT NULL AS answered FROM attempts)
    JOIN arms USING (job_id, arm_id) WHERE job_id = ?
"""


@dataclass(slots=True)
class Standing:
    """What is done, what was spent, what is owed."""

    scheduler: Scheduler
    purse: Purse  # USD
    tokens: Purse  # output tokens
    state: JobState
    simulated: bool | None  # whether a simulator made the kept traces; None while nothing says so


def standing(
    archive: Archive, work: Workload, state: JobState, only: Ordinals | None = None, sent: Iterable[Entry] = ()
) -> Standing:
    """Count done samples, attempts and money. Journals must have landed. Of the rest, `only` some may be owed.

    What an earlier run has `sent` in batches that are open is waited for all the same, and not sent again.
    """
    grid = Grid([p.problem_id for p in work.problems], [arm.arm_id for arm in work.arms], work.job.samples)
    done = DoneSet(len(grid))
    shape = [len(work.problems), len(work.arms), work.job_id, work.job.samples]
    new = done.add_all(archive.sql(_DONE, shape)["ordinal"].to_numpy())
    per_arm = np.bincount(new % len(work.arms), minlength=len(work.arms)).tolist()
    finished = len(done)
    tried = _tried(archive, grid, done, work.job_id)
    passing: frozenset[int] = frozenset()
    if only is not None:
        passing = _awaited(grid, done, tried, sent) - frozenset(only.tolist())
        done.add_all(np.setdiff1d(np.arange(len(grid)), [*only, *passing]))
    totals = archive.sql(_TOTALS, [work.job_id]).to_pylist()[0]
    simulated: bool | None = totals.pop("simulated")
    cap_usd, cap_tokens = _caps(archive, work)
    purse = Purse(cap=cap_usd, settled=totals["spent_usd"])
    purse.hold(totals.pop("held_usd"))
    tokens = Purse(cap=cap_tokens, settled=totals["output_tokens"])
    tokens.hold(totals.pop("held_tokens"))
    scheduler = Scheduler(
        grid,
        done,
        earlier_attempts=tried,
        max_strikes=1 + work.job.retries,
        seed=work.job.seed,
        in_waves=work.job.stop is not None and only is None,
        passing=passing,
    )
    arms = {
        arm.arm_id: replace(progress(state, arm.arm_id, grid.per_arm), done=count)
        for arm, count in zip(work.arms, per_arm, strict=True)
    }
    return Standing(
        scheduler=scheduler,
        purse=purse,
        tokens=tokens,
        state=replace(state, total=len(grid), done=finished, arms=arms, **totals),
        simulated=simulated,
    )


def kept_answers(archive: Archive, work: Workload) -> dict[int, str | None]:
    """The canonical answer of each finished sample by its number; None where it abstains."""
    shape = [len(work.problems), len(work.arms), work.job_id, work.job.samples]
    rows = archive.sql(_ANSWERS, shape)
    forms: dict[str, str] = {}  # one object for all that are alike
    kept = zip(rows["ordinal"].to_pylist(), rows["form"].to_pylist(), strict=True)
    return {ordinal: None if form is None else forms.setdefault(form, form) for ordinal, form in kept}


def with_spared(state: JobState, scheduler: Scheduler) -> JobState:
    """The state with the samples that are not wanted, as far as that is known; a pilot does not look."""
    if not scheduler.comes_in_waves:
        return state
    arms = {arm_id: replace(arm, spared=scheduler.spared[arm_id]) for arm_id, arm in state.arms.items()}
    return replace(state, arms=arms)


def _caps(archive: Archive, work: Workload) -> tuple[float | None, float | None]:
    """The job's caps in USD and in output tokens, less what its judges have spent of them, or may have."""
    cap = work.job.cap
    if cap is None:
        return None, None
    judges = spent_beside(archive, work.job_id, work.job_id)
    return cap.usd - judges.usd, None if cap.output_tokens is None else cap.output_tokens - judges.output_tokens


def _awaited(grid: Grid, done: DoneSet, tried: Mapping[int, int], sent: Iterable[Entry]) -> frozenset[int]:
    """Unfinished samples, by number, among what was sent, of which no attempt of that number is recorded."""
    numbers = [(ordinal, entry.number) for entry in sent if (ordinal := grid.ordinal(entry.key)) is not None]
    return frozenset(ordinal for ordinal, number in numbers if ordinal not in done and number > tried.get(ordinal, 0))


def _tried(archive: Archive, grid: Grid, done: DoneSet, job_id: str) -> dict[int, int]:
    """How often each unfinished sample was tried, by its number; those that were not are left out."""
    tried: dict[int, int] = {}
    for row in archive.sql(_TRIED, [job_id]).to_pylist():
        number = row.pop("number")
        ordinal = grid.ordinal(SampleKey(**row))
        if ordinal is not None and ordinal not in done:
            tried[ordinal] = number
    return tried
