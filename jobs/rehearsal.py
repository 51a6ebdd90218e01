"""A job as it is rehearsed on a simulator, and what the archive of a rehearsal says of it."""

from __future__ import annotations

import math
from dataclasses import replace

from polythink import facts
from polythink.errors import SpecError, SpecIssue
from polythink.jobs.forecast import ArmUse, Limit, Timing
from polythink.jobs.load import LoadedJob
from polythink.jobs.spec_parts import Endpoint
from polythink.jobs.workload import Workload
from polythink.storage.archive import Archive

SHORTEST_TIMEOUT_S = 10.0  # wall seconds; what this machine adds to a reply must not look like a timeout
NAME_LENGTH = 22  # of the job's name, so that name, suffix and time fit into 48 letters


def rehearsed(loaded: LoadedJob, *, base_url: str, share: float, time_scale: float, stamp: str) -> LoadedJob:
    """The job as it is rehearsed: on a simulator at `base_url`, with `share` of its samples and its times scaled.

    Each endpoint gets a credential of its own, for every endpoint is a rate-limit pool of its own; `credentials` says
    which. Raises SpecError if an arm's model is none that the simulator has.
    """
    unknown = [arm for arm in loaded.arms if facts.find(arm.model) is None]
    if unknown:
        raise SpecError(tuple(_unknown_model(arm.arm_id, arm.model) for arm in unknown))
    variables = {name: variable for variable, name in _variables(loaded).items()}
    endpoints = {
        name: _simulated(endpoint, base_url, variables[name], time_scale)
        for name, endpoint in loaded.job.endpoints.items()
    }
    job = loaded.job.model_copy(
        update={
            "name": f"{loaded.job.name[:NAME_LENGTH]}-rehearsal-{stamp}",
            "samples": max(1, math.ceil(loaded.job.samples * share - 1e-9)),
            "stop": None,  # an invented answer says nothing of how soon a vote is decided
            "timeout_s": max(SHORTEST_TIMEOUT_S, loaded.job.timeout_s / time_scale),
            "endpoint": next(iter(endpoints.values())) if isinstance(loaded.job.endpoint, Endpoint) else endpoints,
        }
    )
    return replace(loaded, job=job)


def credentials(loaded: LoadedJob) -> dict[str, str]:
    """The environment that the rehearsed job needs: a made-up key for each endpoint."""
    return {variable: f"rehearsal-{name}" for variable, name in _variables(loaded).items()}


def _variables(loaded: LoadedJob) -> dict[str, str]:
    return {f"POLYTHINK_REHEARSAL_KEY_{number}": name for number, name in enumerate(loaded.job.endpoints)}


def _simulated(endpoint: Endpoint, base_url: str, variable: str, time_scale: float) -> Endpoint:
    scaled = {
        f"{dimension}_per_minute": max(1, round(limit * time_scale))
        for dimension, limit in endpoint.limits_per_minute.items()
    }
    elsewhere = dict.fromkeys(("region", "project", "resource", "workspace")) | {"provider": "anthropic", "models": {}}
    return endpoint.model_copy(update={**elsewhere, "base_url": base_url, "api_key_env": variable, **scaled})


def _unknown_model(arm_id: str, model: str) -> SpecIssue:
    wanted = "a model whose facts are known: the simulator has no other, so this arm cannot be rehearsed"
    return SpecIssue(path=f"arms ({arm_id})", line=None, file=None, found=f'model "{model}"', wanted=wanted)


def own_limits(loaded: LoadedJob) -> list[Limit]:
    """The limits that the job sets itself."""
    return [
        Limit(
            endpoint=name,
            model_class=pool_class,
            dimension=dimension,
            per_minute=limit * (1 - endpoint.share_left),
            is_own=True,
        )
        for name, endpoint in loaded.job.endpoints.items()
        for pool_class in dict.fromkeys(model_class(arm.model) for arm in loaded.arms if name in arm.endpoints)
        for dimension, limit in endpoint.limits_per_minute.items()
    ]


_USES = """
    WITH sent AS (
        SELECT arm_id, endpoint, count(*) FILTER (http_status IS DISTINCT FROM 429) AS requests,
            count(*) FILTER (http_status = 429) AS limited,
            coalesce(sum(input_tokens + cache_write_tokens), 0)::BIGINT AS input_tokens,
            coalesce(sum(output_tokens), 0)::BIGINT AS output_tokens, coalesce(sum(cost_usd), 0.0) AS cost_usd
        FROM attempts WHERE job_id = $job GROUP BY ALL
    ), ended AS (
        SELECT arm_id, endpoint, count(*) AS samples, count(*) FILTER (outcome = 'truncated') AS truncated,
            count(*) FILTER (outcome = 'refused') AS refused, count(*) FILTER (outcome = 'no_answer') AS no_answer,
            count(*) FILTER (outcome = 'failed') AS failed
        FROM traces WHERE job_id = $job GROUP BY ALL
    )
    SELECT * FROM ended JOIN sent USING (arm_id, endpoint) ORDER BY endpoint
"""
_TIMING = """
    SELECT date_diff('microsecond', min(started_at), max(started_at)) / 1e6 AS last_start_s,
        date_diff('microsecond', min(started_at), max(finished_at)) / 1e6 AS last_finish_s,
        avg(date_diff('microsecond', started_at, finished_at)) / 1e6 AS reply_s
    FROM traces WHERE job_id = $job
"""


def read_rehearsal(archive: Archive, work: Workload, time_scale: float) -> tuple[list[ArmUse], Timing | None]:
    """What each arm that finished a sample used, in the job's order, and the timing; None if no sample was finished."""
    with archive.connect() as connection:
        rows = connection.sql(_USES, params={"job": work.job_id}).to_arrow_table().to_pylist()
        (measured,) = connection.sql(_TIMING, params={"job": work.job_id}).to_arrow_table().to_pylist()
    uses = [
        ArmUse(model_class=model_class(arm.model), **row)
        for arm in work.arms
        for row in rows
        if row["arm_id"] == arm.arm_id
    ]
    timing = Timing(**{name: seconds * time_scale for name, seconds in measured.items()}) if uses else None
    return uses, timing


def model_class(model: str) -> str:
    """The class whose limits a model is under; the model itself where no facts are known."""
    known = facts.find(model)
    return known.model_class if known else model
