"""The fast way through HTTP answers as the complete one does, whatever the bytes and however they are cut."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
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
    host, port = base_url.removeprefix("http://").split(":")
    bodies = [
        json.dumps({**MESSAGE, "max_tokens": size}).encode() for size in (0, 64, 0, 64)
    ]  # 0 with no stream: allowed
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(b"".join(request(HEADERS, body) for body in bodies))
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
    replies = [json.loads(part.partition(b"\r\n\r\n")[2]) for part in received.split(b"HTTP/1.1 ")[1:]]
    assert [bool(reply["content"]) for reply in replies] == [False, True, False, True]


def test_a_simulator_ends_with_the_process_that_started_it() -> None:
    script = (
        "import time\nfrom polythink.simulator.process import SimulatorProcess\n"
        "simulator = SimulatorProcess.start()\nprint(simulator.pid, flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    simulator = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while is_running(simulator) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(simulator)


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
