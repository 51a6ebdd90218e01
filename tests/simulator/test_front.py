"""The fast way through HTTP answers as the complete one does, whatever the bytes and however they are cut."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from polythink.simulator.plain_requests import MAX_HEAD_BYTES, PlainRequest, RequestBuffer, read_head
from polythink.simulator.process import SimulatorProcess

MESSAGE = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": "1 + 1?"}]}
HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01", "content-type": "application/json"}
names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).map("x-".__add__)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30).map(str.strip)


def request(headers: dict[str, str], body: bytes, query: str = "") -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /v1/messages{query} HTTP/1.1\r\nhost: h\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


def fed(data: bytes, cuts: list[int]) -> tuple[list[PlainRequest], bool, bytes]:
    """What comes out of a buffer that is fed in pieces: requests, whether something else followed, and the rest."""
    buffer, found = RequestBuffer(), list[PlainRequest]()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        buffer.feed(data[start:end])
        while (taken := buffer.take()) is not None:
            if taken == "other":
                return found, True, buffer.rest() + data[end:]
            found.append(taken)
    return found, False, buffer.rest()


@given(
    st.lists(st.tuples(st.dictionaries(names, values, max_size=5), st.binary(max_size=200)), min_size=1, max_size=4),
    st.lists(st.integers(0, 10_000), max_size=8),
)
def test_plain_requests_come_out_whole_however_they_are_cut(
    wanted: list[tuple[dict[str, str], bytes]], cuts: list[int]
) -> None:
    data = b"".join(request(headers, body) for headers, body in wanted)
    found, other, rest = fed(data, cuts)
    assert [each.body for each in found] == [body for _, body in wanted]
    for each, (headers, _) in zip(found, wanted, strict=True):
        assert headers.items() <= dict(each.headers).items()
    assert (other, rest) == (False, b"")


@settings(max_examples=300)
@given(
    st.binary(max_size=400) | st.binary(max_size=300).map(b"POST /v1/messages HTTP/1.1\r\n".__add__),
    st.lists(st.integers(0, 999)),
)
@example(b"POST /v1/messages HTTP/1.1\r\n" + b"a:" * 5000, [])
@example(b"POST /v1/messages HTTP/1.1\r\n" + b"a: b\r\n" * 2000, [7])
@example(request({"transfer-encoding": "chunked"}, b""), [])
@example(request({"content-length": "3"}, b"abc"), [])
def test_hostile_bytes_are_handed_over_untouched(data: bytes, cuts: list[int]) -> None:
    found, other, rest = fed(data, cuts)
    consumed = len(data) - len(rest)
    assert data.endswith(rest)
    assert bool(found) == (consumed > 0)
    if not other:
        assert len(rest) < MAX_HEAD_BYTES + len(data) or found


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/messages HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n",
        b"POST /v1/messages HTTP/1.0\r\nhost: h\r\ncontent-length: 0\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: h\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: h\r\ncontent-length: +1\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 1\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: h\r\n folded: x\r\ncontent-length: 1\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\nhost: h\ncontent-length: 1\n\r\n\r\n",
    ],
)
def test_what_is_not_beyond_doubt_is_no_plain_request(head: bytes) -> None:
    assert read_head(head) is None


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with SimulatorProcess.start(["--seed", "3"]) as simulator:
        yield simulator.base_url


def shape(value: object) -> object:
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("body", [MESSAGE, {**MESSAGE, "oops": 1}, {**MESSAGE, "model": "claude-none"}])
def test_both_ways_give_the_same_reply(base_url: str, body: dict[str, object]) -> None:
    data = json.dumps(body).encode()
    with httpx2.Client() as client:
        plain = client.post(f"{base_url}/v1/messages", content=data, headers=HEADERS)
        other = client.post(f"{base_url}/v1/messages", content=iter([data]), headers=HEADERS)  # chunked
    assert "transfer-encoding" in other.request.headers
    assert plain.status_code == other.status_code
    assert shape(plain.json()) == shape(other.json())
    varying = {"date", "server", "content-length"}
    assert set(plain.headers) - varying == set(other.headers) - varying


def test_requests_sent_in_one_go_are_answered_in_order(base_url: str) -> None:
    bodies = [
        json.dumps({**MESSAGE, "max_tokens": size}).encode() for size in (0, 64, 0, 64)
    ]  # 0 with no stream: allowed
    with connected(base_url) as connection:
        connection.sendall(b"".join(request(HEADERS, body) for body in bodies))
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
    replies = [json.loads(part.partition(b"\r\n\r\n")[2]) for part in received.split(b"HTTP/1.1 ")[1:]]
    assert [bool(reply["content"]) for reply in replies] == [False, True, False, True]


def connected(base_url: str) -> socket.socket:
    host, port = base_url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), 20)


def sent_alone(base_url: str, data: bytes) -> bytes:
    """All that comes back for these bytes, the sender's end being closed behind what it waits for."""
    with connected(base_url) as connection:
        connection.sendall(data)
        received = b""
        while not received.endswith(b"}") and (part := connection.recv(65536)):
            received += part
        return received


