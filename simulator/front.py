"""The HTTP front: plain Messages requests are answered from the socket, every other connection is aiohttp's.

A rehearsal is as fast as the simulator is cheap, and what costs most in a small reply is general HTTP. So the front
reads what nearly every request looks like (`plain_requests`), and answers it without a task if the reply takes no time.
The first request that is anything else takes its connection along to aiohttp. Both answer by `answer_message`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from aiohttp import web

from polythink.simulator.arrival import authenticate
from polythink.simulator.exchange import ClientGone, as_api_error, fresh_headers, refuse, reset_connection
from polythink.simulator.messages_api import answer_message
from polythink.simulator.plain_requests import PlainRequest, RequestBuffer
from polythink.simulator.service import Simulator


class Fronts:
    """The fronts of one simulator's open connections. A factory of protocols for `create_server`."""

    def __init__(self, simulator: Simulator, complete: web.Server) -> None:
        self.simulator = simulator
        self.complete = complete  # what the other connections are handed to
        self.open: set[Front] = set()

    def __call__(self) -> Front:
        return Front(self)

    async def shutdown(self, seconds: float) -> None:
        """Close idle connections now, and the others once they are answered or after so many wall seconds."""
        for front in tuple(self.open):
            front.close()
        replies = [front.replying for front in self.open if front.replying]
        if replies:
            await asyncio.wait(replies, timeout=seconds)
        for front in tuple(self.open):
            front.abort()


class Front(asyncio.Protocol):
    """One connection, as long as plain requests come over it."""

    def __init__(self, fronts: Fronts) -> None:
        self._fronts = fronts
        self._buffer = RequestBuffer()
        self._closing = False
        self._drained: asyncio.Future[None] | None = None  # set while the client takes less than it is sent
        self.transport: asyncio.Transport | None = None
        self.replying: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._fronts.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._fronts.open.discard(self)
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        self._buffer.feed(data)
        if self._is_busy and self.transport:
            self.transport.pause_reading()  # one reply at a time; the next request can wait in the kernel
        else:
            self._answer_next()

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None:
            if not drained.done():  # its waiter may have been cancelled
                drained.set_result(None)
            self._answer_next()

    async def drain(self) -> None:
        """Wait until the client has taken most of what it was sent. Raises ClientGone."""
        if self._drained is not None:
            await self._drained
        if self.transport is None or self.transport.is_closing():
            raise ClientGone

    def close(self) -> None:
        """Close the connection once it is answered."""
        self._closing = True
        if self.transport and not self._is_busy:
            self.transport.close()

    def abort(self) -> None:
        """Close the connection, answered or not."""
        if self.replying:
            self.replying.cancel()
        if self.transport:
            self.transport.abort()

    @property
    def _is_busy(self) -> bool:
        return self.replying is not None or self._drained is not None

    def _answer_next(self) -> None:
        while self.transport is not None and not (self._is_busy or self.transport.is_closing()):
            request = None if self._closing else self._buffer.take()
            if isinstance(request, PlainRequest):
                self._answer(request, self.transport)
            elif request == "other":
                self._hand_over(self.transport)
            else:
                self._await_more(self.transport)
                return

    def _await_more(self, transport: asyncio.Transport) -> None:
        if self._closing:
            transport.close()
        elif not transport.is_reading():
            transport.resume_reading()

    def _hand_over(self, transport: asyncio.Transport) -> None:
        """Let aiohttp go on with the connection, from the beginning of the request at hand."""
        self._fronts.open.discard(self)
        self.transport = None
        heir = self._fronts.complete()
        transport.set_protocol(heir)
        heir.connection_made(transport)
        heir.data_received(self._buffer.rest())
        if not transport.is_reading():
            transport.resume_reading()

    def _answer(self, request: PlainRequest, transport: asyncio.Transport) -> None:
        simulator = self._fronts.simulator
        exchange = FrontExchange(self, transport, fresh_headers(simulator))
        try:
            arrival = authenticate(request.headers)
            exchange.headers["anthropic-organization-id"] = arrival.organization
            rest = answer_message(simulator, exchange, arrival, request.body)
        except Exception as error:
            refuse(simulator, exchange, as_api_error(error))
            return
        if rest is not None:
            self.replying = asyncio.get_running_loop().create_task(self._reply(exchange, rest))

    async def _reply(self, exchange: FrontExchange, rest: Coroutine[Any, Any, None]) -> None:
        try:
            await rest
        except Exception as error:
            failure = as_api_error(error)
            if exchange.has_begun:  # too late for an error body
                exchange.reset()
            else:
                refuse(self._fronts.simulator, exchange, failure)
        finally:
            self.replying = None
            self._answer_next()


class FrontExchange:
    """An Exchange over a front's transport."""

    __slots__ = ("_front", "_transport", "has_begun", "headers")

    def __init__(self, front: Front, transport: asyncio.Transport, headers: dict[str, str]) -> None:
        self._front = front
        self._transport = transport
        self.headers = headers
        self.has_begun = False

    def send(self, body: bytes, *, status: int = 200, chunked: bool = False) -> None:
        if self._transport.is_closing():
            return
        framing = "transfer-encoding: chunked" if chunked else f"content-length: {len(body)}"
        content = _chunk(body) + _LAST_CHUNK if chunked else body
        self._transport.write(self._head(status, framing) + content)

    async def begin(self) -> None:
        self.has_begun = True
        self._transport.write(self._head(200, "transfer-encoding: chunked"))
        await self._front.drain()

    async def write(self, data: bytes) -> None:
        self._transport.write(_chunk(data))
        await self._front.drain()

    async def end(self) -> None:
        self._transport.write(_LAST_CHUNK)
        await self._front.drain()

    def reset(self) -> None:
        reset_connection(self._transport)

    def _head(self, status: int, framing: str) -> bytes:
        fields = "\r\n".join([f"{name}: {value}" for name, value in self.headers.items()])
        return f"{_status_line(status)}{fields}\r\n{framing}\r\ndate: {_http_date(int(time.time()))}\r\n\r\n".encode()


_LAST_CHUNK = b"0\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return f"HTTP/1.1 {status} {phrase}\r\n"


@lru_cache(maxsize=2)
def _http_date(unix_seconds: int) -> str:
    return formatdate(unix_seconds, usegmt=True)
