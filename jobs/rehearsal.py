"""What a rehearsal on a faster clock says of the real run. Pure, but for reading the archive of the rehearsal.

A job's requests are interleaved over its arms, so every arm keeps its share of the rate, whatever that is. Each limit
then caps the rate of the whole job: at its amount a minute over what a request uses of it on average. So does the
concurrency, by Little's law (Little, "A Proof for the Queuing Formula L = lambda W", Operations Research, 1961):
requests in flight = requests a second x seconds a reply takes. The lowest of these ceilings is what holds the job back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from polythink import facts
from polythink.errors import SpecError, SpecIssue
from polythink.jobs.load import LoadedJob
from polythink.jobs.spec_parts import Endpoint
from polythink.jobs.workload import Workload
from polythink.storage.archive import Archive

Dimension = Literal["requests", "input_tokens", "output_tokens"]
Brake = Literal["limit", "concurrency", "size"]

STRETCHED = 1.25  # slowdown from which this machine, not the limits, is said to have set the pace
TOLERATED = 0.2  # slowdown beyond 1 that the advised time scale aims at
SHORTEST_TIMEOUT_S = 10.0  # wall seconds; what this machine adds to a reply must not look like a timeout
MIN_ROUNDS = 2  # times the concurrency; from so many samples on, the rate with all in flight can be read off
NAME_LENGTH = 22  # of the job's name, so that name, suffix and time fit into 48 letters


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmUse:
    """What one arm used in the rehearsal."""

    arm_id: str
    endpoint: str  # name
    model_class: str  # models of a class share their limits
    samples: int  # finished
    requests: int  # let in by the limits
    limited: int  # requests refused with 429
    input_tokens: int  # uncached, as limits count them
    output_tokens: int
    cost_usd: float
    truncated: int  # samples
    refused: int  # samples
    no_answer: int  # samples
    failed: int  # samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When things happened, in simulated seconds after the first request."""

    last_start_s: float  # of the request that made the last sample to begin
    last_finish_s: float
    reply_s: float  # seconds a reply took on average, this machine's share included


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """An amount a minute that some arms share."""

    endpoint: str  # name
    model_class: str
    is_own: bool = False  # set in the job, not by the API
    dimension: Dimension
    per_minute: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """A limit and how much of it the real run would use."""

    limit: Limit
    per_minute: float  # used on average over the run
    share: float  # used, 0..1
    ceiling: float  # requests a minute of the whole job at which it is used up


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The real run as the rehearsal foretells it. Seconds are simulated ones: those of the real run."""

    finish_s: float  # until the last sample
    soonest_s: float  # the same if the lowest ceiling were reached from the first second on
    requests_per_minute: float  # averaged over the run
    in_flight: float  # averaged over the run
    reply_s: float  # seconds a reply takes at the simulator's pace
    limits: tuple[LimitUse, ...]
    brake: Brake  # size: all samples are in flight at once, so the longest reply decides
    binding: LimitUse | None  # the limit, where a limit is the brake
    wanted_concurrency: int | None  # that would use the nearest limit, where concurrency is the brake
    slowdown: float  # how much this machine stretched the rehearsal; 1 for not at all
    advised_time_scale: float | None  # where it was stretched


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
    return endpoint.model_copy(update={"base_url": base_url, "api_key_env": variable, **scaled})


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
        for pool_class in dict.fromkeys(model_class(arm.model) for arm in loaded.arms if arm.endpoint == name)
        for dimension, limit in endpoint.limits_per_minute.items()
    ]


_USES = """
    WITH sent AS (
        SELECT arm_id, count(*) FILTER (http_status IS DISTINCT FROM 429) AS requests,
            count(*) FILTER (http_status = 429) AS limited,
            coalesce(sum(input_tokens + cache_write_tokens), 0)::BIGINT AS input_tokens,
            coalesce(sum(output_tokens), 0)::BIGINT AS output_tokens, coalesce(sum(cost_usd), 0.0) AS cost_usd
        FROM attempts WHERE job_id = $job GROUP BY arm_id
    ), ended AS (
        SELECT arm_id, count(*) AS samples, count(*) FILTER (outcome = 'truncated') AS truncated,
            count(*) FILTER (outcome = 'refused') AS refused, count(*) FILTER (outcome = 'no_answer') AS no_answer,
            count(*) FILTER (outcome = 'failed') AS failed
        FROM traces WHERE job_id = $job GROUP BY arm_id
    )
    SELECT * FROM ended JOIN sent USING (arm_id)
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
    by_arm = {row["arm_id"]: row for row in rows}
    uses = [
        ArmUse(endpoint=arm.endpoint, model_class=model_class(arm.model), **by_arm[arm.arm_id])
        for arm in work.arms
        if arm.arm_id in by_arm
    ]
    timing = Timing(**{name: seconds * time_scale for name, seconds in measured.items()}) if uses else None
    return uses, timing


