"""What a usage costs at an endpoint."""

from __future__ import annotations

from polythink import facts
from polythink.records import Lane, Usage
from polythink.workers.tasks import Endpoint


def price(
    endpoint: Endpoint, model: str, usage: Usage, lane: Lane = "live", *, or_of: str | None = None
) -> float | None:
    """USD for a usage: by the endpoint's own prices if it has them, else by the facts table; None if unknown.

    `or_of` is the model that was asked for, whose price it is where the one that answered goes by an unknown name.
    """
    if endpoint.prices is None:
        usd = facts.cost_usd(model, usage, lane)
        return facts.cost_usd(or_of, usage, lane) if usd is None and or_of is not None else usd
    discount = facts.BATCH_DISCOUNT if lane == "batch" else 1.0
    total_input = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return (total_input * endpoint.prices[0] + usage.output_tokens * endpoint.prices[1]) / 1e6 * discount
