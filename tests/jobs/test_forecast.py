"""What a rehearsal foretells, as arithmetic."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.jobs.forecast import (
    STRETCHED,
    ArmUse,
    Forecast,
    Limit,
    Timing,
    advised_time_scale,
    forecast,
    steady_rate,
)

CLASS = "haiku-4-5"
amounts = st.floats(min_value=1, max_value=1e7)
seconds = st.floats(min_value=0.5, max_value=1_000)


def use(samples: int, output_tokens: int, model_class: str = CLASS) -> ArmUse:
    return ArmUse(
        arm_id=f"arm-{model_class}",
        endpoint="default",
        model_class=model_class,
        samples=samples,
        requests=samples,
        limited=0,
        input_tokens=30 * samples,
        output_tokens=output_tokens * samples,
        cost_usd=0.01 * samples,
        truncated=0,
        refused=0,
        no_answer=0,
        failed=0,
    )


def limit(per_minute: float, model_class: str = CLASS) -> Limit:
    return Limit(endpoint="default", model_class=model_class, dimension="output_tokens", per_minute=per_minute)


def ideal(samples: int, concurrency: int, reply_s: float, per_minute: float) -> Timing:
    """A run that the lower of the two ceilings alone held back."""
    rate = min(60 * concurrency / reply_s, per_minute)
    last = 60 * max(0, samples - concurrency) / rate
    return Timing(last_start_s=last, last_finish_s=last + reply_s, reply_s=reply_s)


def foretold(
    uses: list[ArmUse], timing: Timing, limits: list[Limit], *, concurrency: int | None, total: int, reply_s: float
) -> Forecast:
    return forecast(uses, timing, limits=limits, concurrency=concurrency, total=total, reply_s=reply_s, time_scale=60.0)


@given(st.integers(1, 400), st.integers(1, 50), st.integers(1, 100), st.integers(1, 5_000), amounts, seconds)
def test_no_limit_is_used_beyond_itself_and_the_soonest_end_is_no_later_than_the_foretold(
    samples: int, more: int, concurrency: int, tokens: int, per_minute: float, reply_s: float
) -> None:
    timing = ideal(samples, concurrency, reply_s, per_minute / tokens)
    found = foretold(
        [use(samples, tokens)],
        timing,
        [limit(per_minute)],
        concurrency=concurrency,
        total=samples * more,
        reply_s=reply_s,
    )
    assert found.limits[0].share <= 1 + 1e-9
    assert found.limits[0].per_minute == pytest.approx(found.requests_per_minute * tokens)
    assert found.finish_s >= timing.last_finish_s
    if samples >= 2 * concurrency:
        assert found.in_flight <= concurrency * (1 + 1e-9)
        assert found.soonest_s <= found.finish_s * (1 + 1e-9)


@given(st.integers(1, 100), st.integers(1, 5_000), amounts, seconds)
def test_the_lower_ceiling_is_the_brake_and_an_undisturbed_run_is_not_called_stretched(
    concurrency: int, tokens: int, per_minute: float, reply_s: float
) -> None:
    samples, by_limit, by_concurrency = 4 * concurrency, per_minute / tokens, 60 * concurrency / reply_s
    found = foretold(
        [use(samples, tokens)],
        ideal(samples, concurrency, reply_s, by_limit),
        [limit(per_minute)],
        concurrency=concurrency,
        total=samples,
        reply_s=reply_s,
    )
    assert found.advised_time_scale is None
    if by_limit <= by_concurrency:
        assert found.brake == "limit" and found.binding is not None and found.binding.limit == limit(per_minute)
    else:
        assert found.brake == "concurrency" and found.wanted_concurrency is not None
        assert concurrency <= found.wanted_concurrency
        assert 60 * found.wanted_concurrency / reply_s >= by_limit * (1 - 1e-6)


@given(st.floats(min_value=1.3, max_value=50))
def test_a_machine_too_slow_is_told_of(factor: float) -> None:
    timing = ideal(400, 10, 20.0, math.inf)
    slow = Timing(last_start_s=factor * timing.last_start_s, last_finish_s=factor * timing.last_finish_s, reply_s=20)
    found = foretold([use(400, 1_000)], slow, [], concurrency=10, total=400, reply_s=20.0)
    assert found.slowdown == pytest.approx(factor)
    assert found.advised_time_scale is not None and 1 <= found.advised_time_scale < 60
    assert found.soonest_s < found.finish_s


def test_limits_of_a_class_count_only_its_own_arms() -> None:
    uses = [use(50, 1_000), use(50, 100, "opus-4-6")]
    limits = [limit(60_000), limit(60_000, "opus-4-6")]
    timing = Timing(last_start_s=100, last_finish_s=110, reply_s=10)
    found = foretold(uses, timing, limits, concurrency=1_000, total=100, reply_s=10.0)
    assert [used.ceiling for used in found.limits] == pytest.approx([120, 1_200])


def test_what_fits_in_flight_at_once_is_held_back_by_nothing() -> None:
    timing = Timing(last_start_s=0.1, last_finish_s=30, reply_s=10)
    found = foretold([use(8, 100)], timing, [limit(1e6)], concurrency=8, total=8, reply_s=10.0)
    assert (found.brake, found.finish_s, found.binding, found.wanted_concurrency) == ("size", 30, None, None)


@given(st.integers(1, 5_000), amounts, seconds)
def test_without_a_ceiling_on_concurrency_a_limit_is_the_brake(tokens: int, per_minute: float, reply_s: float) -> None:
    in_flight = max(1, math.ceil(per_minute / tokens * reply_s / 60))
    timing = ideal(4 * in_flight, in_flight, reply_s, per_minute / tokens)
    uses, total = [use(4 * in_flight, tokens)], 40 * in_flight
    found = foretold(uses, timing, [limit(per_minute)], concurrency=None, total=total, reply_s=reply_s)
    assert found.brake == "limit" and found.binding is not None and found.advised_time_scale is None


def test_without_limits_or_ceiling_the_measured_rate_goes_on() -> None:
    timing = Timing(last_start_s=90, last_finish_s=100, reply_s=10)
    found = foretold([use(50, 1_000)], timing, [], concurrency=None, total=500, reply_s=10.0)
    assert (found.brake, found.binding) == ("limit", None)
    assert found.finish_s == pytest.approx(1_000) and found.soonest_s == pytest.approx(1_000)


@given(st.integers(1, 100), st.integers(1, 100), seconds)
def test_the_steady_rate_needs_enough_samples(samples: int, concurrency: int, last: float) -> None:
    rate = steady_rate(samples, concurrency, Timing(last_start_s=last, last_finish_s=last + 1, reply_s=1))
    assert (rate is None) == (samples < 2 * concurrency)


@given(st.floats(min_value=1, max_value=3_600), st.floats(min_value=1, max_value=100))
def test_advice_is_lower_and_at_least_real_time(time_scale: float, slowdown: float) -> None:
    advised = advised_time_scale(time_scale, slowdown)
    assert (advised is None) == (slowdown <= STRETCHED)
    assert advised is None or 1 <= advised <= max(1.0, time_scale)
