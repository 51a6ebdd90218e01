"""The running server: pace, clocks, the meter file, the cache, and an orderly end."""

import json
import re
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import anthropic
import pytest

from polythink.simulator.parse import parse_message
from polythink.simulator.process import SimulatorProcess, SimulatorStartError
from polythink.simulator.prompt_cache import PromptCache

ASK: Any = {"model": "claude-haiku-4-5", "max_tokens": 2048, "thinking": {"type": "enabled", "budget_tokens": 1024}}
HELLO: Any = [{"role": "user", "content": "Hello"}]


def client_of(simulator: SimulatorProcess) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="k", base_url=simulator.base_url, max_retries=0)


def meter(simulator: SimulatorProcess) -> dict[str, Any]:
    with urllib.request.urlopen(f"{simulator.base_url}/_simulator/meter") as reply:
        body: dict[str, Any] = json.load(reply)
    return body


def test_it_listens_quickly_and_ends_with_code_0() -> None:
    started = time.monotonic()
    with SimulatorProcess.start() as simulator:
        assert time.monotonic() - started < 10
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", simulator.base_url)
        assert simulator.stop() == 0


@pytest.mark.parametrize(
    "args",
    [
        ["--mind", "replay"],
        ["--problems", "absent.jsonl"],
        ["--faults", "absent.yaml"],
        ["--time-scale", "0"],
        ["--requests-per-minute", "0"],
    ],
)
def test_bad_options_end_it_before_it_listens(args: list[str]) -> None:
    with pytest.raises(SimulatorStartError, match="exit code 2"):
        SimulatorProcess.start(args)


def test_pace_and_time_scale_set_how_long_a_reply_takes() -> None:
    with (
        SimulatorProcess.start(["--pace", "500", "--time-scale", "4", "--refusals", "0"]) as simulator,
        client_of(simulator).messages.stream(**ASK, messages=HELLO) as stream,
    ):
        started = time.monotonic()
        gaps = [time.monotonic() - started for event in stream if event.type == "content_block_delta"]
        tokens = stream.get_final_message().usage.output_tokens
    expected = tokens / 500 / 4
    assert expected * 0.8 < gaps[-1] < expected * 1.5 + 1
    assert gaps[len(gaps) // 2] > expected * 0.2


def test_a_client_that_hangs_up_is_billed_for_what_was_generated() -> None:
    with SimulatorProcess.start(["--pace", "200", "--refusals", "0"]) as simulator:
        client = client_of(simulator)
        with client.messages.create(**ASK, messages=HELLO, stream=True, metadata={"user_id": "u"}) as stream:
            for event in stream:
                if event.type == "content_block_delta":
                    break
        deadline = time.monotonic() + 10
        while not (seen := meter(simulator)["samples"]["u"])["output_tokens"] and time.monotonic() < deadline:
            pass
        assert seen["requests"] == 1
        assert seen["completed"] == 0
        assert 0 < seen["output_tokens"] < 1200


def test_meter_file_holds_the_last_word(tmp_path: Path) -> None:
    path = tmp_path / "meter.json"
    with SimulatorProcess.start(["--meter", str(path)]) as simulator:
        client_of(simulator).messages.create(**ASK, messages=HELLO, metadata={"user_id": "u"})
        wanted = meter(simulator)
    assert json.loads(path.read_text()) == wanted


def test_compressed_time_tells_waits_in_wall_seconds() -> None:
    args = ["--requests-per-minute", "2", "--burst-seconds", "30", "--time-scale", "60"]
    with SimulatorProcess.start(args) as simulator:
        client = client_of(simulator)
        first = client.messages.with_raw_response.create(**ASK, messages=HELLO)
        assert first.headers["anthropic-ratelimit-requests-limit"] == "120"
        waits = []
        for _ in range(5):
            try:
                client.messages.create(**ASK, messages=HELLO)
            except anthropic.RateLimitError as error:
                waits.append(int(error.response.headers["retry-after"]))
        assert waits
        assert set(waits) == {1}


def test_other_than_json_and_unknown_paths_get_the_api_errors() -> None:
    with SimulatorProcess.start() as simulator:
        headers = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
        for path, data, status, kind in (
            ("/v1/messages?beta=true", b"{", 400, "invalid_request_error"),
            ("/v1/messages", b"[]", 400, "invalid_request_error"),
            ("/v1/nothing", b"{}", 404, "not_found_error"),
        ):
            asked = urllib.request.Request(f"{simulator.base_url}{path}", data, headers)
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(asked)
            body = json.loads(caught.value.read())
            assert (caught.value.code, body["error"]["type"]) == (status, kind)
            assert body["request_id"] == caught.value.headers["request-id"]


def test_too_large_bodies_are_refused_before_they_are_read() -> None:
    with SimulatorProcess.start() as simulator:
        host, port = simulator.base_url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(
                b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: k\r\nanthropic-version: 2026-10-21\r\n"
                b"Content-Length: 33554433\r\n\r\n"
            )
            reply = raw.recv(4096).decode()
    assert " 413 " in reply.split("\r\n")[0]


def cached(text: str, ttl: str = "5m", **changes: Any) -> Any:
    system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}}]
    return parse_message(
        {"model": "claude-sonnet-4-6", "max_tokens": 10, "messages": HELLO, "system": system, **changes}, "2026-10-21"
    )


LONG = "context " * 1000


def test_cache_is_read_once_its_writer_has_begun_and_until_it_expires() -> None:
    cache = PromptCache()
    first = cache.visit(cached(LONG), "org", 0.0)
    assert first.usage.cache_write_5m_tokens == 2000
    assert cache.visit(cached(LONG), "org", 1.0).usage.cache_read_tokens == 0
    first.begun()
    assert cache.visit(cached(LONG), "org", 2.0).usage.cache_read_tokens == 2000
    assert cache.visit(cached(LONG), "other", 2.0).usage.cache_read_tokens == 0
    assert cache.visit(cached(LONG, model="claude-opus-4-6"), "org", 2.0).usage.cache_read_tokens == 0
    assert cache.visit(cached(LONG), "org", 301.0).usage.cache_read_tokens == 2000  # refreshed by the read before
    assert cache.visit(cached(LONG), "org", 700.0).usage.cache_read_tokens == 0


def test_system_prefix_outlives_other_thinking_but_messages_do_not() -> None:
    cache = PromptCache()
    cache.visit(cached(LONG, thinking={"type": "adaptive"}), "org", 0.0).begun()
    assert cache.visit(cached(LONG), "org", 1.0).usage.cache_read_tokens == 2000
    message: Any = [
        {"role": "user", "content": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]}
    ]
    cache.visit(cached("short", messages=message, thinking={"type": "adaptive"}), "org", 0.0).begun()
    assert cache.visit(cached("short", messages=message), "org", 1.0).usage.cache_read_tokens == 0


def test_short_prefixes_are_not_cached_and_usage_adds_up() -> None:
    cache = PromptCache()
    short = cache.visit(cached("context " * 100), "org", 0.0)
    assert short.usage.cache_write_tokens == 0
    for ttl, field in (("5m", "cache_write_5m_tokens"), ("1h", "cache_write_1h_tokens")):
        asked = cached(LONG + ttl, ttl)
        usage = cache.visit(asked, "org", 0.0).usage
        assert getattr(usage, field) > 0
        assert usage.input_tokens + usage.cache_write_tokens + usage.cache_read_tokens == asked.input_tokens
