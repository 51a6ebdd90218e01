"""The reply to a Messages request that aiohttp read."""

from __future__ import annotations

from aiohttp import ClientConnectionResetError, web

from polythink.simulator.exchange import ClientGone, reset_connection


class AiohttpExchange:
    """An Exchange over an aiohttp request. `response` is what the request's handler returns."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._stream = web.StreamResponse()
        self.headers: dict[str, str] = request["headers"]
        self.response: web.StreamResponse = self._stream

    def send(self, body: bytes, *, status: int = 200, chunked: bool = False) -> None:
        self.response = web.Response(body=body, status=status, headers=self.headers)
        if chunked:
            self.response.enable_chunked_encoding()

    async def begin(self) -> None:
        self._stream.headers.update(self.headers)
        try:
            await self._stream.prepare(self._request)
        except ClientConnectionResetError as error:
            raise ClientGone from error

    async def write(self, data: bytes) -> None:
        try:
            await self._stream.write(data)
        except ClientConnectionResetError as error:
            raise ClientGone from error

    async def end(self) -> None:
        try:
            await self._stream.write_eof()
        except ClientConnectionResetError as error:
            raise ClientGone from error

    def reset(self) -> None:
        reset_connection(self._request.transport)
        if not self._stream.prepared:
            self.response = web.Response(status=500)  # for a connection that is gone
