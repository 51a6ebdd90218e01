"""Replaying a job's samples under stopping rules, from the archive alone."""

from __future__ import annotations

from polythink.jobs.workload import Workload
from polythink.selectors.replay import Replayed, replay
from polythink.selectors.samples import load_samples
from polythink.selectors.stage import answer_classes, arm_panels
from polythink.storage.archive import Archive

Replays = dict[str, list[Replayed]]  # by arm_id


def replay_job(archive: Archive, work: Workload) -> Replays:
    """Every rule on every arm whose right and wrong can be told apart, by the job's own equivalence and seed.

    Arms that were stopped early are left out: what their problems would have said next is not there.
    """
    samples = load_samples(archive, work.job_id)
    stopped = {samples.arm_id[arm.start] for arm in samples.arms() if not samples.even[arm].all()}
    classes = answer_classes(samples, work.job.answer.rule().equivalence)
    panels = arm_panels(samples, classes)
    return {arm_id: replay(panel, seed=work.job.seed) for arm_id, panel in panels.items() if arm_id not in stopped}
