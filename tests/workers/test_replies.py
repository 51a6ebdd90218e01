"""Reply puts streams together exactly as the SDK's own accumulator does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from polythink.workers.replies import MalformedEventError, Reply
from polythink.workers.sse import EventReader
from tests.workers.sdk_streams import JsonObject, by_sdk, streams, words, written

WIRE = Path(__file__).parents[2] / ".." / "shared" / "data" / "wire"
STARTED = {"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": [], "usage": {}}}


def frames(events: list[JsonObject]) -> bytes:
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode() for event in events
    )


def by_us(stream: bytes, step: int | None = None) -> Reply:
    reply, reader = Reply(), EventReader()
    step = step or len(stream) or 1
    for at in range(0, len(stream), step):
        for event, data in reader.feed(stream[at : at + step]):
            reply.feed(event, data)
    return reply


def block(start: JsonObject, *deltas: JsonObject) -> list[JsonObject]:
    return [
        {"type": "content_block_start", "index": 0, "content_block": start},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
    ]


@settings(max_examples=250)
@given(st.data(), streams())
def test_any_stream_comes_out_as_the_sdk_has_it(data: st.DataObject, events: list[JsonObject]) -> None:
    stream = data.draw(written(events))
    ours, theirs = by_us(stream, data.draw(st.integers(1, 200))), by_sdk(stream)
    assert ours.is_complete
    assert ours.message() == theirs


@pytest.mark.parametrize("path", sorted(WIRE.glob("*.response.sse")) or [None], ids=lambda p: p.name if p else "none")
def test_recorded_streams_come_out_as_the_sdk_has_them(path: Path | None) -> None:
    if path is None:
        pytest.skip(f"no recordings in {WIRE}")
    stream = path.read_bytes()
    ours, theirs = by_us(stream), by_sdk(stream)
    assert ours.is_complete
    assert ours.content()
    assert ours.message() == theirs
    assert ours.usage().output_tokens == theirs["usage"]["output_tokens"]


@given(streams())
def test_what_is_billed_is_what_the_message_says(events: list[JsonObject]) -> None:
    reply = by_us(frames(events))
    usage, said = reply.usage(), reply.message()["usage"]
    assert usage.input_tokens == said["input_tokens"]
    assert usage.output_tokens == said["output_tokens"]
    assert usage.cache_read_tokens == (said.get("cache_read_input_tokens") or 0)
    assert usage.cache_write_tokens == (said.get("cache_creation_input_tokens") or 0)
    assert usage.thinking_tokens == (said.get("output_tokens_details") or {}).get("thinking_tokens")


@given(streams(), st.data())
def test_a_stream_cut_anywhere_keeps_what_came_and_is_not_complete(
    events: list[JsonObject], data: st.DataObject
) -> None:
    kept = data.draw(st.integers(0, len(events) - 1))
    whole, part = by_us(frames(events)), by_us(frames(events[:kept]))
    assert not part.is_complete
    for ours, full in zip(part.content(), whole.content(), strict=False):
        for name in ("text", "thinking"):
            assert full.get(name, "").startswith(ours.get(name, ""))
    json.dumps(part.content())
    assert part.usage().output_tokens >= 0


@given(st.lists(words | st.text('\ud800\udc00"\\\n\x00é', max_size=6), max_size=5), st.booleans())
@example(["\ud83d", "\ude00"], True)
def test_text_is_put_together_piece_by_piece_whatever_is_in_it(texts: list[str], compact: bool) -> None:
    separators = (",", ":") if compact else (", ", ": ")
    reply = by_us(frames([STARTED, *block({"type": "text", "text": ""})]))
    for text in texts:
        event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        reply.feed(b"content_block_delta", json.dumps(event, separators=separators).encode())
    read = [json.loads(json.dumps(text)) for text in texts]
    assert reply.content() == [{"type": "text", "text": "".join(read)}]


@pytest.mark.parametrize(
    ("written_blocks", "tokens"),
    [
        (block({"type": "text", "text": ""}, {"type": "text_delta", "text": "é" * 400}), 100),
        (block({"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "x" * 400}), 100),
        (block({"type": "thinking", "thinking": ""}, {"type": "signature_delta", "signature": "A" * 800}), 100),
        (block({"type": "redacted_thinking", "data": "A" * 800}), 100),
        (block({"type": "thinking", "thinking": ""}), 0),
    ],
)
def test_the_output_of_a_cut_stream_is_estimated_from_what_came(written_blocks: list[JsonObject], tokens: int) -> None:
    assert by_us(frames([STARTED, *written_blocks])).usage().output_tokens == tokens


def test_a_stream_cut_in_hidden_thinking_says_that_it_hides_some() -> None:
    start = {"type": "thinking", "thinking": "", "signature": ""}
    assert by_us(frames([STARTED, *block(start)])).hides_thinking()
    assert not by_us(frames([STARTED, *block(start, {"type": "signature_delta", "signature": "s"})])).hides_thinking()
    assert not by_us(frames([STARTED, *block(start, {"type": "thinking_delta", "thinking": "t"})])).hides_thinking()
    assert not by_us(frames([STARTED, *block({"type": "text", "text": ""})])).hides_thinking()


@given(streams(), st.text(min_size=1), st.binary())
def test_unknown_events_change_nothing(events: list[JsonObject], name: str, data: bytes) -> None:
    reply = Reply()
    for event in events:
        reply.feed(f"new_{name}".encode(), data)
        reply.feed(event["type"].encode(), json.dumps(event).encode())
    known = by_us(frames(events))
    assert (reply.message(), reply.usage(), reply.is_complete) == (known.message(), known.usage(), known.is_complete)


def test_a_stop_without_a_message_completes_nothing() -> None:
    assert not by_us(frames([{"type": "message_stop"}])).is_complete


def test_arguments_of_a_tool_that_are_no_json_are_kept_as_written() -> None:
    start = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": part} for part in ("{bad", " json")]
    (kept,) = by_us(frames([STARTED, *block(start, *deltas)])).content()
    assert kept["input"] == "{bad json"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def twisted(draw: st.DrawFn) -> list[JsonObject]:
    """A whole message with one value, anywhere, replaced by something else."""
    events = json.loads(json.dumps(draw(streams())))
    holder: Any = draw(st.sampled_from(events))
    while True:
        name = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        inner = holder[name]
        if not (isinstance(inner, dict | list) and inner and draw(st.booleans())):
            break
        holder = inner
    if not (holder in events and name == "type"):
        holder[name] = draw(json_values)
    return list(events)


@settings(max_examples=300)
@given(twisted())
def test_a_twisted_event_is_refused_as_malformed_or_leaves_a_record_that_can_be_kept(events: list[JsonObject]) -> None:
    reply = Reply()
    try:
        for event in events:
            reply.feed(str(event["type"]).encode(), json.dumps(event).encode())
    except MalformedEventError:
        pass
    for kept in reply.content():
        if kept.get("type") in ("text", "thinking"):
            assert all(isinstance(kept.get(name) or "", str) for name in ("text", "thinking", "signature"))
    usage = reply.usage()
    assert all(isinstance(count, int) for count in (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens))
    assert all(isinstance(text or "", str) for text in (reply.message_id, reply.model, reply.stop_reason))


@pytest.mark.parametrize("data", [b"", b"{oops", b"[]", b"7", b'"text"', b"null", b"{}", b"\xff", b"[" * 10**5])
def test_data_that_is_no_event_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(MalformedEventError, match="message_start"):
        Reply().feed(b"message_start", data)


@pytest.mark.parametrize("index", [1, -1, 10**7])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_a_delta_for_a_block_that_never_began_is_refused(index: int, separators: tuple[str, str]) -> None:
    reply = by_us(frames([STARTED, *block({"type": "text", "text": ""})]))
    event = {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": "x"}}
    with pytest.raises(MalformedEventError, match="content_block_delta"):
        reply.feed(b"content_block_delta", json.dumps(event, separators=separators).encode())


@pytest.mark.parametrize("text", [b'"\xff"', b'"\\x"', b'"\\ud8"', b'"a\x01b"', b'"a"b"'])
def test_text_that_no_json_reader_takes_is_refused_at_once(text: bytes) -> None:
    reply = by_us(frames([STARTED, *block({"type": "text", "text": ""})]))
    with pytest.raises(MalformedEventError):
        reply.feed(
            b"content_block_delta",
            b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%s}}' % text,
        )
