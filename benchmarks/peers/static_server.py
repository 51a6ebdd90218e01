"""A server that answers every Messages request with the same reply, and counts.

    python -m benchmarks.peers.static_server [--delay-ms 500]

Prints `listening http://127.0.0.1:PORT`. `POST /v1/messages` is answered after the delay, in one piece: as a stream of
20 deltas if the body asks for one, else as JSON. `GET /count` tells the `Count` so far. Anything else is a 404.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from dataclasses import asdict, dataclass

THINKING_DELTAS = 12  # and one signature
TEXT_DELTAS = 7
DELTAS = THINKING_DELTAS + 1 + TEXT_DELTAS
ANSWER = "4"
LISTENING = "listening "

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_STREAMED = re.compile(rb'"stream":\s*true')
_END_OF_HEAD = b"\r\n\r\n"
_USAGE = {
    "input_tokens": 30,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 400,
}
_MESSAGE = {
    "id": "msg_static",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "stop_reason": None,
    "stop_sequence": None,
}
_THOUGHT = "Two and two are two pairs; counting them one by one gives one, two, three, four, and nothing is left over. "
_WORDS = "Counting the two pairs one after another leaves nothing over. "


@dataclass(slots=True, kw_only=True)
class Count:
    """What was asked of the server. Times are seconds of the machine's monotonic clock."""

    received: int = 0  # Messages requests read whole
    answered: int = 0  # of these, replies handed to the network
    most_open: int = 0  # the most requests that waited for a reply at once
    first_at: float | None = None  # when the first request had been read
    last_at: float | None = None  # when the last reply had been written


def thinking_pieces() -> list[str]:
    return [f"{number}. {_THOUGHT}" for number in range(THINKING_DELTAS)]


def text_pieces() -> list[str]:
    return [*[_WORDS] * (TEXT_DELTAS - 1), f"\n\nThe answer is \\boxed{{{ANSWER}}}."]


def json_reply() -> bytes:
    """A whole HTTP response: the message as JSON."""
    content = [
        {"type": "thinking", "thinking": "".join(thinking_pieces()), "signature": "c3RhdGlj"},
        {"type": "text", "text": "".join(text_pieces())},
    ]
    body = json.dumps({**_MESSAGE, "content": content, "stop_reason": "end_turn", "usage": _USAGE}).encode()
    return _response("200 OK", body)


def streamed_reply() -> bytes:
    """A whole HTTP response: the same message as server-sent events, one HTTP chunk each."""
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in _events()]
    return b"".join((head.encode(), *chunks, b"0\r\n\r\n"))


def _events() -> list[bytes]:
    thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in thinking_pieces()]
    signature = {"type": "signature_delta", "signature": "c3RhdGlj"}
    texts = [{"type": "text_delta", "text": piece} for piece in text_pieces()]
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        _event("message_start", message={**_MESSAGE, "content": [], "usage": {**_USAGE, "output_tokens": 1}}),
        *_block(0, {"type": "thinking", "thinking": "", "signature": ""}, [*thoughts, signature]),
        *_block(1, {"type": "text", "text": ""}, texts),
        _event("message_delta", delta=end, usage=_USAGE),
        _event("message_stop"),
    ]


def _block(index: int, start: dict[str, str], deltas: list[dict[str, str]]) -> list[bytes]:
    return [
        _event("content_block_start", index=index, content_block=start),
        *(_event("content_block_delta", index=index, delta=delta) for delta in deltas),
        _event("content_block_stop", index=index),
    ]


def _event(name: str, **fields: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()


def _response(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class StaticServer:
    """The replies and the count, shared by all connections."""

    def __init__(self, *, delay_s: float) -> None:
        self._delay_s = delay_s
        self._streamed = streamed_reply()
        self._json = json_reply()
        self.count = Count()
        self._open = 0

    def take(self, method: bytes, path: bytes, body: bytes, connection: Connection) -> None:
        """Answer one request, now or after the delay."""
        if (method, path) == (b"POST", b"/v1/messages"):
            self._take_message(body, connection)
        elif (method, path) == (b"GET", b"/count"):
            connection.write(_response("200 OK", json.dumps(asdict(self.count)).encode()))
        else:
            connection.write(_response("404 Not Found", b'{"type": "error", "error": {"type": "not_found_error"}}'))

    def _take_message(self, body: bytes, connection: Connection) -> None:
        count = self.count
        count.received += 1
        count.first_at = count.first_at or time.monotonic()
        self._open += 1
        count.most_open = max(count.most_open, self._open)
        reply = self._streamed if _STREAMED.search(body) else self._json
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._answer, reply, connection)
        else:
            self._answer(reply, connection)

    def _answer(self, reply: bytes, connection: Connection) -> None:
        self._open -= 1
        if connection.write(reply):
            self.count.answered += 1
            self.count.last_at = time.monotonic()


class Connection(asyncio.Protocol):
    """One client's connection: cuts what comes in into requests. A request follows the reply to the one before."""

    def __init__(self, server: StaticServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(_END_OF_HEAD)) >= 0:
            head = self._received[:end]
            length = _LENGTH.search(head)
            whole = end + len(_END_OF_HEAD) + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            body, self._received = self._received[end + len(_END_OF_HEAD) : whole], self._received[whole:]
            method, target, _ = head.split(b" ", 2)
            self._server.take(method, target.partition(b"?")[0], body, self)

    def write(self, reply: bytes) -> bool:
        """Hand a reply to the network; False if the client has gone."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(reply)
        return True


async def serve(delay_s: float) -> None:
    """Serve until the process ends."""
    server = StaticServer(delay_s=delay_s)
    listener = await asyncio.get_running_loop().create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=4_096)
    print(f"{LISTENING}http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", flush=True)
    await listener.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="A server that answers everything alike, and counts.")
    parser.add_argument("--delay-ms", type=float, default=0.0)
    asyncio.run(serve(parser.parse_args().delay_ms / 1_000))


if __name__ == "__main__":
    main()
