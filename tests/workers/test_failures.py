"""Every way a request can fail, through the real SDK, and what follows from it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polythink.records import SampleKey
from polythink.workers.clients import make_client
from polythink.workers.failures import DEFAULT_RETRY_AFTER_S, classify_exception, classify_reply
from polythink.workers.sampling import OnHeaders, attempt
from polythink.workers.sse import MAX_EVENT_BYTES
from polythink.workers.tasks import Endpoint, Result, Task
from tests.scripted_server import Reply, Request, ScriptedServer, message_events, refusal, sse, streamed

KEY = "sk-test-a-key-nobody-may-read"
WHOLE = streamed(message_events(thinking="let me see"))
SSE = {"content-type": "text/event-stream"}


def error_event(kind: str, code: str | None = None) -> Reply:
    error = {"type": kind, "message": "no"} | ({"details": {"error_code": code}} if code else {})
    events = [*message_events()[:3], {"type": "error", "error": error}]
    return streamed(events)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def task() -> Task:
    body: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 64}
    body["messages"] = [{"role": "user", "content": "2 + 2?"}]
    key = SampleKey(problem_id="p", arm_id="a", sample_index=3)
    return Task(key=key, sample_id="p-a-3_x", number=2, body=body, endpoint="e", queued_at=1.0)


async def ask(base_url: str | None, timeout_s: float = 20.0, on_headers: OnHeaders | None = None) -> Result:
    endpoint = Endpoint(name="e", base_url=base_url, timeout_s=timeout_s)
    client = make_client(endpoint, 1)
    try:
        return await attempt(client, endpoint, task(), on_headers)
    finally:
        await client.close()


def asked(reply: Reply) -> tuple[Result, Request]:
    with ScriptedServer(lambda request: reply) as server:
        return asyncio.run(ask(server.base_url)), server.requests[0]


@pytest.mark.parametrize(
    ("reply", "disposition", "error_type", "status"),
    [
        (refusal(400, "invalid_request_error"), "give_up", "invalid_request_error", 400),
        (refusal(401, "authentication_error"), "stop_job", "authentication_error", 401),
        (refusal(402, "billing_error"), "stop_job", "billing_error", 402),
        (refusal(403, "permission_error"), "stop_job", "permission_error", 403),
        (refusal(404, "not_found_error"), "give_up", "not_found_error", 404),
        (refusal(408, "timeout_error"), "retry", "timeout_error", 408),
        (refusal(409, "conflict_error"), "retry", "conflict_error", 409),
        (refusal(412, "precondition_failed"), "give_up", "precondition_failed", 412),
        (refusal(413, "request_too_large"), "give_up", "request_too_large", 413),
        (refusal(422, "invalid_request_error"), "give_up", "invalid_request_error", 422),
        (refusal(431, "invalid_request_error"), "give_up", "invalid_request_error", 431),
        (refusal(500, "api_error"), "retry", "api_error", 500),
        (refusal(501, "api_error"), "retry", "api_error", 501),
        (refusal(502, "api_error"), "retry", "api_error", 502),
        (refusal(503, "api_error"), "retry", "api_error", 503),
        (refusal(504, "timeout_error"), "retry", "timeout_error", 504),
        (refusal(529, "overloaded_error"), "retry", "overloaded_error", 529),
        (Reply(status=502, body=b"<html>Bad gateway</html>"), "retry", "http_502", 502),
        (Reply(status=413, body=b"<html>Too large</html>"), "give_up", "http_413", 413),
        (refusal(429, "rate_limit_error", code="enforced_spend_limit_reached"), "stop_job", "rate_limit_error", 429),
        (refusal(429, "rate_limit_error", code="contract_spend_limit_reached"), "stop_job", "rate_limit_error", 429),
        (
            refusal(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
            "stop_job",
            "invalid_request_error",
            400,
        ),
        (error_event("overloaded_error"), "retry", "overloaded_error", 529),
        (error_event("api_error"), "retry", "api_error", 500),
        (error_event("invalid_request_error"), "give_up", "invalid_request_error", 400),
        (error_event("authentication_error"), "stop_job", "authentication_error", 401),
        (error_event("rate_limit_error", "enforced_spend_limit_reached"), "stop_job", "rate_limit_error", 429),
        (error_event("something_new"), "retry", "something_new", 500),
        (Reply(headers=SSE, body=b"event: message_start\ndata: {oops\n\n"), "retry", "malformed_stream", 200),
        (Reply(headers=SSE, body=b"event: message_start\ndata: \xff\n\n"), "retry", "malformed_stream", 200),
        (Reply(headers={**SSE, "content-encoding": "gzip"}, body=b"no"), "retry", "malformed_stream", 200),
        (Reply(headers=SSE, body=b"x" * (MAX_EVENT_BYTES + 1)), "retry", "malformed_stream", 200),
        (Reply(headers={"content-type": "application/json"}, body=b'{"a": 1}'), "retry", "cut_stream", 200),
        (Reply(status=200), "retry", "cut_stream", 200),
    ],
)
def test_what_the_server_says_decides_what_follows(
    reply: Reply, disposition: str, error_type: str, status: int
) -> None:
    result, _ = asked(reply)
    assert result.failure is not None
    assert (result.failure.disposition, result.attempt.error_type) == (disposition, error_type)
    assert result.attempt.http_status == status
    assert result.attempt.status == ("failed" if disposition == "give_up" else "retry")
    assert not result.failure.limited and not result.failure.unreachable
    assert result.failure.may_be_billed == (error_type in ("malformed_stream", "cut_stream")), "no error was told"


@pytest.mark.parametrize("code", [None, "ramp_limit_exceeded"])
@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7.0), (None, DEFAULT_RETRY_AFTER_S), ("Wed, 21 Oct 2026 07:28:00 GMT", DEFAULT_RETRY_AFTER_S), ("-3", 0.0)],
)
def test_an_ordinary_429_is_ours_and_says_how_long_to_wait(
    code: str | None, retry_after: str | None, seconds: float
) -> None:
    headers = {"retry-after": retry_after} if retry_after else None
    result, _ = asked(refusal(429, "rate_limit_error", headers=headers, code=code))
    assert result.failure is not None
    assert (result.failure.disposition, result.failure.limited) == ("retry", True)
    assert result.failure.retry_after_s == seconds


@given(st.text() | st.sampled_from(["inf", "nan", "-inf", "1e400"]))
def test_no_retry_after_header_waits_for_ever(header: str) -> None:
    failure = classify_reply(429, None, {"retry-after": header})
    assert failure.retry_after_s is not None and 0 <= failure.retry_after_s < float("inf")


def test_a_whole_message_makes_a_complete_attempt_that_names_its_sample() -> None:
    result, request = asked(replace(WHOLE, headers={**WHOLE.headers, "x-polythink-simulator": "scripted"}))
    assert result.failure is None
    made = result.attempt
    assert (made.status, made.number, made.http_status, made.stop_reason) == ("complete", 2, 200, "end_turn")
    assert (made.request_id, made.message_id, made.simulator) == ("req_1", "msg_1", "scripted")
    assert made.cost_usd == pytest.approx((11 * 1.0 + 7 * 5.0) / 1e6)
    assert made.queued_at <= made.started_at <= (made.first_token_at or 0) <= made.finished_at
    assert request.body["metadata"] == {"user_id": "p-a-3_x"} and request.body["stream"] is True
    assert request.headers["x-stainless-retry-count"] == "0"


@pytest.mark.parametrize("ending", ["whole", "broken", "reset"])
@pytest.mark.parametrize("kept", [0, 60, 700, len(WHOLE.body) - 20])
def test_a_stream_that_ends_early_in_any_way_leaves_its_sample_owed(ending: Any, kept: int) -> None:
    result, _ = asked(WHOLE.first(kept, ending))
    assert result.failure is not None and result.failure.disposition == "retry"
    assert result.attempt.status == "retry" and result.failure.may_be_billed
    assert result.attempt.error_type == ("cut_stream" if ending == "whole" else "connection_error")
    assert not (result.failure.unreachable and result.attempt.http_status), "a reply came"


def test_what_came_of_a_cut_stream_is_kept() -> None:
    result, _ = asked(streamed(message_events(text="half an answer")[:3]))
    assert "half an answer" in result.attempt.content
    assert result.attempt.message_id == "msg_1"


@pytest.mark.parametrize(
    ("reply", "status"),
    [(WHOLE, 200), (WHOLE.first(700, "reset"), 200), (error_event("api_error"), 200), (refusal(529, "x"), 529)],
)
def test_the_head_of_every_reply_is_told_once_as_it_came(reply: Reply, status: int) -> None:
    told: list[tuple[int, str | None]] = []
    reply = replace(reply, headers={**reply.headers, "anthropic-ratelimit-requests-remaining": "17"})
    with ScriptedServer(lambda request: reply) as server:
        asyncio.run(
            ask(
                server.base_url,
                on_headers=lambda code, headers: told.append(
                    (code, headers.get("Anthropic-Ratelimit-Requests-Remaining"))
                ),
            )
        )
    assert told == [(status, "17")]


def test_no_head_is_told_where_no_reply_came() -> None:
    told: list[int] = []
    asyncio.run(ask("http://127.0.0.1:9", on_headers=lambda code, headers: told.append(code)))
    assert told == []


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
def test_a_server_that_is_not_there_is_unreachable(base_url: str) -> None:
    result = asyncio.run(ask(base_url))
    assert result.failure is not None
    assert (result.failure.disposition, result.failure.unreachable) == ("retry", True)
    assert not result.failure.may_be_billed, "it never left"
    assert (result.attempt.error_type, result.attempt.http_status) == ("connection_error", None)


def test_a_request_that_takes_too_long_is_given_up_and_owed() -> None:
    async def mute() -> Result:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            return await ask(f"http://{host}:{port}", timeout_s=0.2)

    result = asyncio.run(mute())
    assert result.attempt.error_type == "timeout_error"
    assert result.attempt.status == "retry"


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_key_that_the_server_quotes_is_not_recorded(status: int) -> None:
    quoting = refusal(status, "authentication_error", f"invalid key {KEY}", headers={"x-echo": KEY})
    result, request = asked(quoting)
    assert KEY in request.headers["authorization"], "the server did get it"
    assert KEY not in repr(result)
    assert "invalid key (key)" in str(result.attempt.error_message)


def test_a_key_quoted_in_a_stream_is_not_recorded() -> None:
    error = {"type": "error", "error": {"type": "api_error", "message": f"bad {KEY}"}}
    result, _ = asked(Reply(headers=SSE, body=sse([error])))
    assert result.failure is not None
    assert KEY not in repr(result)


def test_no_key_at_all_stops_the_job_and_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    result = asyncio.run(ask(None))
    assert result.failure is not None and result.failure.disposition == "stop_job"
    assert "ANTHROPIC_API_KEY" in result.failure.message


def test_what_the_sdk_itself_refuses_stops_the_job() -> None:
    failure = classify_exception(anthropic.AnthropicError("unusable"))
    assert failure is not None and failure.disposition == "stop_job"


def test_a_defect_of_our_own_is_no_failure_of_the_api() -> None:
    assert classify_exception(ZeroDivisionError()) is None
    assert classify_exception(ValueError("ours")) is None


@given(
    st.integers(400, 599),
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda x: (
            st.lists(x) | st.dictionaries(st.sampled_from(["error", "type", "message", "details", "error_code"]), x)
        ),
    ),
)
@example(400, {"error": {"details": {"error_code": []}}})
def test_any_body_of_any_error_is_classified(status: int, body: Any) -> None:
    failure = classify_reply(status, body, {})
    assert failure.http_status == status
    assert failure.message and failure.error_type


def test_transport_errors_of_every_kind_are_classified() -> None:
    request = httpx2.Request("POST", "http://x")
    for kind in (httpx2.ReadError, httpx2.RemoteProtocolError, httpx2.ConnectError, httpx2.WriteError):
        failure = classify_exception(kind("x", request=request))
        assert failure is not None and failure.error_type == "connection_error"
        assert failure.may_be_billed == (kind is not httpx2.ConnectError)
    for late in (httpx2.ReadTimeout, httpx2.ConnectTimeout, httpx2.PoolTimeout):
        failure = classify_exception(late("x", request=request))
        assert failure is not None and failure.error_type == "timeout_error"
        assert failure.may_be_billed == (late is httpx2.ReadTimeout)
