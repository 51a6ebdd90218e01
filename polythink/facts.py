"""What is known of each model: thinking, effort, prices, limits. The values live in models.toml, nowhere else."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from polythink.records import Lane, Usage

ThinkingDefault = Literal["off", "on", "always"]
Tier = Literal["start", "build", "scale"]
TIERS: tuple[Tier, ...] = ("start", "build", "scale")
EFFORT_ORDER = ("low", "medium", "high", "xhigh", "max")
MIN_BUDGET_TOKENS = 1024
BATCH_DISCOUNT = 0.5
_PER_MILLION = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """USD per million tokens, live lane."""

    input: float  # uncached
    output: float  # thinking included
    write_5m: float
    write_1h: float
    read: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LongPromptPrices:
    """Prices of a whole request whose prompt, cached parts included, is longer than `above_tokens`."""

    above_tokens: int
    prices: Prices


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one model class may use per minute."""

    requests: int
    input_tokens: int  # uncached
    output_tokens: int  # as generated, thinking included


@dataclass(frozen=True, slots=True, kw_only=True)
class TierFacts:
    """What a tier allows beside the limits of its model classes."""

    monthly_spend_usd: float
    batch_requests: int  # HTTP requests per minute to the batch endpoints
    batch_queue: int  # batch requests waiting at one time
    batch_size: int  # requests in one batch
    count_tokens_requests: int  # HTTP requests per minute


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """One model, as its documentation describes it."""

    model_id: str
    aliases: tuple[str, ...] = ()
    display_name: str
    line: str  # haiku, sonnet, opus, fable, mythos
    created_at: str  # date; 1970-01-01 where unknown
    lifecycle: str = "active"  # active, deprecated, retired
    retires_at: str | None = None  # date, once one is set
    model_class: str  # models of one class share one rate limit
    context_tokens: int
    max_output_tokens: int
    thinking_types: frozenset[str]  # of "enabled", "adaptive", "disabled", "between_tools"
    thinking_default: ThinkingDefault  # what an absent `thinking` means
    display_default: str  # "summarized" or "omitted"
    effort_levels: tuple[str, ...] = ()  # lowest first; empty: the model takes no effort
    effort_default: str | None = None
    max_effort_when_disabled: str | None = None  # None: thinking off goes with any effort
    cache_min_tokens: int
    tokenizer_scale: float  # tokens for the same text, relative to the Claude 4.5 tokenizer
    sampling: bool = False  # takes temperature, top_p, top_k under API version 2023-06-01
    prefill: bool = False  # a conversation may end with an assistant message
    forced_tools: bool = True  # takes tool_choice "any" and "tool"
    inference_geo: bool = True  # may be asked to run in one geography
    fast: bool = False  # takes speed "fast"
    leading_text: str = ""  # text that opens a reply in adaptive mode, before the thinking
    prices: Prices
    long_prompt: LongPromptPrices | None = None

    @property
    def snapshot(self) -> str:
        """The id the API answers with: the dated one where there is one."""
        return self.aliases[0] if self.aliases else self.model_id

    @property
    def takes_budget(self) -> bool:
        return "enabled" in self.thinking_types

    def prices_for(self, prompt_tokens: int) -> Prices:
        """The prices of a request whose whole prompt, cached parts included, has this many tokens."""
        if self.long_prompt and prompt_tokens > self.long_prompt.above_tokens:
            return self.long_prompt.prices
        return self.prices


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Which settings a model takes, as the endpoint that serves it says. Of ModelFacts the fields of the same names."""

    thinking_types: frozenset[str]
    effort_levels: tuple[str, ...]
    max_output_tokens: int

    @property
    def takes_budget(self) -> bool:
        return "enabled" in self.thinking_types


def find(model: str) -> ModelFacts | None:
    """The facts of a model by id or alias, or by the id that a cloud provider gives it; None for one not known here.

    >>> find("claude-haiku-4-5-20251001") is find("claude-haiku-4-5")
    True
    >>> find("us.anthropic.claude-haiku-4-5-20251001-v1:0") is find("claude-haiku-4-5")
    True
    >>> find("claude-haiku-4-5@20251001") is find("claude-haiku-4-5")
    True
    """
    return _by_name().get(model) or _by_name().get(_plain_name(model))


# An Amazon id: anthropic.claude-..., with a region or `global.` in front, a version behind, or as an ARN that names it.
_AMAZON = re.compile(
    r"(?:arn:aws[a-z-]*:bedrock:[^/]*/)?(?:[a-z0-9-]+\.)?anthropic\.(claude-[a-z0-9-]+?)(?:-v\d+(?::\w+)*)?"
)
# A Google id: claude-...@date, also with the publisher's path in front.
_GOOGLE = re.compile(r"(?:(?:.*/)?publishers/anthropic/models/)?(claude-[a-z0-9-]+)(?:@(?:\d{8}|default|latest))?")
_DATE = re.compile(r"-\d{8}")


def _plain_name(model: str) -> str:
    """A cloud provider's id without what it adds to the model's name; other ids as they are."""
    added = _AMAZON.fullmatch(model) or _GOOGLE.fullmatch(model)
    return _DATE.sub("", added[1]) if added and added[1] != model else model


def all_models() -> tuple[ModelFacts, ...]:
    """Every known model, newest first."""
    return _tables().models


def limits(model_class: str, tier: Tier) -> Limits:
    """The limits per minute of a model class in a tier.

    Raises KeyError for a class or tier that models.toml does not have.
    """
    return _tables().limits[model_class, tier]


def tier_facts(tier: Tier) -> TierFacts:
    """What a tier allows beside the limits of its model classes. Raises KeyError for an unknown tier."""
    return _tables().tiers[tier]


def cost_usd(model: str, usage: Usage, lane: Lane = "live") -> float | None:
    """The price of a usage in USD; None where the model is not known.

    >>> cost_usd("claude-haiku-4-5", Usage(input_tokens=1_000_000, output_tokens=200_000))
    2.0
    """
    facts = find(model)
    if facts is None:
        return None
    prompt_tokens = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    prices = facts.prices_for(prompt_tokens)
    usd_per_million = (
        usage.input_tokens * prices.input
        + usage.cache_read_tokens * prices.read
        + usage.cache_write_5m_tokens * prices.write_5m
        + usage.cache_write_1h_tokens * prices.write_1h
        + usage.output_tokens * prices.output
    )
    return usd_per_million * _PER_MILLION * (BATCH_DISCOUNT if lane == "batch" else 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    models: tuple[ModelFacts, ...]
    limits: dict[tuple[str, str], Limits]
    tiers: dict[str, TierFacts]


@cache
def _tables() -> _Tables:
    raw = tomllib.loads(resources.files("polythink").joinpath("models.toml").read_text(encoding="utf-8"))
    return _Tables(
        models=tuple(_model(row) for row in raw["models"]),
        limits={
            (model_class, tier): Limits(**group[tier])
            for group in raw["limits"].values()
            for model_class in group["classes"]
            for tier in TIERS
        },
        tiers={tier: TierFacts(**raw["tiers"][tier]) for tier in TIERS},
    )


def _model(row: dict[str, Any]) -> ModelFacts:
    long_prompt = row.pop("long_prompt", None)
    return ModelFacts(
        model_id=row.pop("id"),
        aliases=tuple(row.pop("aliases", ())),
        thinking_types=frozenset(row.pop("thinking_types")),
        effort_levels=tuple(row.pop("effort_levels")),
        prices=Prices(**row.pop("prices")),
        long_prompt=long_prompt
        and LongPromptPrices(above_tokens=long_prompt.pop("above_tokens"), prices=Prices(**long_prompt)),
        **row,
    )


@cache
def _by_name() -> dict[str, ModelFacts]:
    return {name: facts for facts in all_models() for name in (facts.model_id, *facts.aliases)}
