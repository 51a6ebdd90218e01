"""Plain requests out of a connection's bytes: `POST /v1/messages` in the form nearly every client sends it. No I/O.

Only what is beyond doubt is taken here: HTTP/1.1, keep-alive, one content-length, every header once, printable ASCII.
Anything else is left to a complete HTTP server, which also words the refusal of what is malformed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

MAX_BODY_BYTES = 32 * 1024**2
MAX_HEAD_BYTES = 8190  # request line and headers
MAX_HEADERS = 128
REMEMBERED_HEADS = 256  # a client's heads are few: they differ in content-length and retry count

_START = b"POST /v1/messages"
_BEHIND_START = b" ?"
_END = b"\r\n\r\n"
# Possessive quantifiers: no head, however hostile, is looked at twice.
_HEADER = rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++):([\t -~]*+)\r\n"
_HEADERS = re.compile(_HEADER)
_HEAD = re.compile(rb"POST /v1/messages(?:\?[!-~]*+)? HTTP/1\.1\r\n(?:" + _HEADER + rb")*+\r\n")
_LENGTH = re.compile(r"[0-9]{1,8}")
_COMPLICATING = frozenset({"transfer-encoding", "content-encoding", "expect", "upgrade"})


class Head(NamedTuple):
    """The head of a plain request. Header names are in lower case."""

    headers: Mapping[str, str]
    length: int  # bytes of the body


class PlainRequest(NamedTuple):
    """One plain request."""

    headers: Mapping[str, str]
    body: bytes


@lru_cache(maxsize=REMEMBERED_HEADS)
def read_head(raw: bytes) -> Head | None:
    """The head of a plain request, its last empty line included; None for any other."""
    if not _HEAD.fullmatch(raw):
        return None
    fields = _HEADERS.findall(raw, raw.index(b"\r\n") + 2)
    headers = {name.decode().lower(): value.strip(b" \t").decode() for name, value in fields}
    if len(headers) < len(fields) or len(fields) > MAX_HEADERS or not _COMPLICATING.isdisjoint(headers):
        return None
    length = headers.get("content-length", "")
    if not _LENGTH.fullmatch(length) or int(length) > MAX_BODY_BYTES:
        return None
    if "host" not in headers or headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    return Head(headers, int(length))


class RequestBuffer:
    """What a connection sent and nobody has taken yet."""

    __slots__ = ("_head", "_held", "_searched", "_start")

    def __init__(self) -> None:
        self._held = bytearray()
        self._searched = 0  # bytes that hold no end of a head
        self._head: Head | None = None  # of the request whose body is awaited
        self._start = 0  # of that body

    def feed(self, data: bytes) -> None:
        self._held += data

    def take(self) -> PlainRequest | Literal["other"] | None:
        """The next request; None until more of it has come; "other" from the first byte that makes it no plain one."""
        if not self._held:
            return None
        head = self._head
        if head is None:
            found = self._find_head()
            if not isinstance(found, Head):
                return found
            head = found
        end = self._start + head.length
        if len(self._held) < end:
            self._head = head
            return None
        body = bytes(self._held[self._start : end])
        del self._held[:end]
        self._head, self._searched = None, 0
        return PlainRequest(head.headers, body)

    def rest(self) -> bytes:
        """Everything not taken, from the beginning of a request."""
        return bytes(self._held)

    def _find_head(self) -> Head | Literal["other"] | None:
        held = self._held
        if not held.startswith(_START) and not _START.startswith(held):
            return "other"
        if len(held) > len(_START) and held[len(_START)] not in _BEHIND_START:
            return "other"
        end = held.find(_END, self._searched, MAX_HEAD_BYTES)
        if end < 0:
            self._searched = max(0, len(held) - len(_END) + 1)
            return "other" if len(held) >= MAX_HEAD_BYTES else None
        self._start = end + len(_END)
        return read_head(bytes(held[: self._start])) or "other"
