"""One attempt: send, stream, classify, record."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import anthropic
import httpx2
from anthropic._base_client import AsyncAPIClient

from polythink.records import Attempt, AttemptStatus
from polythink.workers.clients import NO_KEY, Client
from polythink.workers.failures import CUT_STREAM, classify_exception, classify_streamed
from polythink.workers.patience import Patience
from polythink.workers.prices import price
from polythink.workers.replies import Reply
from polythink.workers.sse import Event, EventReader
from polythink.workers.tasks import Endpoint, Failure, Result, Task

SIMULATOR_HEADER = "x-polythink-simulator"
REQUEST_ID_HEADERS = ("request-id", "x-amzn-requestid", "x-request-id")  # the API's; Amazon's; what gateways send
IDLE_TIMEOUT_S = 300.0  # between two bytes; the API pings far more often
LAST_BYTE_S = 5.0  # that a reply may take to end once its message is whole

HIDDEN = "; it was thinking out of sight, and that is not in the estimate of its output"
_REQUEST_OPTIONS: anthropic.RequestOptions = {"headers": {"accept-encoding": "identity"}, "max_retries": 0}

OnHeaders = Callable[[int, Mapping[str, str]], None]  # HTTP status, reply headers (looked up in any case)


async def attempt(
    client: Client,
    endpoint: Endpoint,
    task: Task,
    on_headers: OnHeaders | None = None,
    on_content: Callable[[], None] | None = None,
) -> Result:
    """Make one request and say what came of it. Raises only what is not the network's or the API's doing.

    `on_headers` is called once, as soon as the reply's head is in, of an error reply too; never if no reply comes.
    `on_content` is called once, when its content begins.
    """
    started_at = time.time()
    exchange = _Exchange(on_headers, on_content)
    if client.sdk is None:
        failure = client.failure
    else:
        failure = await _exchange(client.sdk, endpoint, task, exchange)
    if failure is not None:
        failure = _without_key(failure, client.key)
    return Result(attempt=_record(endpoint, task, exchange, failure, started_at), failure=failure)


class _Events(Protocol):
    """What makes events of bytes. Raises MalformedEventError or OversizedEventError."""

    def feed(self, chunk: bytes) -> list[Event]: ...


class _Exchange:
    """What is known of one request while it runs."""

    def __init__(self, on_headers: OnHeaders | None, on_content: Callable[[], None] | None) -> None:
        self.reply = Reply()
        self.headers: Mapping[str, str] = {}
        self.status: int | None = None
        self.first_token_at: float | None = None
        self._on_headers = on_headers
        self._on_content = on_content

    def begin_content(self) -> None:
        """The first of the reply's content is in."""
        self.first_token_at = time.time()
        if self._on_content is not None:
            self._on_content()

    def begin_reply(self, status: int, headers: Mapping[str, str]) -> None:
        """The reply's head is in."""
        self.status, self.headers = status, headers
        if self._on_headers is not None:
            self._on_headers(status, headers)


async def _exchange(client: AsyncAPIClient, endpoint: Endpoint, task: Task, exchange: _Exchange) -> Failure | None:
    try:
        async with Patience(whole_s=endpoint.timeout_s, idle_s=IDLE_TIMEOUT_S) as patience:
            await _stream(client, _body(endpoint, task), exchange, patience)
    except Exception as error:  # becomes a value here, if it is the network's or the API's
        if isinstance(error, anthropic.APIStatusError):
            exchange.begin_reply(error.status_code, error.response.headers)
        failure = classify_exception(error)
        if failure is None:
            raise
        failure = replace(failure, unreachable=failure.unreachable and exchange.status is None)
    else:
        failure = CUT_STREAM if exchange.reply.error is None else classify_streamed(exchange.reply.error)
    if exchange.reply.is_complete:  # and paid for, however the connection ended then
        return None
    return replace(failure, message=failure.message + HIDDEN) if exchange.reply.hides_thinking() else failure


def _body(endpoint: Endpoint, task: Task) -> dict[str, Any]:
    named = endpoint.name_of(task.body["model"])
    return {**task.body, "model": named, "metadata": {"user_id": task.sample_id}, "stream": True}


async def _stream(client: AsyncAPIClient, body: dict[str, Any], exchange: _Exchange, patience: Patience) -> None:
    response = await client.post(
        "/v1/messages",
        body=body,
        cast_to=httpx2.Response,
        options=_REQUEST_OPTIONS,
        stream=True,
    )
    assert isinstance(response, httpx2.Response)
    try:
        exchange.begin_reply(response.status_code, response.headers)
        await _read(response, exchange, patience)
    finally:
        await response.aclose()


async def _read(response: httpx2.Response, exchange: _Exchange, patience: Patience) -> None:
    reply, events = exchange.reply, _reader(response)
    async for chunk in _chunks(response):
        patience.heard()
        for event, data in events.feed(chunk):
            reply.feed(event, data)
        if exchange.first_token_at is None and reply.has_content:
            exchange.begin_content()
        if reply.is_complete:
            patience.leave(LAST_BYTE_S)


def _reader(response: httpx2.Response) -> _Events:
    """Amazon Bedrock answers in frames of its own; every other provider in server-sent events."""
    if not response.headers.get("content-type", "").startswith("application/vnd.amazon.eventstream"):
        return EventReader()
    from polythink.workers.aws_frames import FrameReader  # needs a package that not everyone has

    return FrameReader()


def _chunks(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The body as it comes from the transport; decoded on the way if it was compressed though we asked for plain."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return response.aiter_bytes()
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    return response.stream.__aiter__()


def _without_key(failure: Failure, key: str | None) -> Failure:
    """A server may quote the key it was sent; it goes no further than this."""
    if not key or key == NO_KEY or key not in failure.message:
        return failure
    return replace(failure, message=failure.message.replace(key, "(key)"))


def _record(endpoint: Endpoint, task: Task, exchange: _Exchange, failure: Failure | None, started_at: float) -> Attempt:
    reply = exchange.reply
    usage = reply.usage()
    asked = str(task.body["model"])
    return Attempt(
        key=task.key,
        number=task.number,
        status=_status(failure),
        lane="live",
        endpoint=endpoint.name,
        queued_at=task.queued_at,
        started_at=started_at,
        first_token_at=exchange.first_token_at,
        finished_at=time.time(),
        content=json.dumps(reply.content(), ensure_ascii=False, separators=(",", ":")),
        stop_reason=reply.stop_reason,
        usage=usage,
        cost_usd=price(endpoint, reply.model or asked, usage, or_of=asked),
        model=reply.model,
        request_id=next(filter(None, map(exchange.headers.get, REQUEST_ID_HEADERS)), None),
        message_id=reply.message_id,
        http_status=failure.http_status or exchange.status if failure else exchange.status,
        error_type=failure.error_type if failure else None,
        error_message=failure.message if failure else None,
        simulator=exchange.headers.get(SIMULATOR_HEADER),
    )


def _status(failure: Failure | None) -> AttemptStatus:
    if failure is None:
        return "complete"
    return "failed" if failure.disposition == "give_up" else "retry"
