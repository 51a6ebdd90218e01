"""Fault plans: every kind does what it says to a real client, and decisions do not depend on who comes first."""

import time
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
import yaml
from anthropic._error_classes import ERROR_CLASSES
from hypothesis import given
from hypothesis import strategies as st

from polythink.simulator.faults import FaultPlanError, read_plan
from polythink.simulator.process import SimulatorProcess

ASK = {"model": "claude-haiku-4-5", "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}}

RULES = [
    {"kind": "overloaded", "prompt": "case-529"},
    {"kind": "server_error", "prompt": "case-500"},
    {"kind": "bad_request", "prompt": "case-400"},
    {"kind": "timeout", "prompt": "case-504"},
    {"kind": "unavailable", "prompt": "case-503"},
    {"kind": "bad_gateway", "prompt": "case-502"},
    {"kind": "ramp_limit", "retry_after": 7, "prompt": "case-ramp"},
    {"kind": "spend_limit", "prompt": "case-spend"},
    {"kind": "concurrency_limit", "prompt": "case-concurrency"},
    {"kind": "cut", "prompt": "case-cut", "after": 3},
    {"kind": "reset", "prompt": "case-reset"},
    {"kind": "reset_before", "prompt": "case-before"},
    {"kind": "error_event", "prompt": "case-event"},
    {"kind": "overloaded", "prompt": "case-once", "attempts": 1},
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    plan: Path = tmp_path_factory.mktemp("faults") / "plan.yaml"
    plan.write_text(yaml.safe_dump({"seed": 3, "faults": RULES}))
    with SimulatorProcess.start(["--faults", str(plan)]) as simulator:
        yield anthropic.Anthropic(api_key="k", base_url=simulator.base_url, max_retries=0)


def stream(client: anthropic.Anthropic, prompt: str, user: str = "u") -> anthropic.types.Message:
    messages = [{"role": "user", "content": prompt}]
    with client.messages.stream(**ASK, messages=messages, metadata={"user_id": user}) as reply:  # type: ignore[arg-type]
        return reply.get_final_message()


@pytest.mark.parametrize(
    ("prompt", "error"),
    [
        ("case-529", anthropic.OverloadedError),
        ("case-500", anthropic.InternalServerError),
        ("case-502", anthropic.InternalServerError),
        ("case-503", anthropic.ServiceUnavailableError),
        ("case-504", anthropic.GatewayTimeoutError),
        ("case-400", anthropic.BadRequestError),
        ("case-ramp", anthropic.RampLimitExceededError),
        ("case-spend", anthropic.EnforcedSpendLimitReachedError),
        ("case-concurrency", anthropic.RateLimitError),
    ],
)
def test_refusals_raise_the_class_of_their_kind(
    client: anthropic.Anthropic, prompt: str, error: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        stream(client, prompt)
    assert type(caught.value) is error
    assert caught.value.request_id


def test_every_class_of_the_sdk_error_table_can_be_provoked(tmp_path: Path) -> None:
    rules = [
        {"kind": "status", "status": status, "error_code": code, "prompt": f"[{status} {code}]"}
        for status, code in ERROR_CLASSES
    ]
    with simulated(tmp_path, *rules) as simulator:
        client = anthropic.Anthropic(api_key="k", base_url=simulator.base_url, max_retries=0)
        raised = {}
        for status, code in ERROR_CLASSES:
            with pytest.raises(anthropic.APIStatusError) as caught:
                client.messages.create(**ASK, messages=[{"role": "user", "content": f"[{status} {code}]"}])  # type: ignore[call-overload]
            raised[status, code] = type(caught.value)
    assert raised == ERROR_CLASSES


def test_spend_limit_says_no_retry_after_and_ramp_limit_does(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.RateLimitError) as spend:
        stream(client, "case-spend")
    with pytest.raises(anthropic.RateLimitError) as ramp:
        stream(client, "case-ramp")
    assert "retry-after" not in spend.value.response.headers
    assert ramp.value.response.headers["retry-after"] == "7"


def test_cut_stream_ends_without_a_stop_reason(client: anthropic.Anthropic) -> None:
    assert stream(client, "case-cut").stop_reason is None


@pytest.mark.parametrize("prompt", ["case-reset", "case-before"])
def test_resets_break_the_connection(client: anthropic.Anthropic, prompt: str) -> None:
    with pytest.raises((anthropic.APIConnectionError, httpx2.TransportError)):
        stream(client, prompt)


def test_error_in_mid_stream_comes_after_status_200(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        stream(client, "case-event")
    assert caught.value.status_code == 200
    assert caught.value.type == "overloaded_error"


def test_fault_of_the_first_attempt_spares_the_retry(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.OverloadedError):
        stream(client, "case-once", "first")
    assert stream(client, "case-once", "first").stop_reason is not None


def simulated(tmp_path: Path, *rules: Any) -> SimulatorProcess:
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump({"faults": list(rules)}))
    return SimulatorProcess.start(["--faults", str(plan), "--tier", "start", "--time-scale", "10", "--control"])


def test_lost_batch_reply_leaves_a_batch_that_can_be_found(tmp_path: Path) -> None:
    with simulated(tmp_path, {"kind": "lost_batch_reply"}, {"kind": "batch_not_found", "times": 1}) as simulator:
        client = anthropic.Anthropic(api_key="k", base_url=simulator.base_url, max_retries=0)
        entry = {"custom_id": "a", "params": {**ASK, "messages": [{"role": "user", "content": "Hi"}]}}
        with pytest.raises(anthropic.APIConnectionError):
            client.messages.batches.create(requests=[entry])  # type: ignore[list-item]
        [found] = client.messages.batches.list().data
        with pytest.raises(anthropic.NotFoundError):
            client.messages.batches.retrieve(found.id)
        assert client.messages.batches.retrieve(found.id).request_counts.processing in (0, 1)


def test_missing_headers_slow_start_and_stall_leave_the_reply_whole(tmp_path: Path) -> None:
    rules = (
        {"kind": "missing_headers", "prompt": "case-missing"},
        {"kind": "slow_start", "seconds": 5, "prompt": "case-slow"},
        {"kind": "stall", "seconds": 5, "prompt": "case-stall"},
    )
    with simulated(tmp_path, *rules) as simulator:
        client = anthropic.Anthropic(api_key="k", base_url=simulator.base_url, max_retries=0)
        messages = [{"role": "user", "content": "case-missing"}]
        raw = client.messages.with_raw_response.create(**ASK, messages=messages)  # type: ignore[call-overload]
        assert not [name for name in raw.headers if name.startswith("anthropic-ratelimit")]
        for prompt in ("case-slow", "case-stall"):
            started = time.monotonic()
            assert stream(client, prompt).stop_reason is not None
            assert time.monotonic() - started > 0.5  # 5 seconds, ten times as fast


def test_plan_can_be_replaced_while_it_runs_only_where_that_was_asked_for(tmp_path: Path) -> None:
    def put(base_url: str, plan: object) -> int:
        return httpx2.put(f"{base_url}/_simulator/faults", json=plan).status_code

    with simulated(tmp_path) as simulator:
        client = anthropic.Anthropic(api_key="k", base_url=simulator.base_url, max_retries=0)
        assert stream(client, "Hi").stop_reason
        assert put(simulator.base_url, {"faults": [{"kind": "gremlin"}]}) == 400
        assert put(simulator.base_url, {"faults": [{"kind": "overloaded"}]}) == 200
        with pytest.raises(anthropic.OverloadedError):
            stream(client, "Hi")
    with SimulatorProcess.start() as simulator:
        assert put(simulator.base_url, {"faults": []}) == 403


@given(st.permutations([f"s{n}" for n in range(30)]), st.integers(0, 5))
def test_decisions_do_not_depend_on_the_order_of_arrival(order: list[str], seed: int) -> None:
    def struck(samples: list[str]) -> set[str]:
        plan = read_plan({"seed": seed, "faults": [{"kind": "cut", "probability": 0.5}]})
        return {s for s in samples if plan.strike(sample=s, prompt="", model="m", elapsed=0)}

    assert struck(order) == struck(sorted(order))


def test_an_outage_window_opens_and_closes() -> None:
    plan = read_plan({"faults": [{"kind": "overloaded", "since": 10, "until": 20}]})
    hits = [bool(plan.strike(sample="s", prompt="", model="m", elapsed=t)) for t in (9.9, 10, 19.9, 20)]
    assert hits == [False, True, True, False]


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ([], "mapping"),
        ({"fault": []}, "`fault`"),
        ({"faults": [{"kind": "gremlin"}]}, "faults[0].kind"),
        ({"faults": [{"kind": "cut"}, {"kind": "cut", "chance": 1}]}, "faults[1].chance"),
        ({"faults": [{"kind": "cut", "probability": 2}]}, "faults[0].probability"),
        ({"faults": [{"kind": "status"}]}, "faults[0].status"),
        ({"faults": [{"kind": "stall", "seconds": "long"}]}, "faults[0].seconds"),
    ],
)
def test_bad_plans_name_the_field(raw: object, named: str) -> None:
    with pytest.raises(FaultPlanError, match=r".") as caught:
        read_plan(raw)
    assert named in str(caught.value)
