"""Bodies as they arrive: what differs from one already validated in nothing but its sample is not validated again."""

from __future__ import annotations

import re

from polythink.simulator.parse import decoded, parse_message, sample_of
from polythink.simulator.request import MessageRequest

MOST_REMEMBERED = 2048  # bodies
LARGEST_REMEMBERED = 8192  # bytes; what is larger is likely to be rarer too

_SLOT = b'"metadata":{"user_id":"'  # as the SDK writes it
_PLAIN_SAMPLE = re.compile(rb"[A-Za-z0-9_.:/@=-]{1,256}")  # characters that cannot change what JSON means
_PROBES = (b"-", b".")  # two: a second `metadata` could happen to hold one

Key = tuple[str, bytes, bytes]  # API version, and the body before and after its sample


class BodyReader:
    """Reads bodies; remembers those that many samples share."""

    def __init__(self) -> None:
        self._seen: dict[Key, MessageRequest] = {}

    def read(self, raw: bytes, version: str) -> tuple[MessageRequest, str | None]:
        """What a body asks for, and the sample it names. Raises ApiError like `parse_message`, or 400 without JSON."""
        slot = sample_slot(raw)
        if slot is None or len(raw) > LARGEST_REMEMBERED:
            body = decoded(raw)
            return parse_message(body, version), sample_of(body)
        start, end = slot
        key = version, raw[:start], raw[end:]
        known = self._seen.get(key)
        if known is not None:
            return known, raw[start:end].decode()
        body = decoded(raw)
        request = parse_message(body, version)
        if is_whole_sample(raw, start, end):
            self._remember(key, request)
        return request, sample_of(body)

    def _remember(self, key: Key, request: MessageRequest) -> None:
        if len(self._seen) >= MOST_REMEMBERED:
            self._seen.clear()
        self._seen[key] = request


def sample_slot(raw: bytes) -> tuple[int, int] | None:
    """Where a body seems to name its sample, if that is in plain characters: the place between the quotes."""
    start = raw.find(_SLOT) + len(_SLOT)
    if start < len(_SLOT):
        return None
    end = raw.find(b'"', start)
    return (start, end) if _PLAIN_SAMPLE.fullmatch(raw, start, max(start, end)) else None


def is_whole_sample(raw: bytes, start: int, end: int) -> bool:
    """Whether what stands there is all of the body's `metadata.user_id`, and so is any plain text in its place."""
    return all(sample_of(decoded(raw[:start] + probe + raw[end:])) == probe.decode() for probe in _PROBES)
