"""Rate limits as the API tells them: response headers, and the rate-limits endpoint."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from polythink import facts
from polythink.simulator.api_errors import ApiError
from polythink.simulator.buckets import Bucket
from polythink.simulator.ids import digest
from polythink.simulator.limits import Dimension, LimitRules, Pool

_NAMES: dict[Dimension, str] = {
    "requests": "requests",
    "input_tokens": "input-tokens",
    "output_tokens": "output-tokens",
}
_LIMIT_TYPES: dict[Dimension, tuple[str, ...]] = {
    "requests": ("requests_per_minute",),
    "input_tokens": ("input_tokens_per_minute", "input_tokens_per_minute_cache_aware"),
    "output_tokens": ("output_tokens_per_minute",),
}
_THOUSAND = 1000


def rate_limit_headers(pool: Pool, now: float, wall: float, time_scale: float) -> dict[str, str]:
    """The twelve headers (fewer where a limit is not in force).

    `remaining` is the limit less what is missing from a full bucket, tokens rounded to thousands; `reset` is when the
    bucket will be full. All are told in wall time: `now` is the simulator's clock, `wall` the wall's, Unix seconds.
    """
    headers: dict[str, str] = {}
    token_limit = token_left = 0.0
    token_wait = 0.0
    for dimension, bucket in pool.buckets.items():
        limit = pool.limits[dimension] * time_scale
        left = max(0.0, limit - _missing(bucket, now))
        wait = bucket.seconds_until_full(now) / time_scale
        if dimension != "requests":
            left = _to_thousands(left, limit)
            token_limit, token_left, token_wait = token_limit + limit, token_left + left, max(token_wait, wait)
        _put(headers, _NAMES[dimension], limit, math.floor(left), wall + wait)
    if token_limit:
        _put(headers, "tokens", token_limit, token_left, wall + token_wait)
    return headers


def _missing(bucket: Bucket, now: float) -> float:
    return bucket.capacity - bucket.level_at(now)


def _to_thousands(tokens: float, limit: float) -> float:
    return min(limit, math.floor(tokens / _THOUSAND + 0.5) * _THOUSAND)


def _put(headers: dict[str, str], name: str, limit: float, left: float, reset: float) -> None:
    prefix = f"anthropic-ratelimit-{name}-"
    headers[prefix + "limit"] = str(round(limit))
    headers[prefix + "remaining"] = str(round(left))
    headers[prefix + "reset"] = rfc3339(math.ceil(reset))


def rfc3339(unix_seconds: float) -> str:
    """A time as `2026-10-08T21:26:18Z`."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rate_limit_entries(
    rules: LimitRules, time_scale: float, *, model: str | None = None, group_type: str | None = None
) -> list[dict[str, Any]]:
    """The entries of GET /v1/organizations/rate_limits. Raises ApiError (404) for an unknown model."""
    wanted = facts.find(model) if model else None
    if model and wanted is None:
        raise ApiError(404, f"model: {model}")
    classes: dict[str, list[str]] = {}
    for one in facts.all_models():
        classes.setdefault(one.model_class, []).extend((one.model_id, *one.aliases))
    entries = [
        _entry({"type": "model_group", "display_name": name}, rules.per_minute(name), models, time_scale)
        for name, models in classes.items()
        if wanted is None or wanted.model_class == name
    ]
    if rules.tier and wanted is None:
        tier = facts.tier_facts(rules.tier)
        entries.append(_surface("batch", tier.batch_requests, time_scale, enqueued_batch_requests=tier.batch_queue))
        entries.append(_surface("token_count", tier.count_tokens_requests, time_scale))
    return [entry for entry in entries if group_type in (None, entry["group"]["type"]) and entry["limits"]]


def _entry(
    group: dict[str, str], limits: dict[Dimension, float], models: list[str], time_scale: float
) -> dict[str, Any]:
    name = group["display_name"]
    values = [
        {"type": kind, "value": round(limit * time_scale)}
        for dimension, limit in limits.items()
        for kind in _LIMIT_TYPES[dimension]
    ]
    return {
        "id": _group_id("rl", name),
        "type": "rate_limit",
        "group": {"id": _group_id("rlg", name), **group},
        "models": models,
        "limits": values,
    }


def _surface(name: str, per_minute: float, time_scale: float, **more: int) -> dict[str, Any]:
    values = [{"type": "requests_per_minute", "value": round(per_minute * time_scale)}]
    values += [{"type": kind, "value": value} for kind, value in more.items()]
    return {
        "id": _group_id("rl", name),
        "type": "rate_limit",
        "group": {"id": _group_id("rlg", name), "type": name},
        "models": None,
        "limits": values,
    }


def _group_id(prefix: str, name: str) -> str:
    return f"{prefix}_01{digest((prefix, name)).hex()[:22]}"
