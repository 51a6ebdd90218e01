"""What a streamed request costs the simulator, beside a server that only sends the same bytes.

    python -m benchmarks.simulator_cost [--requests 2000] [--streams 2000]

Prints one JSON object: CPU milliseconds per streamed request of 20 deltas at zero pace, measured in the same run by the
same client, for the simulator and for two bare asyncio servers that look at nothing: one writes the stream event by
event, the other all of it at once. Then the memory of one simulator with many paced streams open at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.ratio import Ratio
from polythink.simulator.process import SimulatorProcess

_TICKS = os.sysconf("SC_CLK_TCK")
_ENDINGS = (b"0\r\n\r\n",)
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
    while not received.endswith(_ENDINGS):
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


def pieces_of(reply: bytes, by_event: bool) -> list[bytes]:
    """What a static server writes, one after another, for a reply: head, events as chunks, end; or all at once."""
    if not by_event:
        return [reply]
    head, _, body = reply.partition(b"\r\n\r\n")
    stream = b"".join(line for line in body.split(b"\r\n") if line.startswith(b"event: "))
    events = [event + b"\n\n" for event in stream.split(b"\n\n") if event]
    return [head + b"\r\n\r\n", *(b"%x\r\n%b\r\n" % (len(event), event) for event in events), b"0\r\n\r\n"]


async def static_server(pieces: list[bytes], announce: Callable[[int], None]) -> None:
    """An asyncio server that reads a request to its end, looks at nothing, and sends the same bytes every time."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                for piece in pieces:
                    writer.write(piece)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / MEGABYTE
    raise RuntimeError(f"no memory figure for process {pid}")


def cost_ms(pid: int, send: Callable[[int], Awaitable[bytes]], count: int) -> float:
    """CPU milliseconds of a server per request."""
    asyncio.run(_await(send(_WARM_UP)))
    before = cpu_seconds(pid)
    asyncio.run(_await(send(count)))
    return (cpu_seconds(pid) - before) / count * 1000


async def _await(awaitable: Awaitable[bytes]) -> bytes:
    return await awaitable


def port_of(base_url: str) -> int:
    return int(base_url.rsplit(":", 1)[1])


def measure_cost(requests: int) -> dict[str, float]:
    """CPU per request of the simulator and of both static servers, in milliseconds, and their ratios."""
    with SimulatorProcess.start() as simulator:
        port = port_of(simulator.base_url)
        reply = asyncio.run(one_after_another("127.0.0.1", port, 1))
        ours = cost_ms(simulator.pid, lambda count: one_after_another("127.0.0.1", port, count), requests)
    by_event = static_cost_ms(reply, requests, "event")
    at_once = static_cost_ms(reply, requests, "whole")
    return {
        "deltas": float(reply.count(b"event: content_block_delta")),
        "reply_bytes": float(len(reply)),
        "simulator_cpu_ms": ours,
        "static_by_event_cpu_ms": by_event,
        "static_at_once_cpu_ms": at_once,
        "ratio_to_static_by_event": ours / by_event,
        "ratio_to_static_at_once": ours / at_once,
    }


def static_cost_ms(reply: bytes, requests: int, writes: str) -> float:
    """CPU milliseconds per request of a static server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.simulator_cost", "--static", writes]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(reply)
    child.stdin.close()
    try:
        port = int(child.stdout.readline())
        return cost_ms(child.pid, lambda count: one_after_another("127.0.0.1", port, count), requests)
    finally:
        child.terminate()
        child.wait()
        child.stdout.close()


def measure(requests: int = 2000) -> list[Ratio]:
    """The cost of a streamed request beside both static servers."""
    cost = measure_cost(requests)
    name, unit, ours = "simulator: one streamed request", "CPU ms", cost["simulator_cpu_ms"]
    return [
        Ratio(name=name, unit=unit, ours=ours, baseline=cost[key], baseline_is=what)
        for key, what in (
            ("static_by_event_cpu_ms", "bare asyncio server writing the same events one by one"),
            ("static_at_once_cpu_ms", "bare asyncio server writing the same bytes in one piece"),
        )
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
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--static", choices=["event", "whole"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.static:
        pieces = pieces_of(sys.stdin.buffer.read(), args.static == "event")
        asyncio.run(static_server(pieces, lambda port: print(port, flush=True)))
        return
    print(json.dumps({"cost": measure_cost(args.requests), "memory": measure_memory(args.streams)}, indent=2))


if __name__ == "__main__":
    main()
