"""The bytes of a reply: the Message object, and the server-sent events it is streamed in."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import random
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from polythink.records import Lane, Usage
from polythink.simulator.ids import new_id
from polythink.simulator.minds import Ending
from polythink.simulator.request import MessageRequest

_SECRET = secrets.token_bytes(16)
_HEAD = secrets.token_bytes(4)  # tells the signatures of this process from any other
# The API pads its events with spaces before the last brace; parsers must not care.
_CLOSINGS = itertools.cycle([" " * n + "}\n\n" for n in (10, 4, 0, 7, 13, 1, 9, 3, 11, 0, 6, 14, 2, 8, 5, 12)])
_ID = "msg_?"  # stands for a message's id where JSON is kept
CONTAINER_SECONDS = 300  # that the machine of a code execution is kept
PING = 'event: ping\ndata: {"type": "ping"}\n\n'


def signature(shown: str, *, length: int = 96) -> str:
    """An opaque signature over a thinking block as shown; longer for longer thinking, as the real ones are."""
    return base64.b64encode(_HEAD + _mark(shown) + random.randbytes(length)).decode()


def was_changed(shown: str, given: str) -> bool:
    """Whether a block signed by this process is shown differently than it was. Foreign signatures pass."""
    try:
        raw = base64.b64decode(given)
    except ValueError:
        return False
    return raw[:4] == _HEAD and raw[4:36] != _mark(shown)


def _mark(shown: str) -> bytes:
    return hashlib.blake2b(shown.encode("utf-8", "surrogatepass"), key=_SECRET, digest_size=32).digest()


def redacted_data(tokens: int) -> str:
    """The opaque data of a redacted block; longer for longer thinking."""
    return base64.b64encode(random.randbytes(min(2000, 120 + tokens))).decode()


def input_usage(usage: Usage, request: MessageRequest, lane: Lane) -> dict[str, Any]:
    """The usage a reply begins with."""
    return _input_usage(usage, lane, _geography(request))


def _geography(request: MessageRequest) -> str:
    if not request.facts.inference_geo:
        return "not_available"
    return str(request.body.get("inference_geo") or "global")


def _input_usage(usage: Usage, lane: Lane, geography: str) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.output_tokens,
        "service_tier": "batch" if lane == "batch" else "standard",
        "inference_geo": geography,
    }


def message_start(request: MessageRequest, usage: Usage, lane: Lane) -> str:
    """The event that a stream begins with, under a fresh id."""
    before, after = _around_id(request.facts.snapshot, usage, lane, _geography(request))
    return event("message_start", f"{before}{new_id('msg')}{after}")


@lru_cache(maxsize=1024)  # samples of one prompt begin alike
def _around_id(snapshot: str, usage: Usage, lane: Lane, geography: str) -> tuple[str, str]:
    begun = {**_input_usage(usage, lane, geography), "output_tokens": 1}
    start = compact({"type": "message_start", "message": _message(snapshot, _ID, begun, [], None)})
    before, _, after = start[:-1].partition(_ID)
    return before, after


def message_delta(
    usage: Usage, ending: Ending, output_tokens: int, thinking_tokens: int | None, *, ran_code: bool
) -> str:
    """The event that tells how a stream ended, and its bill; `thinking_tokens` is None where thinking was off."""
    counts = (
        f'"input_tokens":{usage.input_tokens},"cache_creation_input_tokens":{usage.cache_write_tokens},'
        f'"cache_read_input_tokens":{usage.cache_read_tokens},"output_tokens":{output_tokens}'
    )
    if thinking_tokens is not None:
        counts += f',"output_tokens_details":{{"thinking_tokens":{thinking_tokens}}}'
    delta = _stop_json(ending)
    if ran_code:
        delta += f',"container":{compact(container())}'
        counts += f',"server_tool_use":{compact(server_tool_use())}'
    return event("message_delta", f'{{"type":"message_delta","delta":{{{delta}}},"usage":{{{counts}}}')


@lru_cache(maxsize=64)
def _stop_json(ending: Ending) -> str:
    return compact(stop_fields(ending))[1:-1]


def stop_fields(ending: Ending | None) -> dict[str, Any]:
    """`stop_reason`, `stop_sequence` and `stop_details` of an ending; all null while there is none."""
    details = None
    if ending and ending.stop_reason == "refusal":
        details = {"type": "refusal", "category": ending.refusal, "explanation": None}
    return {
        "stop_reason": ending.stop_reason if ending else None,
        "stop_sequence": ending.stop_sequence if ending else None,
        "stop_details": details,
    }


def message(
    request: MessageRequest, usage: dict[str, Any], content: list[dict[str, Any]], ending: Ending | None
) -> dict[str, Any]:
    """A Message object."""
    return _message(request.facts.snapshot, new_id("msg"), usage, content, ending)


def _message(
    snapshot: str, message_id: str, usage: dict[str, Any], content: list[dict[str, Any]], ending: Ending | None
) -> dict[str, Any]:
    return {
        "model": snapshot,
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "content": content,
        **stop_fields(ending),
        "usage": usage,
    }


def tool_block(name: str, arguments: Any) -> dict[str, Any]:
    """A tool_use block."""
    return {
        "type": "tool_use",
        "id": new_id("toolu"),
        "name": name,
        "input": arguments,
        "caller": {"type": "direct"},
    }


def execution_block(call: str, arguments: dict[str, str]) -> dict[str, Any]:
    """The server_tool_use block of a command that the API runs."""
    return {"type": "server_tool_use", "id": call, "name": "bash_code_execution", "input": arguments}


def output_block(call: str, stdout: str) -> dict[str, Any]:
    """What the command of that call printed."""
    result = {"type": "bash_code_execution_result", "stdout": stdout, "stderr": "", "return_code": 0, "content": []}
    return {"type": "bash_code_execution_tool_result", "tool_use_id": call, "content": result}


def container() -> dict[str, str]:
    """The machine that a command ran on."""
    expires = datetime.fromtimestamp(time.time() + CONTAINER_SECONDS, UTC)
    return {"id": new_id("container"), "expires_at": expires.isoformat().replace("+00:00", "Z")}


def server_tool_use() -> dict[str, int]:
    """What usage says of the API's own tools, where one was used."""
    return {"web_search_requests": 0, "web_fetch_requests": 0}


