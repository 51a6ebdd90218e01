"""Every recorded reply of the real API has a twin here: same keys, same types, same events in the same order."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from polythink.simulator.process import SimulatorProcess

WIRE = Path(__file__).parents[3] / "shared/data/wire"
pytestmark = pytest.mark.skipif(not WIRE.is_dir(), reason="the recorded traffic is not on this machine")

# Fields that the API gained after the older recordings were made.
LATER = {
    "caller",
    "cache_creation",
    "inference_geo",
    "output_tokens_details",
    "service_tier",
    "stop_details",
    "thinking_tokens",
    "ephemeral_5m_input_tokens",
    "ephemeral_1h_input_tokens",
}
DRAWS = 40  # how many redacted blocks there are, and whether a call is announced, differs from draw to draw
RETIRED = ("claude-3-5-sonnet", "claude-3-7-sonnet", "claude-sonnet-4-0")
STAND_IN = "claude-sonnet-4-5"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with SimulatorProcess.start(["--refusals", "0", "--batch-seconds", "0"]) as simulator:
        yield simulator.base_url


def recordings(suffix: str) -> list[str]:
    names = sorted(path.name.removesuffix(suffix) for path in WIRE.glob(f"*{suffix}")) if WIRE.is_dir() else []
    return [name for name in names if (WIRE / f"{name}.request.json").exists()]


def request_of(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((WIRE / f"{name}.request.json").read_text())
    for params in [entry["params"] for entry in body.get("requests", [])] or [body]:
        if params["model"].startswith(RETIRED):
            params["model"] = STAND_IN
        if "max_tokens" in params:  # a drawn length of thinking must not cut the twin short
            params["max_tokens"] = 64_000
    return body


def send(url: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01", "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}{path}", data, headers)) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def path_of(name: str, body: dict[str, Any]) -> str:
    if "requests" in body:
        return "/v1/messages/batches"
    return "/v1/messages/count_tokens" if "count_tokens" in name else "/v1/messages"


def differences(recorded: Any, ours: Any, where: str = "") -> list[str]:
    """Where the shapes differ: keys missing or added, and types. Null goes with any type."""
    if recorded is None or ours is None:
        return []
    if type(recorded) is not type(ours):
        return [f"{where}: {type(ours).__name__} for {type(recorded).__name__}"]
    if isinstance(recorded, list):
        return [found for pair in zip(recorded, ours, strict=False) for found in differences(*pair, f"{where}[]")]
    if not isinstance(recorded, dict):
        return []
    found = [f"{where}.{key}: missing" for key in recorded.keys() - ours.keys()]
    found += [f"{where}.{key}: added" for key in ours.keys() - recorded.keys() - LATER]
    for key in recorded.keys() & ours.keys() - {"input"}:
        found += differences(recorded[key], ours[key], f"{where}.{key}")
    return found


def events(stream: str) -> list[tuple[str, Any]]:
    found = []
    for chunk in filter(None, stream.split("\n\n")):
        name, data = chunk.strip().split("\n", 1)
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def step(name: str, data: Any) -> str:
    """An event's name with the type of what it carries."""
    carried = data.get("content_block") or data.get("delta") or {}
    return f"{name} {carried.get('type', '')}".strip()


@pytest.mark.parametrize("name", recordings(".response.sse"))
def test_recorded_stream_has_its_twin(url: str, name: str) -> None:
    recorded = events((WIRE / f"{name}.response.sse").read_text())
    expected = steps(recorded)
    drawn: list[list[str]] = []
    while expected not in drawn and len(drawn) < DRAWS:
        status, text = send(url, "/v1/messages", request_of(name))
        assert status == 200, text
        ours = events(text)
        drawn.append(steps(ours))
    assert expected in drawn
    shapes = {step(*one): one[1] for one in reversed(ours)}
    problems = [found for kind, data in recorded for found in differences(data, shapes[step(kind, data)], kind)]
    assert problems == []


def steps(stream: list[tuple[str, Any]]) -> list[str]:
    """The order of a stream's events, deltas of one block taken together."""
    return [kind for kind, _ in groupby(step(*one) for one in stream)]


def block_types(reply: dict[str, Any]) -> list[str]:
    """The types of a message's blocks; nothing for other replies."""
    return [block["type"] for block in reply.get("content", ())]


@pytest.mark.parametrize("name", recordings(".response.json"))
def test_recorded_json_has_its_twin(url: str, name: str) -> None:
    recorded = json.loads((WIRE / f"{name}.response.json").read_text())
    body = request_of(name)
    drawn: list[list[str]] = []
    while block_types(recorded) not in drawn and len(drawn) < DRAWS:
        status, text = send(url, path_of(name, body), body)
        ours = json.loads(text)
        drawn.append(block_types(ours))
    assert block_types(recorded) in drawn
    assert ours["type"] == recorded["type"]
    if recorded["type"] == "error":
        assert status in (400, 404)
        assert ours["error"]["type"] == recorded["error"]["type"]
        assert ours["error"]["message"] == recorded["error"]["message"]
    assert differences(recorded, ours) == []


@pytest.mark.parametrize(
    "name", [name for name in recordings(".response.json") if "batch" in name and name.endswith("__0")]
)
def test_recorded_batch_has_its_twin_at_every_step(url: str, name: str) -> None:
    _, text = send(url, "/v1/messages/batches", request_of(name))
    created = json.loads(text)
    path = f"/v1/messages/batches/{created['id']}"
    while (polled := json.loads(send(url, path)[1]))["processing_status"] != "ended":
        pass
    for recording in sorted(WIRE.glob(f"{name[:-1]}[1-9].response.json")):
        recorded = json.loads(recording.read_text())
        assert differences(recorded, polled) == []
    lines = [json.loads(line) for line in send(url, f"{path}/results")[1].splitlines()]
    recorded_results = WIRE / f"{name[:-1]}3.response.jsonl"
    if recorded_results.exists():
        for line in map(json.loads, recorded_results.read_text().splitlines()):
            [twin] = [one for one in lines if one["custom_id"] == line["custom_id"]]
            assert differences(line, twin) == []


def test_recorded_streams_pad_and_ping_as_ours_do(url: str) -> None:
    body = {"model": STAND_IN, "max_tokens": 4000, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    _, text = send(url, "/v1/messages", body)
    assert [kind for kind, _ in events(text)][2] == "ping"
    assert 'event: ping\ndata: {"type": "ping"}\n\n' in text
    assert any(line.endswith(" }") for line in text.splitlines())
