"""Frames as Amazon's services stream them: prelude, headers, payload, each checked by a CRC-32.

Source: the event stream encoding of the Amazon Transcribe and Smithy documentation.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

_STRING = 7  # the type of a header's value


def frames(events: Sequence[dict[str, Any]]) -> bytes:
    """The events of a message, each in a frame."""
    return b"".join(
        _frame(_CHUNK, {"bytes": base64.b64encode(json.dumps(event).encode()).decode()}) for event in events
    )


def exception_frame(kind: str, message: str) -> bytes:
    """An error that comes within a stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return _frame(headers, {"message": message})


_CHUNK = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}


def _frame(headers: Mapping[str, str], payload: dict[str, Any]) -> bytes:
    named = b"".join(
        struct.pack(f"!B{len(name)}sBH{len(value)}s", len(name), name.encode(), _STRING, len(value), value.encode())
        for name, value in headers.items()
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", 12 + len(named) + len(body) + 4, len(named))
    checked = prelude + struct.pack("!I", crc32(prelude)) + named + body
    return checked + struct.pack("!I", crc32(checked))
