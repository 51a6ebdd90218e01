"""A reply as server-sent events: deltas in, the API's event sequence out. No I/O."""

from __future__ import annotations

import json
from typing import Any

from polythink.records import Lane, Usage
from polythink.simulator import wire
from polythink.simulator.minds import Delta, DeltaKind, Ending, Run
from polythink.simulator.request import MessageRequest


class EventEncoder:
    """Turns one reply into events: start, then every delta, then finish. Each method returns the text to send."""

    def __init__(self, request: MessageRequest, usage: Usage, lane: Lane = "live") -> None:
        self._request = request
        self._usage = usage
        self._lane = lane
        self._omitted = request.display == "omitted"
        self._index = -1
        self._pinged = False
        self._open: DeltaKind | None = None
        self._head = ""
        self._shown: list[str] = []
        self._hidden_tokens = 0
        self._ran_code = False

    def start(self) -> str:
        return wire.message_start(self._request, self._usage, self._lane)

    def delta(self, delta: Delta) -> str:
        opening = self._opening(delta)
        if delta.kind in ("thinking", "redacted"):
            self._hidden_tokens += delta.tokens
            if delta.kind == "redacted" or self._omitted:
                return opening
            self._shown.append(delta.text)
        if delta.kind == "execution":
            return opening + wire.block_delta(self._head, wire.compact({"command": delta.text}))
        if not delta.text or delta.kind == "output":
            return opening
        return opening + wire.block_delta(self._head, delta.text)

    def run(self, run: Run) -> str:
        """A run's deltas at once: the same events as one by one, for less."""
        if run.kind != "text" and run.kind != "thinking":
            return "".join(map(self.delta, run.deltas()))
        opening = self._opening(Delta(run.kind, "", 0))
        if run.kind == "thinking":
            self._hidden_tokens += run.tokens
            if self._omitted:
                return opening
            self._shown += run.texts
        return opening + wire.block_deltas(self._head, filter(None, run.texts))

    def _opening(self, delta: Delta) -> str:
        """What comes before a delta: nothing, where it goes on with the open block."""
        if delta.kind == self._open and delta.kind in _GROWING:
            return ""
        return self._close() + self._begin(delta)

    def finish(self, ending: Ending, output_tokens: int, thinking_tokens: int) -> str:
        thought = thinking_tokens if self._request.mode != "none" else None
        closing = wire.message_delta(self._usage, ending, output_tokens, thought, ran_code=self._ran_code)
        return self._close() + closing + wire.event("message_stop", '{"type":"message_stop"')

    def _begin(self, delta: Delta) -> str:
        self._index += 1
        self._open = delta.kind
        kind, field = _FIELDS[delta.kind]
        self._head = wire.delta_head(self._index, kind, field)
        opening = wire.block_start(self._index, _opening_block(delta))
        self._ran_code = self._ran_code or delta.kind == "execution"
        if delta.kind == "redacted":
            return opening + self._waiting_ping()
        if self._pinged:
            return opening
        self._pinged = True
        return opening + wire.PING

    def _close(self) -> str:
        if self._open is None:
            return ""
        signed = ""
        waited = self._waiting_ping() if self._open == "redacted" else ""
        if self._open == "thinking":
            mark = wire.signature("".join(self._shown), length=signature_length(self._hidden_tokens))
            signed = wire.block_delta(wire.delta_head(self._index, "signature_delta", "signature"), mark)
            self._shown, self._hidden_tokens = [], 0
        self._open = None
        return signed + wire.block_stop(self._index) + waited

    def _waiting_ping(self) -> str:
        """Behind its first block, hidden thinking is waited for with pings, as recorded."""
        return wire.PING if self._index else ""


_FIELDS: dict[DeltaKind, tuple[str, str]] = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "redacted": ("", ""),
    "tool": ("input_json_delta", "partial_json"),
    "execution": ("input_json_delta", "partial_json"),
    "output": ("", ""),
}
_GROWING = frozenset(("text", "thinking", "tool"))  # kinds whose deltas go on with the open block


def _opening_block(delta: Delta) -> str:
    match delta.kind:
        case "text":
            return '{"type":"text","text":""}'
        case "thinking":
            return '{"type":"thinking","thinking":"","signature":""}'
        case "tool":
            return wire.compact(wire.tool_block(delta.tool, {}))
        case "redacted":
            return f'{{"type":"redacted_thinking","data":"{wire.redacted_data(delta.tokens)}"}}'
        case "execution":
            return wire.compact(wire.execution_block(delta.tool, {}))
        case "output":
            return wire.compact(wire.output_block(delta.tool, delta.text))


def signature_length(thinking_tokens: int) -> int:
    """Bytes of opaque signature for this much thinking."""
    return min(1500, 96 + thinking_tokens // 8)


class MessageCollector:
    """Turns one reply into the content of a Message object."""

    def __init__(self, request: MessageRequest) -> None:
        self._omitted = request.display == "omitted"
        self._blocks: list[tuple[DeltaKind, list[str], int, str]] = []

    def delta(self, delta: Delta) -> None:
        if not self._blocks or self._blocks[-1][0] != delta.kind or delta.kind not in _GROWING:
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
                return wire.tool_block(tool, json.loads(text) if text else {})
            case "redacted":
                return {"type": "redacted_thinking", "data": wire.redacted_data(tokens)}
            case "execution":
                return wire.execution_block(tool, {"command": text})
            case "output":
                return wire.output_block(tool, text)
