"""One attempt: send, stream, classify, record."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import anthropic
import httpx2

from polythink.records import Attempt, AttemptStatus
from polythink.workers.failures import CUT_STREAM, classify_exception, classify_streamed
from polythink.workers.prices import price
from polythink.workers.replies import Reply
from polythink.workers.tasks import Endpoint, Failure, Result, Task

SIMULATOR_HEADER = "x-polythink-simulator"
IDLE_TIMEOUT_S = 300.0  # between two bytes; the API pings far more often
CONNECT_TIMEOUT_S = 30.0
SDK_KEY_ENV = "ANTHROPIC_API_KEY"
NO_KEY = "none"  # what is sent to a server that needs no key

OnHeaders = Callable[[int, Mapping[str, str]], None]  # HTTP status, reply headers (looked up in any case)


def make_client(endpoint: Endpoint, connections: int) -> anthropic.AsyncAnthropic:
    """A client for `connections` streams at once. Retries are ours, so the SDK makes none.

    A server of the user's own may need no key; the SDK then still wants a word to send. Where the job names a variable
    of its own, no other credential is taken in its place.
    """
    base_url = endpoint.base_url or os.environ.get("ANTHROPIC_BASE_URL")
    absent = None if endpoint.api_key_env == SDK_KEY_ENV else ""  # None: the SDK looks for what else it knows
    key = os.environ.get(endpoint.api_key_env) or (NO_KEY if base_url else absent)
    return anthropic.AsyncAnthropic(
        api_key=key,
        base_url=base_url,
        max_retries=0,
        timeout=httpx2.Timeout(IDLE_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, pool=None),
        http_client=anthropic.DefaultAioHttpClient(
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        ),
    )


async def attempt(
    client: anthropic.AsyncAnthropic, endpoint: Endpoint, task: Task, on_headers: OnHeaders | None = None
) -> Result:
    """Make one request and say what came of it. Raises only what is not the network's or the API's doing.

    `on_headers` is called once, as soon as the reply's head is in, of an error reply too; never if no reply comes.
    """
    started_at = time.time()
    exchange = _Exchange(on_headers)
    failure = await _exchange(client, endpoint, task, exchange)
    if failure is not None:
        failure = _without_key(failure, client.api_key)
    return Result(attempt=_record(endpoint, task, exchange, failure, started_at), failure=failure)


class _Exchange:
    """What is known of one request while it runs."""

    def __init__(self, on_headers: OnHeaders | None) -> None:
        self.reply = Reply()
        self.headers: Mapping[str, str] = {}
        self.status: int | None = None
        self.first_token_at: float | None = None
        self._on_headers = on_headers

    def begin_reply(self, status: int, headers: Mapping[str, str]) -> None:
        """The reply's head is in."""
        self.status, self.headers = status, headers
        if self._on_headers is not None:
            self._on_headers(status, headers)


async def _exchange(
    client: anthropic.AsyncAnthropic, endpoint: Endpoint, task: Task, exchange: _Exchange
) -> Failure | None:
    if not (client.api_key or client.auth_token or client.credentials):
        missing = f"no API key: set {endpoint.api_key_env} where the workers run"
        return Failure(disposition="stop_job", error_type="client_error", message=missing)
    try:
        async with asyncio.timeout(endpoint.timeout_s):
            await _stream(client, task, exchange)
    except Exception as error:  # becomes a value here, if it is the network's or the API's
        if isinstance(error, anthropic.APIStatusError):
            exchange.begin_reply(error.status_code, error.response.headers)
        failure = classify_exception(error)
        if failure is None:
            raise
        return replace(failure, unreachable=failure.unreachable and exchange.status is None)
    if exchange.reply.error is not None:
        return classify_streamed(exchange.reply.error)
    return None if exchange.reply.is_complete else CUT_STREAM


async def _stream(client: anthropic.AsyncAnthropic, task: Task, exchange: _Exchange) -> None:
    body: dict[str, Any] = {**task.body, "metadata": {"user_id": task.sample_id}, "stream": True}
    async with client.messages.with_streaming_response.create(**body) as response:
        exchange.begin_reply(response.status_code, response.headers)
        reply = exchange.reply
        async for event in anthropic.AsyncStream.raw_events(response.http_response):
            reply.feed(event.event, event.data)
            if exchange.first_token_at is None and reply.has_content:
                exchange.first_token_at = time.time()


def _without_key(failure: Failure, key: str | None) -> Failure:
    """A server may quote the key it was sent; it goes no further than this."""
    if not key or key == NO_KEY or key not in failure.message:
        return failure
    return replace(failure, message=failure.message.replace(key, "(key)"))


def _record(endpoint: Endpoint, task: Task, exchange: _Exchange, failure: Failure | None, started_at: float) -> Attempt:
    reply = exchange.reply
    usage = reply.usage()
    model = reply.model or str(task.body["model"])
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
        cost_usd=price(endpoint, model, usage),
        model=reply.model,
        request_id=exchange.headers.get("request-id"),
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
