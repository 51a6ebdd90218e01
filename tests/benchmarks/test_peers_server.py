"""The static server: one reply in two forms, and a count that can be relied on."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.peers.server_process import static_server
from benchmarks.peers.static_server import ANSWER, DELTAS, Connection, StaticServer, json_reply, streamed_reply

REQUESTS = b"".join(
    b"POST /v1/messages HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    for body in (b'{"stream": true}', b'{"stream":true,"model":"m"}', b"{}")
)


class Client(asyncio.Transport):
    """The other end of a connection, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.received = b""
        self.has_gone = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.received += data

    def is_closing(self) -> bool:
        return self.has_gone


def connect(server: StaticServer) -> tuple[Connection, Client]:
    connection, client = Connection(server), Client()
    connection.connection_made(client)
    return connection, client


def events(response: bytes) -> list[dict[str, Any]]:
    """The data of each server-sent event of a chunked response."""
    lines = response.decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def content(streamed: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """The blocks of a streamed message, put together."""
    blocks = [event["content_block"] for event in streamed if event["type"] == "content_block_start"]
    for event in streamed:
        if event["type"] == "content_block_delta":
            _, (field, piece) = event["delta"].items()
            blocks[event["index"]][field] += piece
    return blocks


def test_both_forms_hold_the_same_message() -> None:
    streamed = events(streamed_reply())
    whole: dict[str, Any] = json.loads(json_reply().partition(b"\r\n\r\n")[2])
    assert content(streamed) == whole["content"]
    assert streamed[-2]["usage"] == whole["usage"]
    assert streamed[-1]["type"] == "message_stop"
    assert f"\\boxed{{{ANSWER}}}" in whole["content"][-1]["text"]
    assert [event["type"] for event in streamed].count("content_block_delta") == DELTAS == 20


@given(st.lists(st.integers(0, len(REQUESTS)), max_size=8))
def test_requests_are_told_apart_however_the_bytes_arrive(cuts: Sequence[int]) -> None:
    server = StaticServer(delay_s=0.0)
    connection, client = connect(server)
    edges = [0, *sorted(cuts), len(REQUESTS)]
    for start, end in pairwise(edges):
        connection.data_received(REQUESTS[start:end])
    assert client.received == streamed_reply() * 2 + json_reply()
    assert (server.count.received, server.count.answered) == (3, 3)


def test_a_request_whose_client_has_gone_is_received_and_not_answered() -> None:
    server = StaticServer(delay_s=0.0)
    connection, client = connect(server)
    client.has_gone = True
    connection.data_received(REQUESTS)
    assert (server.count.received, server.count.answered) == (3, 0)


def test_requests_that_wait_at_once_are_told() -> None:
    async def three_at_once() -> StaticServer:
        server = StaticServer(delay_s=60.0)
        connect(server)[0].data_received(REQUESTS)
        return server

    count = asyncio.run(three_at_once()).count
    assert (count.received, count.answered, count.most_open) == (3, 0, 3)


def test_the_process_serves_and_tells_its_count() -> None:
    with static_server(delay_ms=1) as server:
        connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=10)
        for _ in range(3):
            connection.request("POST", "/v1/messages?beta=true", body=b'{"stream": true}')
            assert b"event: message_stop" in connection.getresponse().read()
        connection.request("GET", "/v1/models")
        response = connection.getresponse()
        assert (response.status, response.read()[:1]) == (404, b"{")
        connection.close()
        count = server.count()
    assert (count.received, count.answered, count.most_open) == (3, 3, 1)
    assert count.first_at is not None
    assert count.last_at is not None
    assert count.last_at - count.first_at >= 0.003
