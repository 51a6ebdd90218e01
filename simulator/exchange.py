"""One request's reply, as the API's logic sees it: what it may do to a connection, whichever HTTP front holds it."""

from __future__ import annotations

import asyncio
import socket
import struct
import traceback
from typing import Any, Protocol

from polythink.simulator import wire
from polythink.simulator.api_errors import ApiError
from polythink.simulator.ids import new_id
from polythink.simulator.service import Simulator


class ClientGone(ConnectionError):
    """The client closed the connection before the reply's end."""


class Exchange(Protocol):
    """A request that was read, and the one reply it gets: sent whole, or begun, written and ended, or reset."""

    headers: dict[str, str]  # of the reply, those of its transport aside; counts until the reply begins

    def send(self, body: bytes, *, status: int = 200, chunked: bool = False) -> None:
        """The whole reply; `chunked` as one chunk, like a stream that came at once."""
        ...

    async def begin(self) -> None:
        """The head of a streamed reply. Raises ClientGone."""
        ...

    async def write(self, data: bytes) -> None:
        """More of a streamed reply, as fast as the client takes it. Raises ClientGone."""
        ...

    async def end(self) -> None:
        """The end of a streamed reply. Raises ClientGone."""
        ...

    def reset(self) -> None:
        """Break the connection instead of replying."""
        ...


def fresh_headers(simulator: Simulator) -> dict[str, str]:
    """The headers that every reply has, with a request id of its own."""
    return {
        "request-id": new_id("req"),
        "x-polythink-simulator": simulator.mind.name,
        "server": "polythink-simulator",
    }


def as_api_error(error: Exception) -> ApiError:
    """What a client is told of a failure. A mistake of ours is told as the API tells its own, and not hidden."""
    if isinstance(error, ApiError):
        return error
    traceback.print_exception(error)
    return ApiError(500, "Internal server error")


def refuse(simulator: Simulator, exchange: Exchange, error: ApiError) -> None:
    """Answer with an error of the API."""
    simulator.meter.error(error.error_type)
    exchange.headers.update(error.headers())
    exchange.headers["content-type"] = "application/json"
    exchange.send(encoded(error.body(exchange.headers["request-id"])), status=error.status)


def encoded(value: Any) -> bytes:
    """A JSON body; what has no place in UTF-8 is replaced."""
    return wire.compact(value).encode("utf-8", "replace")


def reset_connection(transport: asyncio.BaseTransport | None) -> None:
    """Break a connection with a TCP reset."""
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
