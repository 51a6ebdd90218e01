"""Explaining a job's selections, from the archive alone: what was counted, what was not, and why."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from polythink.errors import UnknownProblemError
from polythink.jobs.selection import chosen
from polythink.jobs.workload import Workload
from polythink.selectors.explain import (
    ArmCount,
    BallotLines,
    Explanation,
    explain_classes,
    explain_problem,
    explain_selector,
    explain_truth,
)
from polythink.selectors.poll import load_poll
from polythink.selectors.registry import others_code
from polythink.selectors.stage import check_names, decide, truth_curves
from polythink.storage.archive import Archive


def explain_job(
    archive: Archive, work: Workload, selectors: Sequence[object] | None = None, problem_id: str | None = None
) -> Explanation:
    """What `select` makes of a job by these selectors (None: the job's own), and one problem sample by sample.

    Nothing is sent and nothing is written. Raises ValueError for a selector that is not known or is named twice,
    UnknownProblemError for a problem that the job does not have.
    """
    asked = chosen(work, selectors)
    check_names(asked)
    if problem_id is not None and problem_id not in work.problems_by_id:
        near = get_close_matches(problem_id, work.problems_by_id, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UnknownProblemError(f"job {work.job_id} has no problem {problem_id!r}{hint}")
    poll = load_poll(archive, work.job_id, work.job.answer.equivalence_rule(), work.job.stopping_rule)
    arms: list[ArmCount] = []
    ballots: list[BallotLines] = []
    failed: dict[str, str] = {}
    for config in asked:
        try:
            found = decide(archive, work.job_id, poll, config, work.job.seed)
            with others_code(config):
                counts = explain_selector(poll, found)
                lines = () if problem_id is None else explain_problem(poll, found, problem_id)
        except ValueError as error:  # as `select` takes it: this one selects nothing
            failed[config.row_name] = str(error)
            continue
        arms += counts
        ballots += lines
    judge = work.job.answer.equivalence_judge
    return Explanation(
        job_id=work.job_id,
        samples=len(poll.samples),
        equivalence=work.job.answer.rule().equivalence if judge is None else f"judge {judge.settings['model']}",
        merging=explain_classes(poll),
        arms=tuple(arms),
        curves=explain_truth(truth_curves(poll, work.job.seed)),
        ballots=tuple(ballots),
        failed=failed,
    )
