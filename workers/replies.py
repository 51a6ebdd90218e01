"""Putting a streamed message together from its events, as the SDK's own accumulator does. No I/O, no clock.

Source: the streaming section of the Messages API reference. Unknown events, blocks and deltas are tolerated; a message
counts only after `message_stop`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from polythink.records import Usage

# The two deltas that make up nearly all of a stream, in the form the API writes them. What is between the quotes of
# their text is kept as it is until the message is asked for; the pattern lets through nothing that would not decode.
_hot_delta = re.compile(
    rb'\{"type": ?"content_block_delta", ?"index": ?(\d{1,6}+), ?"delta": ?'
    rb'\{"type": ?"(text|thinking)_delta", ?"\2": ?'
    rb'("[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+")\} *+\} *+'
).fullmatch
_TEXTS: dict[str | None, tuple[str, ...]] = {
    "text": ("text",),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
}  # block type: fields
_WITH_INPUT = frozenset({"tool_use", "server_tool_use"})
_LATER_COUNTS = (  # what the SDK takes over from the usage of message_delta, where it is given
    "output_tokens",
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "server_tool_use",
    "output_tokens_details",
)
_NESTED_COUNTS = ("cache_creation", "output_tokens_details")
_CHARS_PER_TOKEN = 4  # only to estimate what a cut stream had cost
_SEAL_BYTES = 200  # what a signature holds besides the thinking it encrypts (seen in recordings: 160 to 220)
_SHOWN = 200  # bytes of a malformed event in its error


class MalformedEventError(ValueError):
    """An event is not what the API documents; the stream cannot be trusted further."""


class _Block:
    """A content block under construction."""

    __slots__ = ("fields", "kind", "written", "written_kind")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields
        self.kind = _text(fields.get("type"))
        for name in _TEXTS.get(self.kind, ()):
            _text(fields.get(name))
        self.written_kind = (self.kind or "").encode("utf-8", "replace")  # as it stands in the bytes of a delta
        self.written = bytearray()  # text or thinking: JSON strings, each with a comma; input: JSON text

    def whole(self) -> dict[str, Any]:
        """The block as the API's non-streaming reply would hold it."""
        if not self.written:
            return dict(self.fields)
        if self.kind in _WITH_INPUT:
            return {**self.fields, "input": _input(bytes(self.written))}
        name = str(self.kind)
        pieces = json.loads(b"[" + self.written[:-1] + b"]")
        return {**self.fields, name: "".join((self.fields.get(name) or "", *pieces))}


