"""What a streamed request costs the simulator, beside servers that only send the same bytes.

    python -m benchmarks.simulator_cost [--requests 4000] [--streams 2000]

Prints one JSON object: CPU milliseconds of the server per streamed request of 20 deltas at zero pace, for the simulator
and for three bare asyncio servers that find the end of a request, look at nothing else and send a fixed reply: one is
an `asyncio.Protocol`, one reads and writes asyncio's streams, one writes to its stream event by event. All four run at
the same time as processes of their own and take turns at answering one client, which is not counted. Then the memory of
one simulator with many paced streams open at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.ratio import Ratio
from polythink.simulator.process import SimulatorProcess

STATIC = {
    "protocol": "bare asyncio.Protocol sending the same bytes in one piece",
    "streams": "bare asyncio streams server sending the same bytes in one piece",
    "by_event": "bare asyncio streams server writing the same events one by one",
}
ROUNDS = 5
_ENDING = b"0\r\n\r\n"
_WARM_UP = 200
MEGABYTE = 1024**2


def request_bytes(number: int, *, max_tokens: int = 2048) -> bytes:
    """One streamed request with the headers that the SDK sends."""
    body = json.dumps(
        {
            "max_tokens": max_tokens,
            "messages": [{"role": "user", "content": "What is the sum of the digits of 2 to the 100?" + " " * 200}],
            "metadata": {"user_id": f"sample-{number}"},
            "model": "claude-haiku-4-5",
            "stream": True,
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        },
        separators=(",", ":"),
    ).encode()
    headers = (
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
        "Accept-Encoding: gzip, deflate\r\n"
        "Connection: keep-alive\r\nContent-Type: application/json\r\nUser-Agent: AsyncAnthropic/Python 2.12.0\r\n"
        "X-Stainless-Lang: python\r\nX-Stainless-Package-Version: 2.12.0\r\nX-Stainless-OS: Linux\r\n"
        "X-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\nX-Stainless-Runtime-Version: 3.11\r\n"
        "X-Stainless-Async: async:asyncio\r\nx-stainless-retry-count: 0\r\nx-stainless-read-timeout: 600\r\n"
        f"Authorization: Bearer key\r\nanthropic-version: 2026-10-21\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return headers.encode() + body


async def read_reply(reader: asyncio.StreamReader) -> bytes:
    received = b""
    while not received.endswith(_ENDING):
        more = await reader.read(65536)
        if not more:
            raise ConnectionError("the server closed the connection")
        received += more
    return received


async def one_after_another(host: str, port: int, count: int) -> bytes:
    """Send so many requests over one connection; the last reply."""
    reader, writer = await asyncio.open_connection(host, port)
    reply = b""
    for number in range(count):
        writer.write(request_bytes(number))
        reply = await read_reply(reader)
    writer.close()
    return reply


def pieces_of(reply: bytes) -> list[bytes]:
    """A reply as its head, its events as chunks of their own, and its end."""
    head, _, body = reply.partition(b"\r\n\r\n")
    stream = b"".join(line for line in body.split(b"\r\n") if line.startswith(b"event: "))
    events = [event + b"\n\n" for event in stream.split(b"\n\n") if event]
    return [head + b"\r\n\r\n", *(b"%x\r\n%b\r\n" % (len(event), event) for event in events), b"0\r\n\r\n"]


async def stream_server(pieces: list[bytes]) -> asyncio.Server:
    """A server on asyncio's streams: reads a request to its end, and writes these pieces one after another."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(body_length(head))
                for piece in pieces:
                    writer.write(piece)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


class BareProtocol(asyncio.Protocol):
    """A connection that answers every request with the same bytes, as close to the socket as asyncio gets."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n") + 4) >= 4:
            end += body_length(self._held[:end])
            if len(self._held) < end:
                return
            self._held = self._held[end:]
            self._transport.write(self._reply)


def body_length(head: bytes) -> int:
    return int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])


async def static_server(kind: str, reply: bytes, announce: Callable[[int], None]) -> None:
    """Serve one of the three bare servers for good."""
    if kind == "protocol":
        server = await asyncio.get_running_loop().create_server(lambda: BareProtocol(reply), "127.0.0.1", 0)
    else:
        server = await stream_server(pieces_of(reply) if kind == "by_event" else [reply])
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def cpu_seconds(pid: int) -> float:
    """Time that all threads of a process have spent on a CPU, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) * 1e-9


