"""Accuracy over measured thinking, from the archive."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from polythink.selectors.panel import Ints
from polythink.selectors.poll import arm_panel, arm_problems
from polythink.selectors.samples import countable, load_samples
from polythink.selectors.thinking import ByProblem, ThinkingLine, ThinkingPoint, thinking_line, thinking_point
from polythink.storage.archive import Archive


def thinking_job(archive: Archive, job_id: str, *, seed: int = 0) -> tuple[list[ThinkingPoint], list[ThinkingLine]]:
    """A point per arm where accuracy and thinking are both known, and each model's line through its own.

    Both are of the samples that enter its curves: of an arm that was stopped early, the first of every problem.
    """
    samples = load_samples(archive, job_id)
    unvoted: list[str | None] = [None] * len(samples)
    enters = countable(samples)
    problems, families = arm_problems(samples), samples.families()
    points, measured = {}, {}
    for arm in samples.arms():
        arm_id, panel = samples.arm_id[arm.start], arm_panel(samples, unvoted, enters, arm)
        if panel is None:
            continue
        accuracies = panel.correct / panel.samples
        tokens = np.where(enters[arm], samples.thinking_tokens[arm], np.nan)
        point = thinking_point(arm_id, accuracies, tokens, seed, families=panel.family)
        if point is not None:
            points[arm_id] = point
            measured[arm_id] = ByProblem.of(len(families), problems[arm_id], accuracies, samples.problem[arm], tokens)
    return list(points.values()), _lines(archive, job_id, points, measured, families, seed)


def _lines(
    archive: Archive,
    job_id: str,
    points: Mapping[str, ThinkingPoint],
    measured: Mapping[str, ByProblem],
    families: Ints,
    seed: int,
) -> list[ThinkingLine]:
    rows = archive.sql("SELECT model, arm_id FROM arms WHERE job_id = ? ORDER BY ordinal", [job_id]).to_pylist()
    by_model: dict[str, list[str]] = {}
    for row in rows:
        if row["arm_id"] in points:
            by_model.setdefault(row["model"], []).append(row["arm_id"])
    found = (
        thinking_line(model, [points[arm] for arm in arms], [measured[arm] for arm in arms], families, seed)
        for model, arms in by_model.items()
    )
    return [line for line in found if line is not None]
