"""Limits as arithmetic: no arrival pattern gets more than its bucket, and whoever obeys retry-after gets through."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polythink.facts import TIERS
from polythink.simulator.api_errors import ApiError
from polythink.simulator.buckets import Bucket, whole_seconds
from polythink.simulator.limit_headers import rate_limit_headers
from polythink.simulator.limits import Gate, LimitRules, Pool, changed_rules

CLASS, MODEL, ORG = "haiku-4-5", "claude-haiku-4-5", "org"
gaps = st.floats(min_value=0, max_value=5, allow_nan=False)
arrivals = st.lists(st.tuples(gaps, st.integers(1, 400)), min_size=1, max_size=80)
bursts = st.sampled_from([1.0, 5.0, 60.0])


def pool(burst: float, requests: float = 120, tokens: float = 6000) -> Pool:
    rules = LimitRules(requests_per_minute=requests, input_tokens_per_minute=tokens, burst_seconds=burst)
    return Pool.full(CLASS, rules, 0.0)


@given(arrivals, bursts)
def test_granted_in_any_window_is_at_most_capacity_and_refill(pattern: list[tuple[float, int]], burst: float) -> None:
    own, now = pool(burst), 0.0
    granted: list[tuple[float, int]] = []
    for gap, tokens in pattern:
        now += gap
        amount = min(tokens, int(own.buckets["input_tokens"].capacity))
        if own.admit(amount, now) is None:
            granted.append((now, amount))
    for name, amounts in (("requests", [1] * len(granted)), ("input_tokens", [amount for _, amount in granted])):
        bucket = own.buckets[name]  # type: ignore[index]
        for first in range(len(granted)):
            total = 0.0
            for last in range(first, len(granted)):
                total += amounts[last]
                window = granted[last][0] - granted[first][0]
                assert total <= bucket.capacity + bucket.rate * window + 1e-6


@given(arrivals, bursts, st.sampled_from([1.0, 10.0]))
def test_obeying_retry_after_always_gets_through(
    pattern: list[tuple[float, int]], burst: float, time_scale: float
) -> None:
    rules = LimitRules(
        requests_per_minute=30, input_tokens_per_minute=3000, output_tokens_per_minute=2000, burst_seconds=burst
    )
    gate, now = Gate(rules, time_scale), 0.0
    for gap, tokens in pattern:
        now += gap
        try:
            admitted = gate.admit(ORG, MODEL, CLASS, tokens, now)
        except ApiError as error:
            assert error.status == 429
            assert error.retry_after is not None
            now += error.retry_after * time_scale
            admitted = gate.admit(ORG, MODEL, CLASS, tokens, now)
        admitted.take("output_tokens", tokens, now)


@given(arrivals)
def test_a_refusal_takes_nothing(pattern: list[tuple[float, int]]) -> None:
    own, now = pool(1.0), 0.0
    for gap, tokens in pattern:
        now += gap
        before = {name: bucket.level_at(now) for name, bucket in own.buckets.items()}
        if own.admit(tokens, now) is not None:
            assert {name: bucket.level_at(now) for name, bucket in own.buckets.items()} == before


@given(st.floats(1, 1e6), st.floats(0.1, 60), st.floats(0, 1e4))
def test_waiting_as_told_is_enough_and_needed(per_minute: float, burst: float, overdraft: float) -> None:
    bucket = Bucket.full(per_minute, burst, 0.0)
    bucket.take(bucket.capacity + overdraft, 0.0)
    wait = bucket.seconds_until(1, 0.0)
    assert bucket.holds(1, wait + 1e-6 * (1 + wait))
    assert not bucket.holds(1, wait * 0.5)


@settings(max_examples=50)
@given(st.floats(0, 1000), st.floats(0, 1000))
def test_header_formula_gives_the_fill(taken: float, later: float) -> None:
    own = pool(60.0)
    own.take("requests", taken, 0.0)
    headers = rate_limit_headers(own, later, 1e9, 1.0)
    missing = own.buckets["requests"].capacity - own.buckets["requests"].level_at(later)
    assert int(headers["anthropic-ratelimit-requests-limit"]) == 120
    assert int(headers["anthropic-ratelimit-requests-remaining"]) == max(0, math.floor(120 - missing))


def test_headers_of_an_idle_class_say_that_all_is_left() -> None:
    rules = LimitRules(tier="start")
    headers = rate_limit_headers(Pool.full("opus-5-5", rules, 0.0), 0.0, 1_791_494_778.0, 1.0)
    assert len(headers) == 12
    assert headers["anthropic-ratelimit-tokens-limit"] == headers["anthropic-ratelimit-tokens-remaining"] == "2400000"
    assert headers["anthropic-ratelimit-requests-reset"] == "2026-10-08T21:26:18Z"


def test_output_is_debited_as_generated_and_its_debt_is_waited_out() -> None:
    gate = Gate(LimitRules(output_tokens_per_minute=6000, burst_seconds=1))
    admitted = gate.admit(ORG, MODEL, CLASS, 10, 0.0)
    admitted.take("output_tokens", 1100, 0.0)
    with pytest.raises(ApiError, match="6,000 output tokens per minute") as refused:
        gate.admit(ORG, MODEL, CLASS, 10, 0.0)
    assert refused.value.retry_after == whole_seconds((1000 + 1) / 100)


def test_classes_and_organizations_do_not_share() -> None:
    gate = Gate(LimitRules(requests_per_minute=1, burst_seconds=60))
    gate.admit(ORG, MODEL, CLASS, 1, 0.0)
    gate.admit(ORG, "claude-opus-4-6", "opus-4", 1, 0.0)
    gate.admit("other", MODEL, CLASS, 1, 0.0)
    with pytest.raises(ApiError, match="1 requests per minute"):
        gate.admit(ORG, MODEL, CLASS, 1, 0.0)


def test_spend_cap_has_its_code_and_no_retry_after() -> None:
    gate = Gate(LimitRules(spend_cap_usd=1.0))
    gate.organization(ORG).spent_usd = 1.0
    with pytest.raises(ApiError) as refused:
        gate.admit(ORG, MODEL, CLASS, 1, 0.0)
    assert refused.value.error_code == "enforced_spend_limit_reached"
    assert refused.value.retry_after is None


def test_ramp_limit_lets_usage_double_each_minute() -> None:
    gate = Gate(LimitRules(ramp_floor=10))

    def admitted_in_minute(start: float) -> int:
        count = 0
        for second in range(60):
            for _ in range(10):
                try:
                    gate.admit(ORG, MODEL, CLASS, 1, start + second)
                    count += 1
                except ApiError as error:
                    assert error.error_code == "ramp_limit_exceeded"
        return count

    assert [admitted_in_minute(60.0 * minute) for minute in range(4)] == [10, 20, 40, 80]


def test_changed_limits_hold_at_once_and_keep_debts() -> None:
    gate = Gate(LimitRules(output_tokens_per_minute=600, burst_seconds=1))
    own = gate.admit(ORG, MODEL, CLASS, 1, 0.0)
    own.take("output_tokens", 110, 0.0)
    gate.change(changed_rules(gate.rules, {"output_tokens_per_minute": 6000}), 0.0)
    assert gate.pool(ORG, CLASS, 0.0).buckets["output_tokens"].level_at(0.0) == pytest.approx(-100)
    assert gate.pool(ORG, CLASS, 0.0).buckets["output_tokens"].rate == 100


@pytest.mark.parametrize("changes", [{"tier": "gold"}, {"speed": 1}, {"requests_per_minute": 0}, {"concurrency": "x"}])
def test_bad_changes_name_the_limit(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        changed_rules(LimitRules(), changes)


@pytest.mark.parametrize("tier", TIERS)
def test_every_tier_makes_pools_for_every_class(tier: str) -> None:
    rules = changed_rules(LimitRules(), {"tier": tier})
    assert set(Pool.full("fable-5", rules, 0.0).buckets) == {"requests", "input_tokens", "output_tokens"}
