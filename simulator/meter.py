"""The simulator's own account of what it served and billed, in total and by sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from polythink.facts import BATCH_DISCOUNT, Prices
from polythink.records import Lane, Usage


@dataclass(slots=True)
class Tally:
    """What one sample, or everybody, was served."""

    requests: int = 0
    completed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    cost_usd: float = 0.0


@dataclass(slots=True)
class Meter:
    """Counts requests when they are admitted, input when a reply begins, and output as it is generated."""

    total: Tally = field(default_factory=Tally)
    samples: dict[str, Tally] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)

    def admit(self, sample: str | None) -> tuple[Tally, ...]:
        """Count a request of a sample; the tallies its tokens go to."""
        tallies: tuple[Tally, ...] = (self.total,)
        if sample is not None:
            if sample not in self.samples:
                self.samples[sample] = Tally()
            tallies += (self.samples[sample],)
        for tally in tallies:
            tally.requests += 1
        return tallies

    def error(self, error_type: str) -> None:
        self.errors[error_type] = self.errors.get(error_type, 0) + 1

    def summary(self, *, with_samples: bool) -> dict[str, Any]:
        """The account as JSON. Costs are USD at the prices of the facts table."""
        body: dict[str, Any] = {
            "requests": self.total.requests,
            "completed": self.total.completed,
            "input_tokens": self.total.input_tokens,
            "output_tokens": self.total.output_tokens,
            "thinking_tokens": self.total.thinking_tokens,
            "cost_usd": self.total.cost_usd,
            "errors": dict(self.errors),
        }
        if with_samples:
            body["samples"] = {
                sample: {
                    "requests": tally.requests,
                    "completed": tally.completed,
                    "output_tokens": tally.output_tokens,
                    "cost_usd": tally.cost_usd,
                }
                for sample, tally in self.samples.items()
            }
        return body


class Account:
    """The running bill of one admitted request."""

    def __init__(self, meter: Meter, sample: str | None, prices: Prices, lane: Lane = "live") -> None:
        self._tallies = meter.admit(sample)
        self._prices = prices
        self._usd_per_token = 1e-6 * (BATCH_DISCOUNT if lane == "batch" else 1.0)
        self.cost_usd = 0.0
        self.output_tokens = 0
        self.thinking_tokens = 0

    def input(self, usage: Usage) -> None:
        """Bill the prompt."""
        prices = self._prices
        cost = (
            usage.input_tokens * prices.input
            + usage.cache_read_tokens * prices.read
            + usage.cache_write_5m_tokens * prices.write_5m
            + usage.cache_write_1h_tokens * prices.write_1h
        ) * self._usd_per_token
        self.cost_usd += cost
        for tally in self._tallies:
            tally.input_tokens += usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
            tally.cost_usd += cost

    def output(self, tokens: int, thinking_tokens: int) -> None:
        """Bill tokens as they are generated; so many of them were thinking."""
        cost = tokens * self._prices.output * self._usd_per_token
        self.cost_usd += cost
        self.output_tokens += tokens
        self.thinking_tokens += thinking_tokens
        for tally in self._tallies:
            tally.output_tokens += tokens
            tally.thinking_tokens += thinking_tokens
            tally.cost_usd += cost

    def complete(self) -> None:
        for tally in self._tallies:
            tally.completed += 1