BODY = json.dumps(MESSAGE).encode()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request({**HEADERS, "connection": "close"}, BODY), b"200"),
        (request({**HEADERS, "expect": "100-continue"}, BODY), b"100"),
        (request(HEADERS, BODY).replace(b"HTTP/1.1", b"HTTP/1.0"), b"200"),
        (request(HEADERS, BODY, "?beta=true"), b"200"),
        (request({name.upper(): value for name, value in HEADERS.items()}, BODY), b"200"),
        (request(HEADERS, b"{}", "/batches"), b"400"),
        (request({**HEADERS, "bad header": "x"}, BODY), b"400"),
        (request({**HEADERS, "content-length": "0"}, BODY), b"400"),
        (request({**HEADERS, "x-long": "x" * 10_000}, BODY), b"400"),
        (b"GET /v1/nothing HTTP/1.1\r\nhost: h\r\n\r\n", b"404"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
    ],
)
def test_every_form_of_request_gets_an_http_reply(base_url: str, data: bytes, status: bytes) -> None:
    first, *_ = sent_alone(base_url, data).split(b"\r\n")
    assert first.split()[1] == status


def test_a_connection_goes_on_after_another_kind_of_request(base_url: str) -> None:
    with httpx2.Client(base_url=base_url, headers=HEADERS, limits=httpx2.Limits(max_connections=1)) as client:
        statuses = [
            client.post("/v1/messages", json=MESSAGE).status_code,
            client.get("/v1/models").status_code,
            client.post("/v1/messages", json=MESSAGE).status_code,
            client.get("/_simulator/meter").status_code,
        ]
    assert statuses == [200] * 4


def test_a_client_that_does_not_read_is_waited_for_and_loses_nothing(base_url: str) -> None:
    count, streamed = 3000, json.dumps({**MESSAGE, "stream": True}).encode()
    with connected(base_url) as connection:
        sender = threading.Thread(target=connection.sendall, args=(request(HEADERS, streamed) * count,))
        sender.start()
        ended = held = 0
        tail = b""
        while ended < count and (part := connection.recv(1 << 20)):
            tail += part
            ended += tail.count(b"event: message_stop")
            held = max(held, len(tail))
            tail = tail[-18:]
        sender.join()
    assert ended == count


def test_an_open_stream_is_broken_off_at_the_end_and_the_exit_code_is_0() -> None:
    streamed = json.dumps({**MESSAGE, "max_tokens": 4000, "stream": True}).encode()
    with (
        SimulatorProcess.start(["--pace", "1", "--refusals", "0"]) as simulator,
        connected(simulator.base_url) as connection,
    ):
        connection.sendall(request(HEADERS, streamed))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert simulator.stop() == 0


def test_a_simulator_ends_with_the_process_that_started_it() -> None:
    script = (
        "import time\nfrom polythink.simulator.process import SimulatorProcess\n"
        "simulator = SimulatorProcess.start()\nprint(simulator.pid, flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    handle = os.pidfd_open(int(parent.stdout.readline()))  # readable once the process has ended
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    ended, _, _ = select.select([handle], [], [], 20)
    os.close(handle)
    assert ended
