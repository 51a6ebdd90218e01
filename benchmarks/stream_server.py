"""A server that answers every request with the same bytes: `/whole-N/...` all at once, `/paced-N-MS/...` by the packet.

    python -m benchmarks.stream_server

It prints its port. N is the number of deltas, MS the milliseconds between two of them in one stream. It looks at
nothing of a request but its first line and its length, so that the machine is left to whoever is measured.
"""

from __future__ import annotations

import asyncio
import json
import re
from functools import lru_cache
from typing import Any

TEXT = " and so both sides are even"  # of one delta
TICK_S = 0.005  # streams of one pace are written in turns, so that they do not all wake the client at once
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nrequest-id: req_bench\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_NOT_HERE = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
_SHAPE = re.compile(rb"POST /(whole|paced)-(\d+)(?:-(\d+))?/")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def events(deltas: int) -> list[dict[str, Any]]:
    """One message: three quarters of its deltas are thinking."""
    usage = {"input_tokens": 60, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    message = {"model": "claude-haiku-4-5", "id": "msg_bench", "type": "message", "role": "assistant", "content": []}
    start = {**message, "stop_reason": None, "stop_sequence": None, "stop_details": None, "usage": usage}
    ended = {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None}
    text = deltas // 4
    thinking = {"type": "thinking_delta", "thinking": TEXT}
    return [
        {"type": "message_start", "message": start},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": "ping"},
        *[{"type": "content_block_delta", "index": 0, "delta": thinking}] * (deltas - text - 1),
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln" * 80}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        *[{"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": TEXT}}] * text,
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": ended, "usage": {**usage, "output_tokens": 7 * deltas}},
        {"type": "message_stop"},
    ]


@lru_cache
def packets(deltas: int) -> tuple[bytes, ...]:
    """The reply as HTTP chunks: one for each delta, with what belongs to it."""
    made: list[bytes] = []
    for event in events(deltas):
        data = json.dumps(event, separators=(",", ":"))
        frame = f"event: {event['type']}\ndata: {data[:-1]}    }}\n\n".encode()
        if event["type"] in ("content_block_delta", "message_start") or not made:
            made.append(frame)
        else:
            made[-1] += frame
    chunks = [b"%x\r\n%s\r\n" % (len(frame), frame) for frame in made]
    return (_HEAD + chunks[0], *chunks[1:-1], chunks[-1] + b"0\r\n\r\n")


class Turns:
    """Writes the paced streams of one interval, each in its turn."""

    def __init__(self, interval_s: float) -> None:
        count = max(1, round(interval_s / TICK_S))
        self._slots: list[dict[Answer, int]] = [{} for _ in range(count)]
        self._tick_s = interval_s / count
        self._now = 0
        self._added = 0
        self._loop = asyncio.get_running_loop()
        self._next_at = self._loop.time()
        self._tick()

    def add(self, answer: Answer) -> None:
        self._slots[self._added % len(self._slots)][answer] = 0
        self._added += 1

    def _tick(self) -> None:
        slot = self._slots[self._now % len(self._slots)]
        for answer, sent in list(slot.items()):
            if answer.transport.is_closing():
                del slot[answer]
                continue
            answer.transport.write(answer.packets[sent])
            if sent + 1 == len(answer.packets):
                del slot[answer]
            else:
                slot[answer] = sent + 1
        self._now += 1
        self._next_at = max(self._next_at + self._tick_s, self._loop.time())
        self._loop.call_at(self._next_at, self._tick)


_turns: dict[float, Turns] = {}


class Answer(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport
    packets: tuple[bytes, ...]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length, shape = _LENGTH.search(head), _SHAPE.match(head)
        if not end or len(body) < (int(length[1]) if length else 0):
            return
        self._received = b""
        if shape is None:
            self.transport.write(_NOT_HERE)
            return
        self.packets = packets(int(shape[2]))
        if shape[1] == b"whole":
            self.transport.write(b"".join(self.packets))
            return
        interval_s = int(shape[3]) / 1000
        if interval_s not in _turns:
            _turns[interval_s] = Turns(interval_s)
        _turns[interval_s].add(self)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answer, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
