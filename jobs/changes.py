"""What may change between two runs of a job, and what would mix unlike samples. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import chain, count, islice

from polythink.jobs.prompt import render
from polythink.jobs.spec import Job
from polythink.jobs.spec_parts import PythonGrade
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
    """Every difference that would mix samples that were not made alike; empty if the new job only asks for more."""
    fewer = [f"samples: was {kept_job.samples}, is {job.samples}; it can only grow"]
    return _shown(
        [
            *(fewer if job.samples < kept_job.samples else []),
            *_arm_differences(kept_arms, arms),
            *_problem_differences(kept_problems, problems, kept_arms, is_asked_alike=False),
        ]
    )


def read_otherwise(
    kept_job: Job, kept_arms: Sequence[Arm], kept_problems: Sequence[Problem], job: Job, problems: Sequence[Problem]
) -> list[str]:
    """Every difference by which samples made alike would be read or graded in two ways."""
    rules = [
        f"{name}: was {getattr(kept_job, name)!r}, is {getattr(job, name)!r}"
        for name in ("answer", "grade")
        if getattr(kept_job, name) != getattr(job, name)
    ]
    unread = () if isinstance(job.grade, PythonGrade) else (kept_job.problems.family, job.problems.family)
    return _shown([*rules, *_problem_differences(kept_problems, problems, kept_arms, unread, is_asked_alike=True)])


def new_arms(kept: Sequence[Arm], asked: Sequence[Arm]) -> tuple[Arm, ...]:
    """The kept arms, and after them those of the asked that none of the kept is.

    An asked arm that bears a kept one's id and samples otherwise gets a number: `deep-2`, `deep-3` and so on, so that
    the same two lists, and the result asked for again, always give the same arms.
    """
    merged, asked_ids = {arm.arm_id: arm for arm in kept}, {arm.arm_id for arm in asked}
    for arm in asked:
        numbered = (f"{arm.arm_id}-{number}" for number in count(2))
        free = (name for name in numbered if name not in asked_ids)
        for name in chain([arm.arm_id], free):
            if name not in merged or _samples_alike(merged[name], arm):
                merged[name] = replace(arm, arm_id=name)
                break
    return tuple(replace(arm, ordinal=ordinal) for ordinal, arm in enumerate(merged.values()))


def _shown(differences: list[str]) -> list[str]:
    rest = len(differences) - _SHOWN
    return [*islice(differences, _SHOWN), *([f"... and {rest} more"] if rest > 0 else [])]


def _samples_alike(arm: Arm, other: Arm) -> bool:
    return all(getattr(arm, name) == getattr(other, name) for name in _ARM_IDENTITY)


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


def _problem_differences(
    kept: Sequence[Problem],
    asked: Sequence[Problem],
    arms: Sequence[Arm],
    unread: Sequence[str | None] = (),
    *,
    is_asked_alike: bool,
) -> list[str]:
    """Problems that are gone or put otherwise, or else those put in the same words that are to be graded otherwise.

    The `unread` fields of a row, and the family, say nothing about how a sample is read or graded.
    """
    now = {problem.problem_id: problem for problem in asked}
    names = [field.name for field in fields(Problem) if field.name not in ("ordinal", "family")]
    found = []
    for problem in kept:
        other = now.get(problem.problem_id)
        if other is None:
            found += [] if is_asked_alike else [f"problem {problem.problem_id}: is gone"]
            continue
        changed = [name for name in names if _kept_form(problem, name, unread) != _kept_form(other, name, unread)]
        if changed and is_asked_alike == _is_asked_alike(problem, other, arms):
            found.append(f"problem {problem.problem_id}: its {' and '.join(changed)} changed")
    return found


def _is_asked_alike(problem: Problem, other: Problem, arms: Sequence[Arm]) -> bool:
    return all(render(arm, problem) == render(arm, other) for arm in arms)


def _kept_form(problem: Problem, name: str, unread: Sequence[str | None]) -> str:
    """A field as the archive keeps it: a date in a Parquet row comes back as text."""
    value = getattr(problem, name)
    if isinstance(value, dict):
        value = {key: each for key, each in value.items() if key not in unread}
    return json.dumps(value, sort_keys=True, default=str)
