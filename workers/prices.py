"""What a usage costs at an endpoint."""

from __future__ import annotations

from polythink import facts
from polythink.records import Lane, Usage
from polythink.workers.tasks import Endpoint


def price(endpoint: Endpoint, model: str, usage: Usage, lane: Lane = "live") -> float | None:
    """USD for a usage: by the endpoint's own prices if it has them, else by the facts table; None if unknown."""
    if endpoint.prices is None:
        return facts.cost_usd(model, usage, lane)
    discount = facts.BATCH_DISCOUNT if lane == "batch" else 1.0
    total_input = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return (total_input * endpoint.prices[0] + usage.output_tokens * endpoint.prices[1]) / 1e6 * discount
