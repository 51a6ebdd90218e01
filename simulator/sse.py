"""A reply as server-sent events: deltas in, the API's event sequence out. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

from polythink.simulator import wire
from polythink.simulator.minds import Delta, DeltaKind, Ending
from polythink.simulator.request import MessageRequest


class EventEncoder:
    """Turns one reply into events: start, then every delta, then finish. Each method returns the text to send."""

    def __init__(self, request: MessageRequest, usage: dict[str, Any]) -> None:
        self._request = request
        self._usage = usage
        self._omitted = request.display == "omitted"
        self._index = -1
        self._pinged = False
        self._open: DeltaKind | None = None
        self._head = ""
        self._shown: list[str] = []
        self._hidden_tokens = 0
        self._ran_code = False

    def start(self) -> str:
        message = wire.message(self._request, {**self._usage, "output_tokens": 1}, [], None)
        return wire.event("message_start", f'{{"type":"message_start","message":{wire.compact(message)}')

    def delta(self, delta: Delta) -> str:
        continues = delta.kind == self._open and delta.kind in _GROWING
        opening = "" if continues else self._close() + self._begin(delta)
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

    def run(self, deltas: Iterable[Delta]) -> str:
        """Many deltas at once: the same events as one by one, for less."""
        events: list[str] = []
        for kind, group in groupby(deltas, key=_kind):
            first, *rest = group
            events.append(self.delta(first))
            if kind == "text" or (kind == "thinking" and not self._omitted):
                head, block_delta = self._head, wire.block_delta
                events += [block_delta(head, delta.text) for delta in rest if delta.text]
                if kind == "thinking":
                    self._shown += [delta.text for delta in rest]
                    self._hidden_tokens += sum([delta.tokens for delta in rest])
            else:
                events += [self.delta(delta) for delta in rest]
        return "".join(events)

    def finish(self, ending: Ending, output_tokens: int, thinking_tokens: int) -> str:
        usage: dict[str, Any] = {
            "input_tokens": self._usage["input_tokens"],
            "cache_creation_input_tokens": self._usage["cache_creation_input_tokens"],
            "cache_read_input_tokens": self._usage["cache_read_input_tokens"],
            "output_tokens": output_tokens,
        }
        if self._request.mode != "none":
            usage["output_tokens_details"] = {"thinking_tokens": thinking_tokens}
        delta = wire.stop_fields(ending)
        if self._ran_code:
            delta["container"] = wire.container()
            usage |= wire.server_tool_usage()
        closing = wire.compact({"type": "message_delta", "delta": delta, "usage": usage})
        return (
            self._close()
            + wire.event("message_delta", closing[:-1])
            + wire.event("message_stop", '{"type":"message_stop"')
        )

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
        self._open = None
        return signed + wire.block_stop(self._index) + waited

    def _waiting_ping(self) -> str:
        """Behind its first block, hidden thinking is waited for with pings, as recorded."""
        return wire.PING if self._index else ""


_kind = attrgetter("kind")
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
