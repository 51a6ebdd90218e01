"""Replaying a job's samples under stopping rules, from the archive alone."""

from __future__ import annotations

from collections.abc import Callable

from polythink.jobs.selection import unjudged_note
from polythink.jobs.workload import Workload
from polythink.selectors.poll import load_poll
from polythink.selectors.replay import Replayed, replay
from polythink.storage.archive import Archive

Replays = dict[str, list[Replayed]]  # by arm_id


def replay_job(archive: Archive, work: Workload, tell: Callable[[str], None]) -> Replays:
    """Every rule on every arm whose right and wrong can be told apart, by the job's own equivalence and seed.

    Arms that were stopped early are left out: what their problems would have said next is not there. `tell` hears of
    answers that count as different only because no judge has been asked yet.
    """
    poll = load_poll(archive, work.job_id, work.job.answer.equivalence_rule(), work.job.stopping_rule)
    if poll.classes.unjudged:
        tell(unjudged_note(poll.classes.unjudged, work.job_id))
    stopped = {stop.arm_id for stop in poll.stops}
    return {arm_id: replay(panel, seed=work.job.seed) for arm_id, panel in poll.panels.items() if arm_id not in stopped}