def model_class(model: str) -> str:
    """The class whose limits a model is under; the model itself where no facts are known."""
    known = facts.find(model)
    return known.model_class if known else model


def forecast(
    uses: Sequence[ArmUse],
    timing: Timing,
    *,
    limits: Sequence[Limit],
    concurrency: int,
    total: int,
    reply_s: float,
    time_scale: float,
) -> Forecast:
    """The run of all `total` samples, from a rehearsal that finished at least one.

    `reply_s` is how many seconds a reply takes on average at the simulator's pace, without what this machine adds.
    """
    finished = sum(use.samples for use in uses)
    ceilings = [_ceiling(uses, limit, finished) for limit in limits]
    by_limits = min(ceilings, default=math.inf)
    by_concurrency = 60 * concurrency / reply_s
    ceiling = min(by_limits, by_concurrency)
    steady = steady_rate(finished, concurrency, timing)
    slowdown = ceiling / steady if steady else timing.reply_s / reply_s
    rest_s = 60 * (total - finished) / min(ceiling, steady or math.inf)
    # The buckets start full, which a short rehearsal has much of and a long run little.
    finish_s = max(timing.last_finish_s + rest_s, 60 * total / by_limits)
    rate = 60 * total / finish_s
    used = tuple(
        LimitUse(limit=limit, per_minute=limit.per_minute * rate / at, share=rate / at, ceiling=at)
        for limit, at in zip(limits, ceilings, strict=True)
    )
    brake = _brake(by_limits, by_concurrency, fits=total <= concurrency and finish_s <= timing.last_finish_s)
    return Forecast(
        finish_s=finish_s,
        soonest_s=60 * total / ceiling,
        requests_per_minute=rate,
        in_flight=rate * reply_s / 60,
        reply_s=reply_s,
        limits=used,
        brake=brake,
        binding=min(used, key=lambda use: use.ceiling) if brake == "limit" else None,
        wanted_concurrency=wanted_concurrency(by_limits, reply_s) if brake == "concurrency" else None,
        slowdown=max(1.0, slowdown),
        advised_time_scale=advised_time_scale(time_scale, slowdown),
    )


def _brake(by_limits: float, by_concurrency: float, *, fits: bool) -> Brake:
    if fits:
        return "size"
    return "limit" if by_limits <= by_concurrency else "concurrency"


def _ceiling(uses: Sequence[ArmUse], limit: Limit, finished: int) -> float:
    """Requests a minute of the whole job at which a limit is used up; infinite if nothing uses it."""
    share = sum(
        getattr(use, limit.dimension)
        for use in uses
        if use.endpoint == limit.endpoint and use.model_class == limit.model_class
    )
    return limit.per_minute * finished / share if share else math.inf


def steady_rate(finished: int, concurrency: int, timing: Timing) -> float | None:
    """Samples begun a minute while all that may be are in flight; None if there are too few to tell.

    The first `concurrency` of them begin at once, the others as room comes free.
    """
    if finished < MIN_ROUNDS * concurrency or timing.last_start_s <= 0:
        return None
    return 60 * (finished - concurrency) / timing.last_start_s


def wanted_concurrency(by_limits: float, reply_s: float) -> int | None:
    """Requests in flight that use the nearest limit; None without limits.

    >>> wanted_concurrency(600, 12.0)
    120
    """
    return None if math.isinf(by_limits) else math.ceil(by_limits * reply_s / 60 - 1e-9)


def advised_time_scale(time_scale: float, slowdown: float) -> float | None:
    """A time scale at which this machine would hardly be felt; None if it is not felt now.

    What the machine adds takes the same wall time at any scale, so in simulated time it grows with the scale.

    >>> advised_time_scale(60, 3.0), advised_time_scale(60, 1.1)
    (6.0, None)
    """
    if slowdown <= STRETCHED:
        return None
    advised = time_scale * TOLERATED / (slowdown - 1)
    step = 10.0 ** math.floor(math.log10(advised))
    return max(1.0, math.floor(advised / step) * step)