_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def compact(value: Any) -> str:
    """JSON as the API writes it: no spaces, no escapes beyond what JSON needs."""
    return _COMPACT.encode(value)


def event(name: str, data: str) -> str:
    """One named event; `data` is a JSON object without its last brace."""
    return f"event: {name}\ndata: {data}{next(_CLOSINGS)}"


def block_start(index: int, block: str) -> str:
    return event("content_block_start", f'{{"type":"content_block_start","index":{index},"content_block":{block}')


@lru_cache(maxsize=64)
def delta_head(index: int, kind: str, field: str) -> str:
    """The beginning of a `content_block_delta` such as `text_delta` with its field `text`, up to the quoted text."""
    data = f'{{"type":"content_block_delta","index":{index},"delta":{{"type":"{kind}","{field}":'
    return f"event: content_block_delta\ndata: {data}"


def block_delta(head: str, text: str) -> str:
    """One delta of a block whose `delta_head` is given."""
    return f"{head}{encode_basestring(text)}}}{next(_CLOSINGS)}"


def block_deltas(head: str, texts: Iterable[str]) -> str:
    """Many deltas of that block."""
    quoted = map(encode_basestring, texts)
    return "".join([f"{head}{text}}}{closing}" for text, closing in zip(quoted, _CLOSINGS, strict=False)])


def block_stop(index: int) -> str:
    return event("content_block_stop", f'{{"type":"content_block_stop","index":{index}')


def error_event(error: str) -> str:
    """An error in mid-stream: `error` is the API's error body."""
    return f"event: error\ndata: {error}\n\n"
