"""What a streamed generation costs, journal and Parquet included, next to the SDK's helper and to bare aiohttp.

Every client reads the same bytes from the same server, in a process of its own; its start-up is not counted. The rounds
of the clients take turns, and the least disturbed round of each counts.

    python -m benchmarks.stream_cost [ROUNDS]

prints every client's figures as one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.ratio import Ratio
from benchmarks.stream_run import whole_run_ms

ROUNDS = 2
BASELINES = {
    "helper": "AsyncAnthropic as it comes, .stream() helper; nothing kept",
    "raw_events": "AsyncAnthropic on aiohttp, raw events; nothing kept",
    "bare": "bare aiohttp, bytes dropped",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the server sends, and how much of it is asked for."""

    name: str
    path: str  # of the server
    generations: int
    concurrency: int
    clients: tuple[str, ...]


ALL = ("ours", "helper", "raw_events", "bare")
SHAPES = (
    Shape(name="20 deltas at once, concurrency 256", path="whole-20", generations=3_000, concurrency=256, clients=ALL),
    Shape(
        name="20 deltas at once, concurrency 1,000", path="whole-20", generations=4_000, concurrency=1_000, clients=ALL
    ),
    Shape(
        name="200 deltas, a packet each, concurrency 256",
        path="paced-200-40",
        generations=512,
        concurrency=256,
        clients=ALL,
    ),
    Shape(
        name="2,000 deltas, a packet each, concurrency 256",
        path="paced-2000-20",
        generations=256,
        concurrency=256,
        clients=("ours", "bare"),
    ),
)
WIDE = Shape(
    name="2,000 paced streams in one process",
    path="paced-200-200",
    generations=2_000,
    concurrency=2_000,
    clients=("ours", "bare"),
)


def figures(rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Shape -> client -> what its process said, in the round that cost it least."""
    with _server() as base_url:
        said = {shape.name: _least(base_url, shape, rounds) for shape in SHAPES}
        return said | {WIDE.name: _least(base_url, WIDE, 1)}


def measure(rounds: int = ROUNDS) -> list[Ratio]:
    """Ours next to every baseline, in every shape; then a whole run on Ray, and the memory of many streams."""
    said = figures(rounds)
    ratios = [
        Ratio(
            name=shape.name,
            unit="CPU ms",
            ours=said[shape.name]["ours"]["cpu_ms"],
            baseline=said[shape.name][client]["cpu_ms"],
            baseline_is=BASELINES[client],
        )
        for shape in SHAPES
        for client in shape.clients
        if client != "ours"
    ]
    unpaced = SHAPES[0]
    with _server() as base_url:
        run_ms = whole_run_ms(f"{base_url}/{unpaced.path}", concurrency=unpaced.concurrency)
    wide = said[WIDE.name]
    return [
        *ratios,
        Ratio(
            name=f"{unpaced.name}: a whole run on Ray, all its processes",
            unit="CPU ms",
            ours=run_ms,
            baseline=said[unpaced.name]["helper"]["cpu_ms"],
            baseline_is=BASELINES["helper"],
        ),
        Ratio(
            name=WIDE.name,
            unit="KB each",
            ours=wide["ours"]["kb_each"],
            baseline=wide["bare"]["kb_each"],
            baseline_is=BASELINES["bare"],
        ),
    ]


def _least(base_url: str, shape: Shape, rounds: int) -> dict[str, dict[str, float]]:
    said = [{client: _client(base_url, shape, client) for client in shape.clients} for _ in range(rounds)]
    return {client: min((one[client] for one in said), key=lambda figure: figure["cpu_ms"]) for client in shape.clients}


def _client(base_url: str, shape: Shape, client: str) -> dict[str, float]:
    print(f"  {shape.name}: {client}", file=sys.stderr)
    wanted = [client, f"{base_url}/{shape.path}", str(shape.generations), str(shape.concurrency)]
    command = [sys.executable, "-m", "benchmarks.stream_client", *wanted]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    said: dict[str, float] = json.loads(done.stdout)
    return said


@contextmanager
def _server() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.stream_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


if __name__ == "__main__":
    print(json.dumps(figures(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS), indent=1))
