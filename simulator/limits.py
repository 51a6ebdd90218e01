"""Rate limits of an organization: buckets per model class, spend, ramp and concurrency. Time is a parameter."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from polythink import facts
from polythink.facts import Limits, Tier
from polythink.simulator.api_errors import ApiError
from polythink.simulator.buckets import Bucket, whole_seconds

Dimension = Literal["requests", "input_tokens", "output_tokens"]
DIMENSIONS: tuple[Dimension, ...] = ("requests", "input_tokens", "output_tokens")
RAMP_WINDOW = 60.0  # seconds over which the ramp limit counts requests
RAMP_FACTOR = 2.0  # requests of a window, relative to the one before
_DETAILS = (
    "For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the response headers for current "
    "usage. Please reduce the prompt length or the maximum tokens requested, or try again later. You may also contact "
    "sales at https://claude.com/contact-sales to discuss your options for a rate limit increase."
)
_CONCURRENCY = (
    "Number of concurrent connections has exceeded your rate limit. Please try again later or contact sales at "
    "https://claude.com/contact-sales to discuss your options for a rate limit increase."
)
_SPEND = (
    "You have reached your organization's monthly spend limit. Access returns on the first of next month, 00:00 UTC."
)
_RAMP = "Your usage is growing faster than your organization's ramp limit allows. Please try again later."


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRules:
    """What an organization may use. None: no such limit."""

    tier: Tier | None = None
    requests_per_minute: float | None = None  # overrides the tier's, for every class
    input_tokens_per_minute: float | None = None
    output_tokens_per_minute: float | None = None
    burst_seconds: float = 5.0  # seconds of its limit that a full bucket holds
    spend_cap_usd: float | None = None
    ramp_floor: float | None = None  # requests a minute that are always allowed to grow
    concurrency: int | None = None  # requests in flight at one time

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "input_tokens_per_minute", "output_tokens_per_minute", "burst_seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}; it must be above 0")

    def per_minute(self, model_class: str) -> dict[Dimension, float]:
        """The limits of a class that are in force."""
        tier: Limits | None = facts.limits(model_class, self.tier) if self.tier else None
        own = {
            "requests": self.requests_per_minute,
            "input_tokens": self.input_tokens_per_minute,
            "output_tokens": self.output_tokens_per_minute,
        }
        found: dict[Dimension, float] = {}
        for dimension in DIMENSIONS:
            value = own[dimension]
            if value is None and tier is not None:
                value = float(getattr(tier, dimension))
            if value is not None:
                found[dimension] = value
        return found

    @property
    def spend_cap(self) -> float:
        """USD an organization may spend; infinite without a cap."""
        if self.spend_cap_usd is not None:
            return self.spend_cap_usd
        return facts.tier_facts(self.tier).monthly_spend_usd if self.tier else math.inf


@dataclass(slots=True)
class Pool:
    """The buckets that all models of one class share within an organization."""

    model_class: str
    limits: dict[Dimension, float]  # per minute
    buckets: dict[Dimension, Bucket]
    window_started: float = -math.inf
    window_requests: int = 0
    earlier_requests: int = 0

    @classmethod
    def full(cls, model_class: str, rules: LimitRules, now: float) -> Pool:
        limits = rules.per_minute(model_class)
        return cls(
            model_class=model_class,
            limits=limits,
            buckets={name: Bucket.full(limit, rules.burst_seconds, now) for name, limit in limits.items()},
        )

    def resize(self, rules: LimitRules, now: float) -> None:
        """Go over to other rules, keeping how full the buckets are."""
        self.limits = rules.per_minute(self.model_class)
        self.buckets = {
            name: self.buckets[name].resized(limit, rules.burst_seconds, now)
            if name in self.buckets
            else Bucket.full(limit, rules.burst_seconds, now)
            for name, limit in self.limits.items()
        }

    def admit(self, input_tokens: int, now: float) -> tuple[Dimension, float] | None:
        """Take a request and its input; or, taking nothing, say which limit forbids it and for how many seconds."""
        wanted: dict[Dimension, float] = {"requests": 1, "input_tokens": input_tokens, "output_tokens": 1}
        waits = [
            (bucket.seconds_until(wanted[name], now), name)
            for name, bucket in self.buckets.items()
            if not bucket.holds(wanted[name], now)
        ]
        if waits:
            seconds, name = max(waits)
            return name, seconds
        for name in ("requests", "input_tokens"):
            if name in self.buckets:
                self.buckets[name].take(wanted[name], now)
        return None

    def take(self, dimension: Dimension, amount: float, now: float) -> None:
        if bucket := self.buckets.get(dimension):
            bucket.take(amount, now)

    def ramp_wait(self, floor: float, now: float) -> float:
        """Seconds until the ramp limit allows another request; 0 if it does now."""
        self._turn_window(now)
        allowed = max(floor, RAMP_FACTOR * self.earlier_requests)
        return 0.0 if self.window_requests < allowed else self.window_started + RAMP_WINDOW - now

    def count(self, now: float) -> None:
        self._turn_window(now)
        self.window_requests += 1

    def _turn_window(self, now: float) -> None:
        passed = (now - self.window_started) / RAMP_WINDOW
        if passed >= 1:
            self.earlier_requests = self.window_requests if passed < 2 else 0
            self.window_requests = 0
            self.window_started = now


@dataclass(slots=True)
class Organization:
    """What one organization has used."""

    pools: dict[str, Pool] = field(default_factory=dict)
    surfaces: dict[str, Bucket] = field(default_factory=dict)  # count_tokens and batches: requests only
    spent_usd: float = 0.0
    in_flight: int = 0


@dataclass(slots=True)
class Gate:
    """Admits requests under the rules. Refusals take nothing, so obeying retry-after always succeeds in the end."""

    rules: LimitRules
    time_scale: float = 1.0  # waits are told in seconds of the wall's clock
    organizations: dict[str, Organization] = field(default_factory=dict)

    def organization(self, name: str) -> Organization:
        found = self.organizations.get(name)
        if found is None:
            found = self.organizations[name] = Organization()
        return found

    def pool(self, organization: str, model_class: str, now: float) -> Pool:
        pools = self.organization(organization).pools
        if model_class not in pools:
            pools[model_class] = Pool.full(model_class, self.rules, now)
        return pools[model_class]

    def change(self, rules: LimitRules, now: float) -> None:
        """Put other rules in force at once."""
        self.rules = rules
        for organization in self.organizations.values():
            organization.surfaces.clear()
            for pool in organization.pools.values():
                pool.resize(rules, now)

    def admit(self, organization: str, model: str, model_class: str, input_tokens: int, now: float) -> Pool:
        """The pool that the request was taken from. Raises ApiError (429)."""
        owner = self.organization(organization)
        pool = self.pool(organization, model_class, now)
        rules = self.rules
        if owner.spent_usd >= rules.spend_cap:
            raise ApiError(429, _SPEND, error_code="enforced_spend_limit_reached")
        if rules.concurrency is not None and owner.in_flight >= rules.concurrency:
            raise ApiError(429, _CONCURRENCY, retry_after=1)
        if rules.ramp_floor is not None and (wait := pool.ramp_wait(rules.ramp_floor, now)) > 0:
            raise ApiError(429, _RAMP, error_code="ramp_limit_exceeded", retry_after=self._told(wait))
        if refusal := pool.admit(input_tokens, now):
            dimension, wait = refusal
            unit = dimension.replace("_", " ")
            limit = f"{round(pool.limits[dimension] * self.time_scale):,} {unit} per minute"
            message = (
                f"This request would exceed your organization's rate limit of {limit} "
                f"(org: {organization}, model: {model}). {_DETAILS}"
            )
            raise ApiError(429, message, retry_after=self._told(wait))
        pool.count(now)
        owner.in_flight += 1
        return pool

    def admit_surface(self, organization: str, surface: str, per_minute: float, now: float) -> None:
        """Admit a request to an endpoint that has a limit of its own. Raises ApiError (429)."""
        surfaces = self.organization(organization).surfaces
        bucket = surfaces.setdefault(surface, Bucket.full(per_minute, self.rules.burst_seconds, now))
        if not bucket.holds(1, now):
            message = (
                f"This request would exceed your organization's rate limit of {per_minute:,.0f} requests per minute."
            )
            raise ApiError(429, message, retry_after=self._told(bucket.seconds_until(1, now)))
        bucket.take(1, now)

    def _told(self, seconds: float) -> int:
        return whole_seconds(seconds / self.time_scale)


def changed_rules(rules: LimitRules, changes: dict[str, object]) -> LimitRules:
    """The rules with some of them changed. Raises ValueError naming a field that does not exist or cannot be so."""
    known = LimitRules.__dataclass_fields__
    for name, value in changes.items():
        if name not in known:
            raise ValueError(f"{name}: unknown limit; the limits are {', '.join(known)}")
        if name == "tier":
            if value is not None and value not in facts.TIERS:
                raise ValueError(f"tier: found {value!r}; it must be one of {', '.join(facts.TIERS)}")
        elif value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
            raise ValueError(f"{name}: found {value!r}; it must be a number above 0, or null for no limit")
    return replace(rules, **changes)  # type: ignore[arg-type]  # checked above
