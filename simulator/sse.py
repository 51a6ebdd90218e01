"""A reply as server-sent events: deltas in, the API's event sequence out. No I/O."""

from __future__ import annotations

import json
from typing import Any

from polythink.simulator import wire
from polythink.simulator.minds import Delta, DeltaKind, Ending
from polythink.simulator.request import MessageRequest


class EventEncoder:
    """Turns one reply into events: start, then every delta, then finish. Each method returns the bytes to send."""

    def __init__(self, request: MessageRequest, usage: dict[str, Any]) -> None:
        self._request = request
        self._usage = usage
        self._omitted = request.display == "omitted"
        self._index = -1
        self._pinged = False
        self._open: DeltaKind | None = None
        self._shown: list[str] = []
        self._hidden_tokens = 0

    def start(self) -> bytes:
        message = wire.message(self._request, {**self._usage, "output_tokens": 1}, [], None)
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        return wire.event("message_start", b'{"type":"message_start","message":' + text.encode("utf-8", "replace"))

    def delta(self, delta: Delta) -> bytes:
        opening = b"" if delta.kind == self._open else self._close() + self._begin(delta)
        if delta.kind == "tool":
            return opening + wire.block_delta(self._index, b"input_json_delta", b"partial_json", delta.text)
        if delta.kind == "text":
            if not delta.text:
                return opening
            return opening + wire.block_delta(self._index, b"text_delta", b"text", delta.text)
        self._hidden_tokens += delta.tokens
        if delta.kind == "redacted" or self._omitted or not delta.text:
            return opening
        self._shown.append(delta.text)
        return opening + wire.block_delta(self._index, b"thinking_delta", b"thinking", delta.text)

    def finish(self, ending: Ending, output_tokens: int, thinking_tokens: int) -> bytes:
        usage = {
            "input_tokens": self._usage["input_tokens"],
            "cache_creation_input_tokens": self._usage["cache_creation_input_tokens"],
            "cache_read_input_tokens": self._usage["cache_read_input_tokens"],
            "output_tokens": output_tokens,
        }
        if self._request.mode != "none":
            usage["output_tokens_details"] = {"thinking_tokens": thinking_tokens}
        closing = {"type": "message_delta", "delta": wire.stop_fields(ending), "usage": usage}
        text = json.dumps(closing, ensure_ascii=False, separators=(",", ":"))
        return (
            self._close()
            + wire.event("message_delta", text[:-1].encode("utf-8", "replace"))
            + wire.event("message_stop", b'{"type":"message_stop"')
        )

    def _begin(self, delta: Delta) -> bytes:
        self._index += 1
        self._open = delta.kind
        match delta.kind:
            case "text":
                block = b'{"type":"text","text":""}'
            case "thinking":
                block = b'{"type":"thinking","thinking":"","signature":""}'
            case "tool":
                block = wire.tool_block(delta.tool, {})
            case "redacted":
                block = b'{"type":"redacted_thinking","data":"%b"}' % wire.redacted_data(delta.tokens).encode()
        opening = wire.block_start(self._index, block)
        if self._pinged or delta.kind == "redacted":
            return opening
        self._pinged = True
        return opening + wire.PING

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        signed = b""
        if self._open == "thinking":
            mark = wire.signature("".join(self._shown), length=signature_length(self._hidden_tokens))
            signed = wire.block_delta(self._index, b"signature_delta", b"signature", mark)
        self._open = None
        return signed + wire.block_stop(self._index)


def signature_length(thinking_tokens: int) -> int:
    """Bytes of opaque signature for this much thinking."""
    return min(1500, 96 + thinking_tokens // 8)


class MessageCollector:
    """Turns one reply into the content of a Message object."""

    def __init__(self, request: MessageRequest) -> None:
        self._omitted = request.display == "omitted"
        self._blocks: list[tuple[DeltaKind, list[str], int, str]] = []

    def delta(self, delta: Delta) -> None:
        if not self._blocks or self._blocks[-1][0] != delta.kind:
            self._blocks.append((delta.kind, [], 0, delta.tool))
        kind, texts, tokens, tool = self._blocks[-1]
        texts.append(delta.text)
        self._blocks[-1] = (kind, texts, tokens + delta.tokens, tool)

    def content(self) -> list[dict[str, Any]]:
        return [self._block(kind, "".join(texts), tokens, tool) for kind, texts, tokens, tool in self._blocks]

    def _block(self, kind: DeltaKind, text: str, tokens: int, tool: str) -> dict[str, Any]:
        match kind:
            case "text":
                return {"type": "text", "text": text}
            case "thinking":
                shown = "" if self._omitted else text
                mark = wire.signature(shown, length=signature_length(tokens))
                return {"type": "thinking", "thinking": shown, "signature": mark}
            case "tool":
                block: dict[str, Any] = json.loads(wire.tool_block(tool, json.loads(text) if text else {}))
                return block
            case "redacted":
                return {"type": "redacted_thinking", "data": wire.redacted_data(tokens)}
