"""The facts table: prices computed by hand, and what must hold for every model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink import facts
from polythink.records import Usage

tokens = st.integers(min_value=0, max_value=2_000_000)
usages = st.builds(
    Usage,
    input_tokens=tokens,
    cache_read_tokens=tokens,
    cache_write_5m_tokens=tokens,
    cache_write_1h_tokens=tokens,
    output_tokens=tokens,
)
models = st.sampled_from([m.model_id for m in facts.all_models()])


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        ("claude-haiku-4-5", Usage(input_tokens=1000, output_tokens=10_000), 0.051),
        ("claude-sonnet-4-6", Usage(input_tokens=2000, cache_read_tokens=100_000, output_tokens=4000), 0.096),
        ("claude-opus-5", Usage(cache_write_5m_tokens=10_000, cache_write_1h_tokens=10_000), 0.1625),
        ("claude-fable-5-1", Usage(cache_read_tokens=1_000_000), 0.25),
        ("claude-haiku-5-5", Usage(input_tokens=100_000, output_tokens=1000), 0.0105),
        ("claude-haiku-5-5", Usage(input_tokens=100_001, output_tokens=1000), 0.0525005),
        ("claude-haiku-5-5", Usage(input_tokens=1, cache_read_tokens=100_000, output_tokens=1000), 0.0075005),
    ],
)
def test_prices_computed_by_hand(model: str, usage: Usage, usd: float) -> None:
    assert facts.cost_usd(model, usage) == pytest.approx(usd, rel=1e-12)


def test_unknown_model_has_no_price() -> None:
    assert facts.find("claude-0") is None
    assert facts.cost_usd("claude-0", Usage(output_tokens=5)) is None


@given(models, usages)
def test_batch_costs_half(model: str, usage: Usage) -> None:
    live, batch = facts.cost_usd(model, usage), facts.cost_usd(model, usage, "batch")
    assert live is not None
    assert batch == pytest.approx(live / 2)


@given(models, usages, tokens)
def test_more_tokens_never_cost_less(model: str, usage: Usage, extra: int) -> None:
    more = Usage(
        input_tokens=usage.input_tokens + extra,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_5m_tokens=usage.cache_write_5m_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_tokens=usage.output_tokens,
    )
    assert (facts.cost_usd(model, more) or 0) >= (facts.cost_usd(model, usage) or 0)


def test_names_are_unique() -> None:
    names = [name for m in facts.all_models() for name in (m.model_id, *m.aliases)]
    assert len(names) == len(set(names)) >= 19


@pytest.mark.parametrize("model", facts.all_models(), ids=lambda m: m.model_id)
def test_every_model_is_consistent(model: facts.ModelFacts) -> None:
    assert model.thinking_types <= {"enabled", "adaptive", "disabled", "between_tools"}
    assert (model.thinking_default == "always") == model.thinking_types.isdisjoint({"disabled", "between_tools"})
    assert model.thinking_default == "off" or "adaptive" in model.thinking_types
    assert list(model.effort_levels) == [e for e in facts.EFFORT_ORDER if e in model.effort_levels]
    assert (model.effort_default in model.effort_levels) if model.effort_levels else model.effort_default is None
    assert model.max_effort_when_disabled is None or model.max_effort_when_disabled in model.effort_levels
    assert model.max_output_tokens < model.context_tokens
    for prices in (model.prices, *([model.long_prompt.prices] if model.long_prompt else [])):
        assert prices.read < prices.input < prices.write_5m < prices.write_1h < prices.output
        assert prices.write_5m == pytest.approx(1.25 * prices.input)
        assert prices.write_1h == pytest.approx(2 * prices.input)


@pytest.mark.parametrize("model", facts.all_models(), ids=lambda m: m.model_id)
def test_every_class_has_limits_that_grow_with_the_tier(model: facts.ModelFacts) -> None:
    by_tier = [facts.limits(model.model_class, tier) for tier in facts.TIERS]
    for name in ("requests", "input_tokens", "output_tokens"):
        values = [getattr(one, name) for one in by_tier]
        assert values == sorted(set(values))


def test_budgets_are_taken_only_by_the_older_models() -> None:
    assert {m.model_id for m in facts.all_models() if m.takes_budget} == {
        "claude-opus-4-6",
        "claude-sonnet-4-6",
        "claude-opus-4-5",
        "claude-haiku-4-5",
        "claude-sonnet-4-5",
    }


def test_dated_alias_is_the_snapshot_answered_with() -> None:
    haiku = facts.find("claude-haiku-4-5")
    assert haiku is not None
    assert haiku.snapshot == "claude-haiku-4-5-20251001"
    assert facts.find(haiku.snapshot) is haiku
