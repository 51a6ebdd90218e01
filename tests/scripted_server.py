"""A server that answers requests for messages from a script: any status, any stream, cut or reset anywhere."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal

Ending = Literal["whole", "broken", "reset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the server was asked."""

    headers: dict[str, str]  # names in lower case
    body: dict[str, Any]  # empty if it was no JSON
    port: int  # of the client
    method: str
    path: str

    @property
    def sample(self) -> str:
        return str(self.body["metadata"]["user_id"])

    @property
    def prompt(self) -> str:
        return str(self.body["messages"][-1]["content"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What it answers. `broken` and `reset` end the connection in the middle of the body."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ending: Ending = "whole"

    def first(self, count: int, ending: Ending = "whole") -> Reply:
        """Only the first bytes of it."""
        return replace(self, body=self.body[:count], ending=ending)


Script = Callable[[Request], Reply]


def sse(events: Sequence[dict[str, Any]]) -> bytes:
    """Events as the API writes them."""
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def message_events(
    text: str = "\\boxed{4}", *, thinking: str = "", output_tokens: int = 7, stop_reason: str = "end_turn"
) -> list[dict[str, Any]]:
    """The events of one whole message."""
    usage = {"input_tokens": 11, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": []}
    blocks = [("thinking", thinking)] * bool(thinking) + [("text", text)]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}}
    ]
    for index, (kind, content) in enumerate(blocks):
        events += [
            {"type": "content_block_start", "index": index, "content_block": {"type": kind, kind: ""}},
            {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", kind: content}},
            {"type": "content_block_stop", "index": index},
        ]
    delta = {"stop_reason": stop_reason, "stop_sequence": None, "stop_details": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {**usage, "output_tokens": output_tokens}})
    return [*events, {"type": "message_stop"}]


def streamed(events: Sequence[dict[str, Any]]) -> Reply:
    """A reply with status 200 that streams events."""
    return Reply(headers={"content-type": "text/event-stream", "request-id": "req_1"}, body=sse(events))


def refusal(
    status: int, kind: str, message: str = "no", *, headers: dict[str, str] | None = None, code: str | None = None
) -> Reply:
    """A reply with an error status and the API's error body."""
    error = {"type": kind, "message": message} | ({"details": {"error_code": code}} if code else {})
    body = json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode()
    return Reply(status=status, headers={"content-type": "application/json", **(headers or {})}, body=body)


class ScriptedServer:
    """Serves on a thread of its own for as long as the block lasts; `requests` is what it was asked so far."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.requests: list[Request] = []
        self.base_url = ""

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        host, port = self._server.sockets[0].getsockname()
        self.base_url = f"http://{host}:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _shut(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            port = int(writer.get_extra_info("peername")[1])
            while (request := await _read(reader, port)) is not None:
                self.requests.append(request)
                reply = self._script(request)
                _write(writer, reply)
                await writer.drain()
                if reply.ending != "whole":
                    _end(writer, reply.ending)
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, port: int) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:  # the client has gone
        return None
    lines = [line.partition(":") for line in head.split("\r\n")[1:] if line]
    headers = {name.lower(): value.strip() for name, _, value in lines}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, path, _ = head.partition("\r\n")[0].split(" ")
    is_json = headers.get("content-type", "").startswith("application/json")
    parsed = json.loads(body) if body and is_json else {}
    return Request(headers=headers, body=parsed, port=port, method=method, path=path)


def _write(writer: asyncio.StreamWriter, reply: Reply) -> None:
    headers = {"transfer-encoding": "chunked", **reply.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {reply.status} Scripted\r\n{head}\r\n".encode("latin-1"))
    if reply.body:
        writer.write(b"%x\r\n%s\r\n" % (len(reply.body), reply.body))
    if reply.ending == "whole":
        writer.write(b"0\r\n\r\n")


def _end(writer: asyncio.StreamWriter, ending: Ending) -> None:
    if ending == "reset":
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
