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
        """Take one server-sent event. Raises ValueError if its data is not the JSON object the API documents."""
        match event:
            case "content_block_delta":
                self._add_delta(json.loads(data))
            case "content_block_start":
                start = json.loads(data)
                self._blocks[start["index"]] = start["content_block"]
                self.has_content = True
            case "message_start":
                self._start(json.loads(data)["message"])
            case "message_delta":
                self._finish(json.loads(data))
            case "message_stop":
                self.is_complete = True
            case "error":
                self.error = json.loads(data)
            case _:
                return

    def content(self) -> list[dict[str, Any]]:
        """The content blocks so far, in order, exactly as the API's non-streaming reply would hold them."""
        return [self._block(index) for index in sorted(self._blocks)]

    def usage(self) -> Usage:
        """Tokens billed so far. Of a cut stream the output is not known and is estimated from the text that came."""
        counts = self._usage
        writes = counts.get("cache_creation") or {}
        written = int(counts.get("cache_creation_input_tokens") or 0)
        written_1h = int(writes.get("ephemeral_1h_input_tokens") or 0)
        thinking = (counts.get("output_tokens_details") or {}).get("thinking_tokens")
        return Usage(
            input_tokens=int(counts.get("input_tokens") or 0),
            cache_read_tokens=int(counts.get("cache_read_input_tokens") or 0),
            cache_write_5m_tokens=written - written_1h,
            cache_write_1h_tokens=written_1h,
            output_tokens=self._output_tokens(),
            thinking_tokens=thinking,
        )

    def _output_tokens(self) -> int:
        reported = int(self._usage.get("output_tokens") or 0)
        if self.stop_reason is not None:
            return reported
        streamed = sum(len(piece) for pieces in self._pieces.values() for piece in pieces)
        return max(reported, streamed // _CHARS_PER_TOKEN)

    def _start(self, message: dict[str, Any]) -> None:
        self.message_id = message.get("id")
        self.model = message.get("model")
        self._usage = dict(message.get("usage") or {})

    def _add_delta(self, event: dict[str, Any]) -> None:
        index, delta = event["index"], event["delta"]
        kind = delta.get("type")
        if kind == "input_json_delta":
            self._pieces.setdefault((index, "partial_json"), []).append(delta["partial_json"])
        elif kind == "citations_delta":
            self._blocks[index].setdefault("citations", []).append(delta["citation"])
        elif kind in _APPENDED:
            field = _APPENDED[kind]
            self._pieces.setdefault((index, field), []).append(delta[field])

    def _finish(self, event: dict[str, Any]) -> None:
        self.stop_reason = (event.get("delta") or {}).get("stop_reason")
        self._usage.update({name: count for name, count in (event.get("usage") or {}).items() if count is not None})

    def _block(self, index: int) -> dict[str, Any]:
        block = dict(self._blocks[index])
        for field in _APPENDED.values():
            if pieces := self._pieces.get((index, field)):
                block[field] = (block.get(field) or "") + "".join(pieces)
        if pieces := self._pieces.get((index, "partial_json")):
            block["input"] = json.loads("".join(pieces)) if self.is_complete else "".join(pieces)
        return block