class Reply:
    """A message under construction: feed it events in order."""

    def __init__(self) -> None:
        self.is_complete = False  # message_stop was seen
        self.error: dict[str, Any] | None = None  # the body of an error event
        self._message: dict[str, Any] | None = None  # without content
        self._blocks: list[_Block] = []
        self._billed: dict[str, Any] = {}

    @property
    def has_content(self) -> bool:
        return bool(self._blocks)

    @property
    def message_id(self) -> str | None:
        return _text((self._message or {}).get("id"))

    @property
    def model(self) -> str | None:
        return _text((self._message or {}).get("model"))

    @property
    def stop_reason(self) -> str | None:
        return _text((self._message or {}).get("stop_reason"))

    def feed(self, event: bytes, data: bytes) -> None:
        """Take one server-sent event. Raises MalformedEventError if its data is not what the API documents."""
        try:
            if event == b"content_block_delta" and self._message is not None and (hot := _hot_delta(data)):
                index, kind, literal = hot.groups()
                if not literal.isascii():
                    literal.decode()  # what cannot be decoded is refused now, not when the message is asked for
                block = self._blocks[int(index)]
                if block.written_kind == kind:
                    block.written += literal + b","
            else:
                self._take(event, data)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            shown = data[:_SHOWN].decode(errors="replace")
            raise MalformedEventError(f"not a Messages API event: {event.decode(errors='replace')}: {shown}") from error

    def message(self) -> dict[str, Any]:
        """The message so far, as the SDK has it: equal to `get_final_message().to_dict(mode="json")`."""
        return {**(self._message or {}), "content": self.content()}

    def content(self) -> list[dict[str, Any]]:
        """The content blocks so far, exactly as the API's non-streaming reply would hold them."""
        return [block.whole() for block in self._blocks]

    def usage(self) -> Usage:
        """Tokens billed so far. Of a cut stream the output is not known and is estimated from what came.

        The estimate is a lower bound wherever the thinking shown is a summary, or is hidden (`hides_thinking`).
        """
        return billed(self._billed, self._output_tokens())

    def hides_thinking(self) -> bool:
        """Whether there was thinking of which nothing came, not even its signature: no estimate can count it."""
        return any(
            block.kind == "thinking" and not block.written and not block.fields.get("signature")
            for block in self._blocks
        )

    def _output_tokens(self) -> int:
        reported: int = self._billed.get("output_tokens") or 0
        if self.stop_reason is not None:
            return reported
        return max(reported, sum(map(_characters, self.content())) // _CHARS_PER_TOKEN)

    def _take(self, event: bytes, data: bytes) -> None:
        match event:
            case b"error":
                self.error = dict(_object(data))
            case b"message_start":
                self._start(_object(data)["message"])
            case b"message_stop":
                self.is_complete = self._message is not None
            case _ if self._message is None:  # the SDK, too, begins with message_start
                return
            case b"content_block_start":
                self._blocks.append(_Block(dict(_object(data)["content_block"])))
            case b"content_block_delta":
                parsed = _object(data)
                self._add_delta(self._block(parsed["index"]), parsed["delta"])
            case b"message_delta":
                self._finish(_object(data))

    def _start(self, message: dict[str, Any]) -> None:
        if self._message is not None:
            return
        for name in ("id", "model", "stop_reason"):
            _text(message.get(name))
        self._billed = _counts(message.get("usage"))
        self._blocks = [_Block(dict(block)) for block in message.get("content") or ()]
        self._message = {name: value for name, value in message.items() if name != "content"}

    def _block(self, index: int) -> _Block:
        if index < 0:
            raise IndexError(index)
        return self._blocks[index]

    def _add_delta(self, block: _Block, delta: dict[str, Any]) -> None:
        match delta.get("type"), block.kind:
            case ("text_delta", "text") | ("thinking_delta", "thinking"):
                text = _text(delta[str(block.kind)])
                block.written += json.dumps(text or "").encode() + b","
            case "signature_delta", "thinking":
                block.fields["signature"] = _text(delta["signature"])
            case "citations_delta", "text":
                block.fields["citations"] = [*(block.fields.get("citations") or ()), delta["citation"]]
            case "input_json_delta", kind if kind in _WITH_INPUT:
                block.written += (_text(delta["partial_json"]) or "").encode("utf-8", "surrogatepass")

    def _finish(self, event: dict[str, Any]) -> None:
        assert self._message is not None
        delta, usage = event.get("delta") or {}, event.get("usage") or {}
        ended = {name: delta.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
        _text(ended["stop_reason"])
        self._billed.update(_counts(usage))
        if delta.get("container") is not None:
            ended["container"] = delta["container"]
        later = {name: usage[name] for name in _LATER_COUNTS if usage.get(name) is not None}
        self._message |= {**ended, "usage": {**(self._message.get("usage") or {}), **later}}


def billed(counts: Mapping[str, Any], output_tokens: int) -> Usage:
    """A usage object of the API as a record, with so many tokens of output."""
    writes = counts.get("cache_creation") or {}
    written = counts.get("cache_creation_input_tokens") or 0
    written_1h = writes.get("ephemeral_1h_input_tokens") or 0
    thinking = (counts.get("output_tokens_details") or {}).get("thinking_tokens")
    return Usage(
        input_tokens=counts.get("input_tokens") or 0,
        cache_read_tokens=counts.get("cache_read_input_tokens") or 0,
        cache_write_5m_tokens=written - written_1h,
        cache_write_1h_tokens=written_1h,
        output_tokens=output_tokens,
        thinking_tokens=thinking,
    )


def _object(data: bytes) -> dict[str, Any]:
    """Raises ValueError for what is no JSON, TypeError for what is no object."""
    parsed = json.loads(data.decode())
    if not isinstance(parsed, dict):
        raise TypeError(f"{type(parsed).__name__} is no object")
    return parsed


def _text(value: Any) -> str | None:
    """Raises TypeError for anything but text or nothing."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _counts(usage: Any) -> dict[str, Any]:
    """What a usage object says, nested objects included. Raises TypeError for a token count that is no whole number."""
    said = {name: value for name, value in (usage or {}).items() if value is not None}
    for name, value in said.items():
        if name in _NESTED_COUNTS:
            said[name] = _counts(value)
        elif name.endswith("_tokens") and type(value) is not int:
            raise TypeError(f"{name} is {value!r}")
    return said


def _input(written: bytes) -> Any:
    """The arguments of a tool call: all that can be read of them where they were cut short; else as written."""
    try:
        return from_json(written, allow_partial=True)
    except ValueError:
        return written.decode("utf-8", "replace")


def _characters(block: dict[str, Any]) -> int:
    """How much the model wrote in a block. Of thinking that is not shown, its encrypted form tells the length."""
    match block.get("type"):
        case "text":
            return len(block.get("text") or "")
        case "thinking" if block.get("thinking"):
            return len(block["thinking"])
        case "thinking":
            return _sealed(block.get("signature"))
        case "redacted_thinking":
            return _sealed(block.get("data"))
        case kind if kind in _WITH_INPUT:
            return len(json.dumps(block.get("input"), ensure_ascii=False))
        case _:
            return 0


def _sealed(base64: str | None) -> int:
    return max(0, len(base64 or "") * 3 // 4 - _SEAL_BYTES)
