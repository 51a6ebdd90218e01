"""Reading `anthropic-ratelimit-*` headers. Source: the rate-limits page of the API reference."""

from __future__ import annotations

from collections.abc import Mapping

from polythink.workers.leases import Dimension, Reading

_NAMES: dict[Dimension, str] = {
    "requests": "requests",
    "input_tokens": "input-tokens",
    "output_tokens": "output-tokens",
}
ROUNDED_TO: dict[Dimension, float] = {"requests": 1.0, "input_tokens": 1000.0, "output_tokens": 1000.0}


def read_limits(headers: Mapping[str, str]) -> Reading | None:
    """What the headers say; None if they say nothing usable. Names must be lower case.

    >>> prefix = "anthropic-ratelimit-requests-"
    >>> reading = read_limits({prefix + "limit": "50", prefix + "remaining": "48"})
    >>> reading.limits, reading.used
    ({'requests': 50.0}, {'requests': 2.0})
    """
    limits: dict[Dimension, float] = {}
    used: dict[Dimension, float] = {}
    for dimension, name in _NAMES.items():
        prefix = f"anthropic-ratelimit-{name}-"
        limit, remaining = _number(headers.get(prefix + "limit")), _number(headers.get(prefix + "remaining"))
        if limit is not None and limit > 0:
            limits[dimension] = limit
            if remaining is not None:
                used[dimension] = max(0.0, limit - remaining)
    return Reading(limits=limits, used=used) if limits else None


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
