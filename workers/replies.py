"""Putting a streamed message together from its events. No I/O, no clock.

Source: the streaming section of the Messages API reference. Unknown events, blocks and deltas are tolerated; a message
counts only after `message_stop`.
"""

from __future__ import annotations

import json
from typing import Any

from polythink.records import Usage

_APPENDED = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
}
_CHARS_PER_TOKEN = 4  # only to estimate what a cut stream had cost
_NESTED_COUNTS = ("cache_creation", "output_tokens_details")
_SHOWN = 200  # characters of a malformed event in its error


class MalformedEventError(ValueError):
    """An event is not what the API documents; the stream cannot be trusted further."""


class Reply:
    """A message under construction: feed it events in order."""

    def __init__(self) -> None:
        self.message_id: str | None = None
        self.model: str | None = None
        self.stop_reason: str | None = None
        self.has_content = False
        self.is_complete = False  # message_stop was seen
        self.error: dict[str, Any] | None = None  # the body of an error event
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}
        self._usage: dict[str, Any] = {}

    def feed(self, event: str | None, data: str) -> None:
        """Take one server-sent event. Raises MalformedEventError if its data is not what the API documents."""
        try:
            self._take(event, data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MalformedEventError(f"not a Messages API event: {event}: {data[:_SHOWN]}") from error

    def _take(self, event: str | None, data: str) -> None:
        match event:
            case "content_block_delta":
                self._add_delta(json.loads(data))
            case "content_block_start":
                self._start_block(json.loads(data))
            case "message_start":
                self._start(json.loads(data)["message"])
            case "message_delta":
                self._finish(json.loads(data))
            case "message_stop":
                self.is_complete = True
            case "error":
                self.error = dict(json.loads(data))

    def content(self) -> list[dict[str, Any]]:
        """The content blocks so far, in order, exactly as the API's non-streaming reply would hold them."""
        return [self._block(index) for index in sorted(self._blocks)]

    def usage(self) -> Usage:
        """Tokens billed so far. Of a cut stream the output is not known and is estimated from the text that came."""
        counts = self._usage
        writes = counts.get("cache_creation") or {}
        written = counts.get("cache_creation_input_tokens") or 0
        written_1h = writes.get("ephemeral_1h_input_tokens") or 0
        thinking = (counts.get("output_tokens_details") or {}).get("thinking_tokens")
        return Usage(
            input_tokens=counts.get("input_tokens") or 0,
            cache_read_tokens=counts.get("cache_read_input_tokens") or 0,
            cache_write_5m_tokens=written - written_1h,
            cache_write_1h_tokens=written_1h,
            output_tokens=self._output_tokens(),
            thinking_tokens=thinking,
        )

    def _output_tokens(self) -> int:
        reported: int = self._usage.get("output_tokens") or 0
        if self.stop_reason is not None:
            return reported
        streamed = sum(len(piece) for pieces in self._pieces.values() for piece in pieces)
        return max(reported, streamed // _CHARS_PER_TOKEN)

    def _start(self, message: dict[str, Any]) -> None:
        self.message_id = _text(message.get("id"))
        self.model = _text(message.get("model"))
        self._usage = _counts(message.get("usage"))

    def _start_block(self, event: dict[str, Any]) -> None:
        block = dict(event["content_block"])
        for field in _APPENDED.values():
            _text(block.get(field))
        self._blocks[int(event["index"])] = block
        self.has_content = True

    def _add_delta(self, event: dict[str, Any]) -> None:
        index, delta = event["index"], event["delta"]
        kind = delta.get("type")
        if kind == "input_json_delta":
            self._pieces.setdefault((index, "partial_json"), []).append(_text(delta["partial_json"]) or "")
        elif kind == "citations_delta":
            block = self._blocks[index]
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
        elif kind in _APPENDED:
            field = _APPENDED[kind]
            self._pieces.setdefault((index, field), []).append(_text(delta[field]) or "")

    def _finish(self, event: dict[str, Any]) -> None:
        self.stop_reason = _text((event.get("delta") or {}).get("stop_reason"))
        self._usage.update(_counts(event.get("usage")))

    def _block(self, index: int) -> dict[str, Any]:
        block = dict(self._blocks[index])
        for field in _APPENDED.values():
            if pieces := self._pieces.get((index, field)):
                block[field] = (block.get(field) or "") + "".join(pieces)
        if written := "".join(self._pieces.get((index, "partial_json"), ())):
            block["input"] = _parsed(written)
        return block


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


def _parsed(written: str) -> Any:
    """The arguments of a tool call; as written where they were cut short."""
    try:
        return json.loads(written)
    except ValueError:
        return written