def resident_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / MEGABYTE
    raise RuntimeError(f"no memory figure for process {pid}")


def port_of(base_url: str) -> int:
    return int(base_url.rsplit(":", 1)[1])


@dataclass(frozen=True, slots=True)
class Server:
    """One of the servers measured."""

    pid: int
    port: int

    def cpu_ms(self, requests: int) -> float:
        """CPU milliseconds per request of so many requests."""
        before = cpu_seconds(self.pid)
        self.answer(requests)
        return (cpu_seconds(self.pid) - before) / requests * 1000

    def answer(self, requests: int) -> bytes:
        """The last reply to so many requests."""
        return asyncio.run(one_after_another("127.0.0.1", self.port, requests))


@contextmanager
def static_process(kind: str, reply: bytes) -> Iterator[Server]:
    """A bare server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.simulator_cost", "--static", kind]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(reply)
    child.stdin.close()
    try:
        yield Server(child.pid, int(child.stdout.readline()))
    finally:
        child.terminate()
        child.wait()
        child.stdout.close()


def measure_cost(requests: int) -> dict[str, float]:
    """CPU milliseconds per request of the simulator and the bare servers, medians over rounds, and their ratios."""
    with ExitStack() as running:
        simulator = running.enter_context(SimulatorProcess.start())
        servers = {"simulator": Server(simulator.pid, port_of(simulator.base_url))}
        reply = servers["simulator"].answer(1)
        for kind in STATIC:
            servers[kind] = running.enter_context(static_process(kind, reply))
        for server in servers.values():
            server.answer(_WARM_UP)
        rounds = [{name: one.cpu_ms(requests // ROUNDS) for name, one in servers.items()} for _ in range(ROUNDS)]
    cost = {name: median(taken[name] for taken in rounds) for name in servers}
    return {
        "deltas": float(reply.count(b"event: content_block_delta")),
        "reply_bytes": float(len(reply)),
        **{f"{name}_cpu_ms": ms for name, ms in cost.items()},
        **{f"ratio_to_{kind}": cost["simulator"] / cost[kind] for kind in STATIC},
    }


def measure(requests: int = 4000) -> list[Ratio]:
    """The cost of a streamed request beside the bare servers."""
    cost = measure_cost(requests)
    return [
        Ratio(
            name="simulator: one streamed request",
            unit="CPU ms",
            ours=cost["simulator_cpu_ms"],
            baseline=cost[f"{kind}_cpu_ms"],
            baseline_is=what,
        )
        for kind, what in STATIC.items()
    ]


async def _open_streams(port: int, count: int) -> int:
    """Open so many paced streams at once and read them all; how many ended as they should."""

    async def read_one(number: int) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes(number))
        reply = await read_reply(reader)
        writer.close()
        return b"event: message_stop" in reply

    return sum(await asyncio.gather(*(read_one(number) for number in range(count))))


def measure_memory(streams: int) -> dict[str, float]:
    """Peak memory of one simulator with so many paced streams open at once, and its CPU share of one core."""
    with SimulatorProcess.start(["--pace", "150"]) as simulator:
        before, started = cpu_seconds(simulator.pid), os.times().elapsed
        completed = asyncio.run(_open_streams(port_of(simulator.base_url), streams))
        seconds = os.times().elapsed - started
        return {
            "streams": float(streams),
            "completed": float(completed),
            "peak_megabytes": resident_megabytes(simulator.pid),
            "seconds": seconds,
            "cores": (cpu_seconds(simulator.pid) - before) / seconds,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="What the simulator costs.")
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--static", choices=list(STATIC), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.static:
        asyncio.run(static_server(args.static, sys.stdin.buffer.read(), lambda port: print(port, flush=True)))
        return
    print(json.dumps({"cost": measure_cost(args.requests), "memory": measure_memory(args.streams)}, indent=2))


if __name__ == "__main__":
    main()
