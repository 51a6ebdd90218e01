"""The prompt cache: prefixes written at breakpoints and read by later requests. Time is a parameter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from polythink.records import Usage
from polythink.simulator.request import MessageRequest
from polythink.simulator.tokens import CHARS_PER_TOKEN

LOOK_BACK = 20  # blocks before a breakpoint in which an earlier entry is still found
TTL_SECONDS = {"5m": 300.0, "1h": 3600.0}

Key = tuple[str, str, bytes]  # scope, model, digest of the prefix


@dataclass(slots=True)
class Entry:
    """One cached prefix. It can be read once its writer's reply has begun, until it expires."""

    ttl: float  # seconds after the start of the request that wrote or last read it
    expires: float
    readable: bool = False


@dataclass(frozen=True, slots=True)
class _Block:
    """A block's prefix: everything up to its end."""

    prefix: bytes
    tokens: int
    ttl: str | None  # set on a breakpoint


@dataclass(slots=True)
class Visit:
    """What one request reads and writes. Call `begun` with the first byte of its reply."""

    usage: Usage
    _written: list[Entry] = field(default_factory=list)

    def begun(self) -> None:
        for entry in self._written:
            entry.readable = True


@dataclass(slots=True)
class PromptCache:
    """Entries by scope (an organization's live or batch requests), model and prefix."""

    entries: dict[Key, Entry] = field(default_factory=dict)

    def visit(self, request: MessageRequest, scope: str, now: float) -> Visit:
        """Read the longest known prefix, and write those that the request marks and nobody has written."""
        if not request.cached:
            return Visit(Usage(input_tokens=request.input_tokens))
        blocks = list(_blocks(request))
        marked = [at for at, block in enumerate(blocks) if block.ttl]
        hit = self._longest_hit(request, blocks, marked, scope, now)
        read = blocks[hit].tokens if hit >= 0 else 0
        visit = Visit(Usage())
        written = {"5m": 0, "1h": 0}
        covered = read
        for at in marked:
            block = blocks[at]
            if at <= hit or block.tokens < request.facts.cache_min_tokens or block.ttl is None:
                continue
            written[block.ttl] += block.tokens - covered
            covered = block.tokens
            ttl = TTL_SECONDS[block.ttl]
            entry = self.entries.setdefault((scope, request.facts.model_id, block.prefix), Entry(ttl, 0.0))
            entry.ttl, entry.expires = ttl, now + ttl
            visit._written.append(entry)
        visit.usage = Usage(
            input_tokens=max(0, request.input_tokens - covered),
            cache_read_tokens=read,
            cache_write_5m_tokens=written["5m"],
            cache_write_1h_tokens=written["1h"],
        )
        return visit

    def _longest_hit(
        self, request: MessageRequest, blocks: list[_Block], marked: list[int], scope: str, now: float
    ) -> int:
        for breakpoint_at in reversed(marked):
            for at in range(breakpoint_at, max(-1, breakpoint_at - LOOK_BACK), -1):
                key = (scope, request.facts.model_id, blocks[at].prefix)
                entry = self.entries.get(key)
                if entry is None or not entry.readable:
                    continue
                if entry.expires < now:
                    del self.entries[key]
                    continue
                entry.expires = now + entry.ttl
                return at
        return -1


def _blocks(request: MessageRequest) -> Iterator[_Block]:
    """Every block with its prefix, tools first, then system, then messages.

    Thinking and effort are part of what a message is cached under; tools and system depend on the model alone.
    """
    body = request.body
    parts: list[tuple[str, Any]] = [("tool", tool) for tool in body.get("tools") or ()]
    system = body.get("system") or []
    parts += [("system", block) for block in ([system] if isinstance(system, str) else system)]
    parts.append(("settings", f"{request.mode} {request.budget_tokens} {request.effort}"))
    for message in body["messages"]:
        content = message["content"]
        blocks = [content] if isinstance(content, str) else content
        parts += [(message["role"], block) for block in blocks]
    last = len(parts) - 1
    automatic = body.get("cache_control")
    running, characters = hashlib.blake2b(digest_size=16), 0
    for at, (role, block) in enumerate(parts):
        control = block.get("cache_control") if isinstance(block, dict) else None
        control = control or (automatic if at == last else None)
        text = block if isinstance(block, str) else json.dumps({k: v for k, v in block.items() if k != "cache_control"})
        running.update(f"{role}\x1f{text}\x1e".encode("utf-8", "surrogatepass"))
        characters += 0 if role == "settings" else _characters(block)
        tokens = min(request.input_tokens, round(characters / CHARS_PER_TOKEN * request.facts.tokenizer_scale))
        yield _Block(running.digest(), tokens, (control.get("ttl") or "5m") if control else None)


def _characters(block: Any) -> int:
    if isinstance(block, str):
        return len(block)
    text = block.get("text")
    return len(text) if isinstance(text, str) else len(str(block))
