"""What a rehearsal on a faster clock foretells of the real run. Pure.

A job's requests are interleaved over its arms, so every arm keeps its share of the rate, whatever that is. Each limit
then caps the rate of the whole job: at its amount a minute over what a request uses of it on average. So does the
concurrency, by Little's law (Little, "A Proof for the Queuing Formula L = lambda W", Operations Research, 1961):
requests in flight = requests a second x seconds a reply takes. The lowest of these ceilings is what holds the job back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

Dimension = Literal["requests", "input_tokens", "output_tokens"]
Brake = Literal["limit", "concurrency", "size"]

STRETCHED = 1.25  # slowdown from which this machine, not the limits, is said to have set the pace
TOLERATED = 0.2  # slowdown beyond 1 that the advised time scale aims at
MIN_ROUNDS = 2  # times the concurrency; from so many samples on, the rate with all in flight can be read off


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmUse:
    """What one arm used at one endpoint in the rehearsal."""

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


_COUNTS = tuple(field.name for field in fields(ArmUse) if field.name not in ("arm_id", "endpoint", "model_class"))


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
    binding: LimitUse | None  # the limit, where a limit is the brake and there is any
    wanted_concurrency: int | None  # that would use the nearest limit, where concurrency is the brake
    slowdown: float  # how much this machine stretched the rehearsal; 1 for not at all
    advised_time_scale: float | None  # where it was stretched


def forecast(
    uses: Sequence[ArmUse],
    timing: Timing,
    *,
    limits: Sequence[Limit],
    concurrency: int | None,
    total: int,
    reply_s: float,
    time_scale: float,
) -> Forecast:
    """The run of all `total` samples, from a rehearsal that finished at least one.

    Without a `concurrency` as many requests are in flight as the limits take.

    `reply_s` is how many seconds a reply takes on average at the simulator's pace, without what this machine adds.
    """
    finished = sum(use.samples for use in uses)
    ceilings = [_ceiling(uses, limit, finished) for limit in limits]
    by_limits = min(ceilings, default=math.inf)
    by_concurrency = 60 * concurrency / reply_s if concurrency else math.inf
    in_flight = concurrency or wanted_concurrency(by_limits, reply_s) or total
    steady = steady_rate(finished, in_flight, timing)
    ceiling = min(by_limits, by_concurrency)
    if math.isinf(ceiling):
        ceiling = steady or 60 * finished / timing.last_finish_s
    slowdown = ceiling / steady if steady else timing.reply_s / reply_s
    rest_s = 60 * (total - finished) / min(ceiling, steady or math.inf)
    # The buckets start full, which a short rehearsal has much of and a long run little.
    finish_s = max(timing.last_finish_s + rest_s, 60 * total / by_limits)
    rate = 60 * total / finish_s
    used = tuple(
        LimitUse(limit=limit, per_minute=limit.per_minute * rate / at, share=rate / at, ceiling=at)
        for limit, at in zip(limits, ceilings, strict=True)
    )
    brake = _brake(by_limits, by_concurrency, fits=total <= in_flight and finish_s <= timing.last_finish_s)
    return Forecast(
        finish_s=finish_s,
        soonest_s=60 * total / ceiling,
        requests_per_minute=rate,
        in_flight=rate * reply_s / 60,
        reply_s=reply_s,
        limits=used,
        brake=brake,
        binding=min(used, key=lambda use: use.ceiling, default=None) if brake == "limit" else None,
        wanted_concurrency=wanted_concurrency(by_limits, reply_s) if brake == "concurrency" else None,
        slowdown=max(1.0, slowdown),
        advised_time_scale=advised_time_scale(time_scale, slowdown),
    )


def by_arm(uses: Sequence[ArmUse]) -> dict[str, ArmUse]:
    """What each arm used at all of its endpoints together; of these the first is named."""
    whole: dict[str, ArmUse] = {}
    for use in uses:
        earlier = whole.get(use.arm_id)
        counts = {name: getattr(use, name) + getattr(earlier, name) for name in _COUNTS} if earlier else {}
        whole[use.arm_id] = replace(earlier or use, **counts)
    return whole


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
