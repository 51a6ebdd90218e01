"""What may change between two runs of a job, and what would mix unlike samples. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from itertools import islice

from polythink.jobs.spec import Job
from polythink.records import Arm, Problem

_SHOWN = 10  # differences named before the rest is counted
_ARM_IDENTITY = ("model", "reasoning", "max_tokens", "system", "template")  # a base URL may move, the arm stays


def unlike(
    kept_job: Job,
    kept_arms: Sequence[Arm],
    kept_problems: Sequence[Problem],
    job: Job,
    arms: Sequence[Arm],
    problems: Sequence[Problem],
) -> list[str]:
    """Every difference that a resume must not paper over; empty if the new job only asks for more."""
    differences = [
        *_job_differences(kept_job, job),
        *_arm_differences(kept_arms, arms),
        *_problem_differences(kept_problems, problems),
    ]
    rest = len(differences) - _SHOWN
    return [*islice(differences, _SHOWN), *([f"... and {rest} more"] if rest > 0 else [])]


def _job_differences(kept: Job, asked: Job) -> list[str]:
    found = [
        f"{name}: was {getattr(kept, name)!r}, is {getattr(asked, name)!r}"
        for name in ("answer", "grade")
        if getattr(kept, name) != getattr(asked, name)
    ]
    if asked.samples < kept.samples:
        found.append(f"samples: was {kept.samples}, is {asked.samples}; it can only grow")
    return found


def _arm_differences(kept: Sequence[Arm], asked: Sequence[Arm]) -> list[str]:
    now = {arm.arm_id: arm for arm in asked}
    found = [f"arm {arm.arm_id}: is gone" for arm in kept if arm.arm_id not in now]
    for arm in kept:
        if other := now.get(arm.arm_id):
            found += [
                f"arm {arm.arm_id}, {name}: was {getattr(arm, name)!r}, is {getattr(other, name)!r}"
                for name in _ARM_IDENTITY
                if getattr(arm, name) != getattr(other, name)
            ]
    return found


def _problem_differences(kept: Sequence[Problem], asked: Sequence[Problem]) -> list[str]:
    now = {problem.problem_id: problem for problem in asked}
    names = [field.name for field in fields(Problem) if field.name != "ordinal"]
    found = [f"problem {problem.problem_id}: is gone" for problem in kept if problem.problem_id not in now]
    for problem in kept:
        if other := now.get(problem.problem_id):
            changed = [name for name in names if _kept_form(problem, name) != _kept_form(other, name)]
            if changed:
                found.append(f"problem {problem.problem_id}: its {' and '.join(changed)} changed")
    return found


def _kept_form(problem: Problem, name: str) -> str:
    """A field as the archive keeps it: a date in a Parquet row comes back as text."""
    return json.dumps(getattr(problem, name), sort_keys=True, default=str)
