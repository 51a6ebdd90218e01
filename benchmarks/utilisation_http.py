"""How much of a rate limit a run uses on the wall's clock, over HTTP, beside the bare SDK: fixed concurrency, and AIMD.

Each client has the simulator to itself, for half a minute to settle and 45 seconds that count. What was used and
what was refused is read off the simulator's meter. `benchmarks.utilisation` has the whole grid, on virtual time.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.ratio import Ratio
from polythink.simulator.process import SimulatorProcess

WARM_S, MEASURED_S = 30.0, 45.0
START_S = 120.0  # for a client's first request
WORKERS = 4
PACE, LATENCY_S = 80.0, 0.5  # output tokens per second and stream; seconds to the first byte
QUESTION = "What is the sum of the digits of 2 to the 100?"
MODEL, BUDGET, MAX_TOKENS = "claude-haiku-4-5", 1_024, 5_120

Client = Literal["polythink", "fixed", "aimd"]
Meter = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What limits, and what is sent."""

    name: str
    binding: Literal["requests", "input_tokens", "output_tokens"]  # as the meter calls them
    per_minute: int
    limits: tuple[str, ...]  # options of the simulator
    thinks: bool
    prompt: str
    needed: int  # requests in flight that just use the limit up, as a client of fixed concurrency would have to know


LONG_PROMPT = "Here is what was tried before, and failed. " * 200 + QUESTION
LOADS = (
    Load(
        name="request-bound",
        binding="requests",
        per_minute=1_200,
        limits=("--requests-per-minute", "1200"),
        thinks=False,
        prompt=QUESTION,
        needed=40,
    ),
    Load(
        name="input-bound",
        binding="input_tokens",
        per_minute=2_000_000,
        limits=("--requests-per-minute", "6000", "--input-tokens-per-minute", "2000000"),
        thinks=False,
        prompt=LONG_PROMPT,
        needed=40,
    ),
    Load(
        name="output-bound",
        binding="output_tokens",
        per_minute=240_000,
        limits=("--requests-per-minute", "6000", "--output-tokens-per-minute", "240000"),
        thinks=True,
        prompt=QUESTION,
        needed=50,
    ),
)
RIVALS: tuple[tuple[Client, float, str], ...] = (
    ("fixed", 2.0, "AsyncAnthropic as it comes (2 retries), twice the streams that are needed"),
    ("aimd", 0.5, "AsyncAnthropic, additive increase, halved after a 429"),
)


def measure() -> list[Ratio]:
    """Share of the limit used, and share of requests refused, for each load and rival."""
    rows: list[Ratio] = []
    for load in LOADS:
        used, refused = _shares(load, "polythink", load.needed)
        for client, times, described in RIVALS:
            theirs_used, theirs_refused = _shares(load, client, round(times * load.needed))
            for what, ours, theirs in (
                ("share of the limit used", used, theirs_used),
                ("share of requests answered 429", refused, theirs_refused),
            ):
                rows.append(
                    Ratio(
                        name=f"{load.name}, over HTTP: {what}",
                        unit="share",
                        ours=ours,
                        baseline=theirs,
                        baseline_is=described,
                    )
                )
    return rows


def _shares(load: Load, client: Client, in_flight: int) -> tuple[float, float]:
    """Of the limit, used; of all requests, refused."""
    print(f"  {load.name}: {client}", file=sys.stderr)
    options = ["--refusals", "0", "--pace", str(PACE), "--latency", str(LATENCY_S), *load.limits]
    with SimulatorProcess.start(options) as simulator, _client(load, client, simulator.base_url, in_flight):
        deadline = time.monotonic() + START_S
        while not _meter(simulator.base_url)["requests"]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{client} sent nothing within {START_S:g} s")
            time.sleep(0.1)
        time.sleep(WARM_S)
        before, started = _meter(simulator.base_url), time.monotonic()
        time.sleep(MEASURED_S)
        after, seconds = _meter(simulator.base_url), time.monotonic() - started
    admitted = after["requests"] - before["requests"]
    refused = after["errors"].get("rate_limit_error", 0) - before["errors"].get("rate_limit_error", 0)
    used = (after[load.binding] - before[load.binding]) / (load.per_minute / 60 * seconds)
    return used, refused / (admitted + refused)


def _meter(base_url: str) -> Meter:
    with urllib.request.urlopen(f"{base_url}/_simulator/meter?samples=0") as reply:
        meter: Meter = json.load(reply)
        return meter


@contextmanager
def _client(load: Load, client: Client, base_url: str, in_flight: int) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        command = _ours(load, base_url, Path(folder)) if client == "polythink" else _rival(load, client, base_url)
        command += [] if client == "polythink" else [str(in_flight)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT if client == "polythink" else signal.SIGKILL)
            process.wait()


def _ours(load: Load, base_url: str, folder: Path) -> list[str]:
    (folder / "problems.jsonl").write_text(json.dumps({"id": "p", "problem": load.prompt}) + "\n")
    reasoning = f"{{budget_tokens: {BUDGET}}}" if load.thinks else "none"
    (folder / "job.yaml").write_text(
        f"name: limited\nproblems: {{path: problems.jsonl}}\nsamples: 1000000\nconcurrency: 1000\nworkers: {WORKERS}\n"
        f"max_tokens: {MAX_TOKENS}\narms: [{{model: {MODEL}, reasoning: {reasoning}}}]\n"
    )
    job = [str(folder / "job.yaml"), "--archive", str(folder / "archive"), "--base-url", base_url, "--yes"]
    return [sys.executable, "-m", "polythink", "run", *job]


def _rival(load: Load, client: Client, base_url: str) -> list[str]:
    request: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": MAX_TOKENS,
        "messages": [{"role": "user", "content": load.prompt}],
    }
    if load.thinks:
        request["thinking"] = {"type": "enabled", "budget_tokens": BUDGET}
    return [sys.executable, "-m", "benchmarks.limited_client", client, base_url, json.dumps(request)]
