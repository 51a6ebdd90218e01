"""Reply puts streams together exactly as the SDK's own accumulator does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polythink.workers.replies import MalformedEventError, Reply

WIRE = Path(__file__).parents[2] / ".." / "shared" / "data" / "wire"
SHOWN_BY_US = ("type", "text", "thinking", "signature", "data", "id", "name", "input")

words = st.text(max_size=30)
pieces = st.lists(words, max_size=4)
counts = st.integers(0, 10**6)


def frames(events: list[dict[str, Any]]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


@st.composite
def blocks(draw: st.DrawFn, index: int) -> list[dict[str, Any]]:
    """The events of one content block, its text cut anywhere."""
    kind = draw(st.sampled_from(["text", "thinking", "redacted_thinking", "tool_use"]))
    start: dict[str, Any] = {"type": kind}
    deltas: list[dict[str, Any]] = []
    match kind:
        case "text":
            start["text"] = ""
            deltas = [{"type": "text_delta", "text": piece} for piece in draw(pieces)]
        case "thinking":
            start |= {"thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in draw(pieces)]
            deltas.append({"type": "signature_delta", "signature": draw(st.text("aZ0+/=", min_size=1))})
        case "redacted_thinking":
            start["data"] = draw(words)
        case _:
            start |= {"id": "toolu_1", "name": "f", "input": {}}
            written = json.dumps(draw(st.dictionaries(words, st.integers() | words, max_size=3)))
            cut = draw(st.integers(0, len(written)))
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in (written[:cut], written[cut:])]
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


@st.composite
def streams(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The events of any whole message, with pings between."""
    usage = {"input_tokens": draw(counts), "cache_read_input_tokens": draw(counts), "output_tokens": 1}
    usage["cache_creation_input_tokens"] = draw(counts)
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {**message, "stop_reason": None}}]
    for index in range(draw(st.integers(0, 4))):
        events += draw(blocks(index))
        events += [{"type": "ping"}] * draw(st.integers(0, 1))
    delta = {"stop_reason": draw(st.sampled_from(["end_turn", "max_tokens", "refusal", "tool_use"]))}
    last = {"output_tokens": draw(counts), "output_tokens_details": {"thinking_tokens": draw(counts)}}
    return [*events, {"type": "message_delta", "delta": delta, "usage": last}, {"type": "message_stop"}]


def by_sdk(stream: bytes) -> anthropic.types.Message:
    """What the SDK makes of the same bytes."""
    reply = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    transport = httpx2.MockTransport(lambda request: reply)
    with (
        anthropic.Anthropic(api_key="k", http_client=httpx2.Client(transport=transport)) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as stream_,
    ):
        return stream_.get_final_message()


def by_us(stream: bytes) -> Reply:
    reply = Reply()
    for frame in stream.decode().replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.split("\n") if ": " in line)
        if "data" in fields:
            reply.feed(fields.get("event"), fields["data"])
    return reply


def shown(block: dict[str, Any]) -> dict[str, Any]:
    return {name: block[name] for name in SHOWN_BY_US if name in block}


def assert_same(ours: Reply, theirs: anthropic.types.Message) -> None:
    assert [shown(b) for b in ours.content()] == [shown(b.to_dict()) for b in theirs.content]
    assert (ours.stop_reason, ours.message_id, ours.model) == (theirs.stop_reason, theirs.id, theirs.model)
    usage, billed = ours.usage(), theirs.usage
    assert usage.input_tokens == billed.input_tokens
    assert usage.output_tokens == billed.output_tokens
    assert usage.cache_read_tokens == (billed.cache_read_input_tokens or 0)
    assert usage.cache_write_tokens == (billed.cache_creation_input_tokens or 0)
    details = billed.output_tokens_details
    assert usage.thinking_tokens == (details.thinking_tokens if details else None)


@settings(max_examples=60, deadline=None)
@given(streams())
def test_any_stream_comes_out_as_the_sdk_has_it(events: list[dict[str, Any]]) -> None:
    assert_same(by_us(frames(events)), by_sdk(frames(events)))


@pytest.mark.parametrize("path", sorted(WIRE.glob("*.response.sse")) or [None], ids=lambda p: p.name if p else "none")
def test_recorded_streams_come_out_as_the_sdk_has_them(path: Path | None) -> None:
    if path is None:
        pytest.skip(f"no recordings in {WIRE}")
    ours = by_us(path.read_bytes())
    assert ours.is_complete
    assert ours.content()
    assert_same(ours, by_sdk(path.read_bytes()))


@given(streams(), st.data())
def test_a_stream_cut_anywhere_keeps_what_came_and_is_not_complete(
    events: list[dict[str, Any]], data: st.DataObject
) -> None:
    kept = data.draw(st.integers(0, len(events) - 1))
    whole, part = by_us(frames(events)), by_us(frames(events[:kept]))
    assert not part.is_complete
    for ours, full in zip(part.content(), whole.content(), strict=False):
        for name in ("text", "thinking"):
            assert full.get(name, "").startswith(ours.get(name, ""))
    json.dumps(part.content())
    assert part.usage().output_tokens >= 0


def test_the_output_of_a_cut_stream_is_estimated_from_what_came() -> None:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x" * 400}}
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    assert by_us(frames([start, delta])).usage().output_tokens == 100


@given(streams(), st.text(min_size=1), st.text())
def test_unknown_events_change_nothing(events: list[dict[str, Any]], name: str, data: str) -> None:
    reply = Reply()
    for event in events:
        reply.feed(f"new_{name}", data)
        reply.feed(event["type"], json.dumps(event))
    known = by_us(frames(events))
    assert (reply.content(), reply.usage(), reply.is_complete) == (known.content(), known.usage(), known.is_complete)


def test_unknown_blocks_and_deltas_are_kept_and_passed_over() -> None:
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "hologram", "depth": 3}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "hologram_delta", "depth": 1}}
    assert by_us(frames([start, delta])).content() == [{"type": "hologram", "depth": 3}]


def test_citations_gather_though_the_block_began_with_none() -> None:
    start = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": "", "citations": None},
    }
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {"n": n}}}
        for n in (1, 2)
    ]
    (block,) = by_us(frames([start, *deltas])).content()
    assert block["citations"] == [{"n": 1}, {"n": 2}]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def twisted(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A whole message with one value, anywhere, replaced by something else."""
    events = draw(streams())
    holder: Any = draw(st.sampled_from(events))
    while True:
        name = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        inner = holder[name]
        if not (isinstance(inner, dict | list) and inner and draw(st.booleans())):
            break
        holder = inner
    if name != "type":
        holder[name] = draw(json_values)
    return events


@settings(max_examples=300)
@given(twisted())
def test_a_twisted_event_is_refused_as_malformed_or_leaves_a_record_that_can_be_kept(
    events: list[dict[str, Any]],
) -> None:
    reply = Reply()
    try:
        for event in events:
            reply.feed(str(event["type"]), json.dumps(event))
    except MalformedEventError:
        pass
    for block in reply.content():
        assert all(isinstance(block.get(name) or "", str) for name in ("text", "thinking", "signature"))
    usage = reply.usage()
    assert all(isinstance(count, int) for count in (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens))
    assert all(isinstance(text or "", str) for text in (reply.message_id, reply.model, reply.stop_reason))


@pytest.mark.parametrize("data", ["", "{oops", "[]", "7", '"text"', "null", "{}"])
def test_data_that_is_no_event_is_refused_by_name(data: str) -> None:
    with pytest.raises(MalformedEventError, match="message_start"):
        Reply().feed("message_start", data)
