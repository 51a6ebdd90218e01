"""Streams of every kind of message the installed SDK knows, and what the SDK makes of their bytes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import anthropic
import httpx2
from hypothesis import strategies as st

JsonObject = dict[str, Any]

words = st.text(max_size=20)
pieces = st.lists(words, max_size=4)
counts = st.integers(0, 10**6)
arguments = st.dictionaries(words, st.integers() | words | st.lists(words, max_size=2), max_size=3)
extras = st.dictionaries(st.sampled_from(["new_field", "depth"]), st.integers() | words, max_size=1)

RESULTS: dict[str, Any] = {  # block type -> content of the results that come whole
    "web_search_tool_result": [
        {"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "e", "page_age": None}
    ],
    "web_fetch_tool_result": {"type": "web_fetch_tool_result_error", "error_code": "unavailable"},
    "code_execution_tool_result": {
        "type": "code_execution_result",
        "stdout": "4",
        "stderr": "",
        "return_code": 0,
        "content": [],
    },
    "bash_code_execution_tool_result": {
        "type": "bash_code_execution_result",
        "stdout": "4",
        "stderr": "",
        "return_code": 0,
        "content": [{"type": "bash_code_execution_output", "file_id": "file_1"}],
    },
    "text_editor_code_execution_tool_result": {
        "type": "text_editor_code_execution_create_result",
        "is_file_update": False,
    },
    "tool_search_tool_result": {
        "type": "tool_search_tool_search_result",
        "tool_references": [{"type": "tool_reference", "tool_name": "f"}],
    },
}
CITATIONS: tuple[JsonObject, ...] = (
    {"type": "char_location", "start_char_index": 1, "end_char_index": 2},
    {"type": "page_location", "start_page_number": 1, "end_page_number": 2},
    {"type": "content_block_location", "start_block_index": 1, "end_block_index": 2},
)


def _cut(draw: st.DrawFn, text: str) -> list[str]:
    bounds = [0, *sorted(draw(st.lists(st.integers(0, len(text)), max_size=3))), len(text)]
    return [text[start:end] for start, end in pairwise(bounds)]


def _text(draw: st.DrawFn) -> tuple[JsonObject, list[JsonObject]]:
    start = {"type": "text", "text": draw(words)} | draw(st.sampled_from([{}, {"citations": None}, {"citations": []}]))
    deltas = [{"type": "text_delta", "text": piece} for piece in draw(pieces)]
    where = {"cited_text": draw(words), "document_index": 0, "document_title": None, "file_id": None}
    cited = draw(st.lists(st.sampled_from(CITATIONS), max_size=2))
    return start, deltas + [{"type": "citations_delta", "citation": {**where, **citation}} for citation in cited]


def _thinking(draw: st.DrawFn) -> tuple[JsonObject, list[JsonObject]]:
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in draw(pieces)]
    signatures = draw(st.lists(st.text("aZ0+/=", min_size=1), max_size=2))
    start = {"type": "thinking", "thinking": draw(words), "signature": ""}
    return start, deltas + [{"type": "signature_delta", "signature": signature} for signature in signatures]


def _tool(draw: st.DrawFn, kind: str) -> tuple[JsonObject, list[JsonObject]]:
    start = {"type": kind, "id": "toolu_1", "name": "web_search", "input": {}}
    written = json.dumps(draw(arguments))
    if draw(st.booleans()):  # as max_tokens does
        written = written[: draw(st.integers(0, len(written)))]
    return start, [{"type": "input_json_delta", "partial_json": part} for part in ["", *_cut(draw, written)]]


@st.composite
def blocks(draw: st.DrawFn, index: int) -> list[JsonObject]:
    """The events of one content block, its text cut anywhere, with deltas that are not its own in between."""
    deltas: list[JsonObject] = []
    match draw(st.sampled_from(["text", "thinking", "redacted_thinking", "tool", "result", "upload", "unknown"])):
        case "text":
            start, deltas = _text(draw)
        case "thinking":
            start, deltas = _thinking(draw)
        case "tool":
            start, deltas = _tool(draw, draw(st.sampled_from(["tool_use", "server_tool_use"])))
        case "redacted_thinking":
            start = {"type": "redacted_thinking", "data": draw(words)}
        case "upload":
            start = {"type": "container_upload", "file_id": "file_1"}
        case "result":
            kind = draw(st.sampled_from(sorted(RESULTS)))
            start = {"type": kind, "tool_use_id": "srvtoolu_1", "content": RESULTS[kind]}
        case _:
            start = {"type": "hologram", "depth": 3}
            deltas = [{"type": "text_delta", "text": "not its own"}]
    strange = draw(
        st.lists(
            st.sampled_from([{"type": "thinking_delta", "thinking": "x"}, {"type": "text_delta", "text": "x"}]),
            max_size=1,
        )
    )
    if start["type"] not in ("text", "thinking"):
        deltas += strange
    return [
        {"type": "content_block_start", "index": index, "content_block": start | draw(extras)},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


@st.composite
def _interleaved(draw: st.DrawFn, parts: list[list[JsonObject]]) -> list[JsonObject]:
    """The events of several blocks: one block after the other, or a block beginning before the last has ended."""
    merged: list[JsonObject] = []
    for part in parts:
        held_back = draw(st.integers(0, max(0, len(merged) - 1))) if draw(st.booleans()) and merged else 0
        starts = [n for n, event in enumerate(merged) if event["type"] == "content_block_start"]
        at = max([len(merged) - held_back, *[n + 1 for n in starts]])
        merged = [*merged[:at], part[0], *merged[at:], *part[1:]]
    return merged


def _usage(draw: st.DrawFn) -> JsonObject:
    usage: JsonObject = {"input_tokens": draw(counts), "output_tokens": draw(counts)}
    optional: JsonObject = {
        "cache_creation_input_tokens": draw(counts | st.none()),
        "cache_read_input_tokens": draw(counts | st.none()),
        "server_tool_use": draw(st.none() | st.just({"web_search_requests": 2, "web_fetch_requests": 0})),
        "output_tokens_details": draw(st.none() | st.just({"thinking_tokens": 17})),
    }
    kept = draw(st.sets(st.sampled_from(sorted(optional))))
    return usage | {name: optional[name] for name in sorted(kept)} | draw(extras)


@st.composite
def streams(draw: st.DrawFn) -> list[JsonObject]:
    """The events of any whole message, with pings and events nobody knows in between."""
    usage = _usage(draw) | draw(
        st.sampled_from([{}, {"cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}}])
    )
    usage |= draw(st.sampled_from([{}, {"service_tier": "standard", "inference_geo": "global"}]))
    message: JsonObject = {"id": "msg_1", "type": "message", "role": "assistant", "model": draw(words), "content": []}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": usage} | draw(extras)
    parts: list[list[JsonObject]] = [draw(blocks(index)) for index in range(draw(st.integers(0, 4)))]
    passing: st.SearchStrategy[JsonObject] = st.sampled_from([{"type": "ping"}, {"type": "hologram", "index": 0}])
    between: list[JsonObject] = []
    for event in draw(_interleaved(parts)):
        between += [event, *draw(st.lists(passing, max_size=1))]
    delta: JsonObject = {"stop_reason": draw(st.sampled_from(["end_turn", "max_tokens", "refusal", "tool_use"]))}
    delta |= draw(st.sampled_from([{}, {"stop_sequence": "END", "stop_details": None}]))
    delta |= draw(st.sampled_from([{}, {"stop_details": {"type": "refusal", "category": "bio", "explanation": "no"}}]))
    delta |= draw(
        st.sampled_from([{}, {"container": None}, {"container": {"id": "c", "expires_at": "2026-01-02T03:04:05Z"}}])
    )
    ended = {"type": "message_delta", "delta": delta, "usage": _usage(draw)}
    return [{"type": "message_start", "message": message}, *between, ended, {"type": "message_stop"}]


@st.composite
def written(draw: st.DrawFn, events: list[JsonObject]) -> bytes:
    """Events as bytes: compact as the API writes them, with its padding, or in any other way JSON allows."""
    compact, ascii_only = draw(st.booleans()), draw(st.booleans())
    padding = " " * draw(st.integers(0, 3))
    frames = []
    for event in events:
        separators = (",", ":") if compact else (", ", ": ")
        data = json.dumps(event, separators=separators, ensure_ascii=ascii_only)
        frames.append(f"event: {event['type']}\ndata: {data[:-1]}{padding}}}\n\n")
    return "".join(frames).encode()


def by_sdk(stream: bytes) -> JsonObject:
    """The message that the SDK's own accumulator makes of a stream."""
    reply = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    transport = httpx2.MockTransport(lambda request: reply)
    with (
        anthropic.Anthropic(api_key="k", http_client=httpx2.Client(transport=transport)) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as messages,
    ):
        return messages.get_final_message().to_dict(mode="json", warnings=False)
