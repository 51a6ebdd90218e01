"""How much of a limit is used and how many requests it refuses, on virtual time against the simulator's buckets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from polythink.simulator.limits import LimitRules
from polythink.workers.leases import Dimension
from polythink.workers.pool import Rules
from tests.workers.virtual_api import Load, World, amount, within

WARM_S, END_S = 60.0, 240.0
REQUESTS = LimitRules(requests_per_minute=4000.0)
INPUT = LimitRules(requests_per_minute=20_000.0, input_tokens_per_minute=2e6)
OUTPUT = LimitRules(requests_per_minute=4000.0, output_tokens_per_minute=4e5)
SHORT = Load(output_mean=100, tokens_per_s=200)
LONG_PROMPTS = Load(input_tokens=1000, output_mean=100, tokens_per_s=200)
THINKING = Load(output_mean=800)


def world(
    limits: LimitRules,
    load: Load,
    *,
    burst_s: float,
    workers: int,
    rules: Rules | None = None,
    tells_limits: bool = True,
) -> World:
    held = replace(limits, burst_seconds=burst_s)
    return World(held, load, workers=workers, rules=rules, tells_limits=tells_limits)


def used(world: World, start: float, end: float) -> dict[Dimension, float]:
    """Shares of the limits that were used between two times."""
    counts, limits = world.counts, world.gate.rules.per_minute("class")
    amounts: dict[Dimension, float] = {
        "requests": within(counts.admitted, start, end),
        "input_tokens": amount(counts.input_tokens, start, end),
        "output_tokens": amount(counts.output_tokens, start, end),
    }
    return {name: amounts[name] / (limit / 60 * (end - start)) for name, limit in limits.items()}


@pytest.mark.parametrize("workers", [1, 4, 8])
@pytest.mark.parametrize("burst_s", [1.0, 5.0, 60.0])
@pytest.mark.parametrize(
    ("binding", "limits", "load"),
    [("requests", REQUESTS, SHORT), ("input_tokens", INPUT, LONG_PROMPTS), ("output_tokens", OUTPUT, THINKING)],
    ids=["requests", "input", "output"],
)
def test_99_percent_of_the_binding_limit_is_used_and_one_request_in_a_thousand_refused_at_most(
    binding: Dimension, limits: LimitRules, load: Load, burst_s: float, workers: int
) -> None:
    run = world(limits, load, burst_s=burst_s, workers=workers)
    counts = run.run(END_S)
    assert used(run, WARM_S, END_S)[binding] >= 0.99
    assert within(counts.refused, WARM_S, END_S) <= 0.001 * within(counts.admitted, WARM_S, END_S)


@pytest.mark.parametrize("load", [Load(output_mean=4000, output_sigma=1.0), Load(output_mean=1000, arms=4)])
def test_long_thoughts_and_several_arms_use_the_output_limit_too(load: Load) -> None:
    run = world(OUTPUT, load, burst_s=5.0, workers=4)
    run.run(600.0)
    assert used(run, 200.0, 600.0)["output_tokens"] >= 0.99
    assert not within(run.counts.refused, 200.0, 600.0)


@pytest.mark.parametrize(
    ("limits", "binding", "load"), [(REQUESTS, "requests", SHORT), (OUTPUT, "output_tokens", THINKING)]
)
def test_other_limits_are_found_within_ten_seconds(limits: LimitRules, binding: Dimension, load: Load) -> None:
    run = world(limits, load, burst_s=5.0, workers=4)
    run.run(60.0)
    before = run.gate.rules
    halved = replace(
        before,
        requests_per_minute=(limits.requests_per_minute or 0) / 2,
        output_tokens_per_minute=limits.output_tokens_per_minute and limits.output_tokens_per_minute / 2,
    )
    run.change(halved)
    run.run(120.0)
    assert not run.counts.refused
    assert used(run, 60.0, 120.0)[binding] >= 0.97
    assert used(run, 70.0, 120.0)[binding] <= 1.01
    run.change(before)
    run.run(190.0)
    assert used(run, 130.0, 190.0)[binding] >= 0.99


def test_after_an_outage_the_full_rate_is_back_within_five_seconds_and_nothing_storms() -> None:
    run = world(REQUESTS, SHORT, burst_s=5.0, workers=4)
    run.outage = (60.0, 120.0)
    run.run(140.0)
    probes = within(run.counts.overloaded, 65.0, 120.0)
    assert probes <= 60, "no more than one request a second tries the door"
    assert used(run, 125.0, 140.0)["requests"] >= 0.99
    assert not run.counts.refused


def test_configured_limits_are_kept_where_the_server_tells_none() -> None:
    rules = Rules(limits={"requests": 3000.0})
    run = world(REQUESTS, SHORT, burst_s=5.0, workers=4, rules=rules, tells_limits=False)
    run.run(END_S)
    assert 0.745 <= used(run, WARM_S, END_S)["requests"] <= 0.751


def test_without_any_word_of_limits_they_are_felt_for() -> None:
    run = world(REQUESTS, SHORT, burst_s=5.0, workers=4, tells_limits=False)
    run.run(END_S)
    assert used(run, WARM_S, END_S)["requests"] >= 0.9
    assert within(run.counts.refused, WARM_S, END_S) <= 0.005 * within(run.counts.admitted, WARM_S, END_S)


@pytest.mark.parametrize(
    ("limits", "binding", "load"), [(REQUESTS, "requests", SHORT), (OUTPUT, "output_tokens", THINKING)]
)
def test_what_is_left_to_others_stays_unused(limits: LimitRules, binding: Dimension, load: Load) -> None:
    run = world(limits, load, burst_s=5.0, workers=4, rules=Rules(leave=0.2))
    run.run(END_S)
    assert 0.78 <= used(run, WARM_S, END_S)[binding] <= 0.81
