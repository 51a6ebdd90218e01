"""The job that holds a judge's replies: derived from the one it judges, its problems the judge's prompts. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from polythink.jobs.arms import place_arms
from polythink.jobs.spec import Job
from polythink.jobs.spec_checks import check_arms, check_endpoints
from polythink.jobs.spec_parts import Cap
from polythink.jobs.spec_salvage import Unusable
from polythink.selectors.judge_prompts import SYSTEM, VERDICT_PATTERN
from polythink.selectors.judging import Asking, judging_job_id

ARM_ID = "judge"
_MOST_OF_NAME = 24  # characters of the judged job's name
_SHARED = {"endpoint", "lane", "concurrency", "workers", "retries", "timeout_s", "seed"}
_NOTHING_LEFT_USD = 1e-9  # a cap must be above 0, and no request costs as little
_NOTHING_LEFT_TOKENS = 1


def less(cap: Cap, *, usd: float, output_tokens: int) -> Cap:
    """What is left of a cap.

    >>> less(Cap(usd=2.0, output_tokens=100), usd=0.5, output_tokens=40).output_tokens
    60
    """
    tokens = cap.output_tokens
    left = {
        "usd": max(cap.usd - usd, _NOTHING_LEFT_USD),
        "output_tokens": None if tokens is None else max(tokens - output_tokens, _NOTHING_LEFT_TOKENS),
    }
    return cap.model_copy(update=left)


def judging_job(job: Job, job_id: str, config: Asking, *, votes: int, cap: Cap | None) -> Job:
    """The job that asks this judge of that job, `votes` times each prompt, under a `cap`.

    Raises ValueError if the judge's model, reasoning, max_tokens or endpoint make no arm.
    """
    asked = config.settings
    arm = {"id": ARM_ID, "model": asked["model"], "reasoning": asked["reasoning"], "endpoint": asked["endpoint"]}
    fields: dict[str, Any] = {
        **job.model_dump(mode="json", include=_SHARED),
        "name": f"{job.name[:_MOST_OF_NAME]}.{judging_job_id(job_id, config.name, asked).rpartition('.')[2]}",
        "problems": {"path": "judging"},  # they come from the judge, not from a file
        "prompt": {"system": SYSTEM, "template": "{{ prompt }}"},
        "arms": [arm],
        "samples": votes,
        "max_tokens": asked["max_tokens"],
        "answer": {"extract": {"regex": VERDICT_PATTERN}, "equivalence": "string"},
        "grade": "none",
        "cap": cap and cap.model_dump(mode="json"),
    }
    try:
        return Job.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"] if not str(part).startswith("#")]
        raise ValueError(f"{config.name}.{place[-1]}: found {first['input']!r}; wanted {first['msg']}") from error


def wrong_with_judge(job: Job, config: Asking) -> Iterator[str]:
    """What a judge's model, reasoning or endpoint cannot be, as an arm's could not."""
    try:
        derived = judging_job(job, "", config, votes=1, cap=job.cap)
    except ValueError as error:
        yield str(error)
        return
    arms = place_arms(derived)
    for finding in (*check_arms(arms, Unusable()), *check_endpoints(derived, arms, Unusable())):
        yield f"{config.name}: found {finding.found}; {finding.wanted}"
