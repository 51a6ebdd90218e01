"""One attempt: what is sent is the SDK's own request, and what comes back is kept, however the reply ends."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import replace
from typing import Any

import anthropic
import pytest

from polythink.records import SampleKey
from polythink.workers.clients import make_client
from polythink.workers.sampling import HIDDEN, attempt
from polythink.workers.tasks import Endpoint, Result, Task
from tests.scripted_server import Reply, Request, ScriptedServer, message_events, sse, streamed

WHOLE = streamed(message_events(thinking="let me see"))
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
BODY: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 2048,
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "2 + 2? \u00e9"}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")


def task() -> Task:
    key = SampleKey(problem_id="p", arm_id="a", sample_index=3)
    return Task(key=key, sample_id="p-a-3_x", number=1, body=BODY, endpoint="e", queued_at=1.0)


async def ask(base_url: str, timeout_s: float = 20.0) -> Result:
    endpoint = Endpoint(name="e", base_url=base_url, timeout_s=timeout_s)
    client = make_client(endpoint, 1)
    try:
        return await attempt(client, endpoint, task())
    finally:
        await client.close()


def asked(reply: Reply) -> tuple[Result, Request]:
    with ScriptedServer(lambda request: reply) as server:
        return asyncio.run(ask(server.base_url)), server.requests[0]


async def ask_a_server_that_stays_silent_after(sent: bytes, timeout_s: float) -> Result:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"%x\r\n%s\r\n" % (len(sent), sent))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        return await ask(f"http://{host}:{port}", timeout_s)


async def create(base_url: str) -> None:
    client = anthropic.AsyncAnthropic(base_url=base_url, max_retries=0, http_client=anthropic.DefaultAioHttpClient())
    body = {**BODY, "metadata": {"user_id": "p-a-3_x"}}
    async with client, client.messages.with_streaming_response.create(**body, stream=True) as response:
        await response.read()


def test_what_is_sent_is_what_the_sdks_own_create_sends() -> None:
    _, ours = asked(WHOLE)
    with ScriptedServer(lambda request: WHOLE) as server:
        asyncio.run(create(server.base_url))
        theirs = server.requests[0]
    assert ours.body == theirs.body
    free = {"host", "accept-encoding", "x-stainless-timeout", "x-stainless-read-timeout", "x-stainless-raw-response"}
    assert {n: v for n, v in ours.headers.items() if n not in free} == {
        n: v for n, v in theirs.headers.items() if n not in free
    }
    assert ours.headers["accept-encoding"] == "identity"


def test_a_body_that_comes_compressed_all_the_same_is_read() -> None:
    headers = {**WHOLE.headers, "content-encoding": "gzip"}
    result, _ = asked(replace(WHOLE, headers=headers, body=gzip.compress(WHOLE.body)))
    plain, _ = asked(WHOLE)
    assert result.failure is None
    assert result.attempt.content == plain.attempt.content


@pytest.mark.parametrize("ending", ["broken", "reset"])
def test_a_message_that_is_whole_counts_however_its_connection_ended(ending: Any) -> None:
    result, _ = asked(WHOLE.first(len(WHOLE.body), ending))
    assert (result.failure, result.attempt.status) == (None, "complete")


def test_a_message_that_is_whole_counts_though_its_reply_never_ends() -> None:
    result = asyncio.run(ask_a_server_that_stays_silent_after(WHOLE.body, timeout_s=0.3))
    assert (result.failure, result.attempt.status) == (None, "complete")


def test_what_came_before_a_stall_is_kept_and_priced() -> None:
    events = message_events(text="x" * 4000)[:3]
    result = asyncio.run(ask_a_server_that_stays_silent_after(sse(events), timeout_s=0.3))
    made = result.attempt
    assert (made.status, made.error_type, made.http_status) == ("retry", "timeout_error", 200)
    assert made.error_message == "it took longer than 0.3 s"
    assert json.loads(made.content) == [{"type": "text", "text": "x" * 4000}]
    assert (made.usage.input_tokens, made.usage.output_tokens) == (11, 1000)
    assert made.cost_usd == pytest.approx((11 * 1.0 + 1000 * 5.0) / 1e6)


@pytest.mark.parametrize(
    "last",
    [
        None,
        {"type": "error", "error": {"type": "overloaded_error", "message": "no"}},
        {"type": "content_block_delta", "index": 9, "delta": {"type": "text_delta", "text": "x"}},
    ],
)
def test_what_came_before_a_stream_broke_is_kept_and_priced(last: dict[str, Any] | None) -> None:
    result, _ = asked(streamed([*message_events(text="x" * 4000)[:3], *([last] if last else [])]))
    made = result.attempt
    assert made.status == "retry"
    assert json.loads(made.content) == [{"type": "text", "text": "x" * 4000}]
    assert made.cost_usd == pytest.approx((11 * 1.0 + 1000 * 5.0) / 1e6)


def test_a_stream_cut_in_hidden_thinking_says_what_its_cost_leaves_out() -> None:
    start, block = message_events(thinking="out of sight")[:2]
    hidden, _ = asked(streamed([start, block]))
    assert str(hidden.attempt.error_message).endswith(HIDDEN)
    assert hidden.attempt.usage.output_tokens == 1
    shown, _ = asked(streamed(message_events(thinking="in sight")[:3]))
    assert HIDDEN not in str(shown.attempt.error_message)


def test_all_of_a_reply_is_read_so_that_its_connection_serves_again() -> None:
    async def twice(base_url: str) -> int:
        endpoint = Endpoint(name="e", base_url=base_url)
        client = make_client(endpoint, 4)
        for _ in range(3):
            assert (await attempt(client, endpoint, task())).failure is None
        await client.close()
        return connections

    connections = 0

    async def counted() -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
                writer.write(HEAD + b"%x\r\n%s\r\n0\r\n\r\n" % (len(WHOLE.body), WHOLE.body))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        try:
            return await twice(f"http://{host}:{port}")
        finally:
            server.close()

    assert asyncio.run(counted()) == 1
