"""Server-sent events out of the bytes of a stream, however they were cut into chunks. No I/O, no clock.

Source: the event stream interpretation of the HTML standard: lines end in LF, CR or CRLF, an event ends in an empty
line, a leading byte order mark is dropped, and an event that the stream's end cuts short is none.
"""

from __future__ import annotations

import re

MAX_EVENT_BYTES = 32 * 1024**2  # the API takes no request larger than that either

_BOM = b"\xef\xbb\xbf"
_USUAL = re.compile(rb"event: (.*)\ndata: (.*)\n\n").match  # as the API writes them; all others are read line by line
_LINE = re.compile(rb"([^\r\n]*+)(\r\n?|\n)")

Event = tuple[bytes, bytes]  # its name (empty where it has none) and its data


class OversizedEventError(ValueError):
    """An event, or a line, has grown past all reason."""


class EventReader:
    """Feed it the bytes of one stream, in order; it holds no more than one unfinished event."""

    __slots__ = ("_after_cr", "_at_start", "_data", "_held", "_held_bytes", "_name")

    def __init__(self) -> None:
        self._at_start = True
        self._after_cr = False  # the last byte was a CR: an LF that follows belongs to it
        self._held: list[bytes] = []  # a line whose end has not come
        self._held_bytes = 0  # of that line and of the data lines before it
        self._name = b""
        self._data: list[bytes] | None = None  # the event's data lines so far

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that these bytes complete. Raises OversizedEventError past MAX_EVENT_BYTES for one event."""
        if self._held or self._after_cr or self._at_start:
            chunk = self._joined(chunk)
        events: list[Event] = []
        at, end = 0, len(chunk)
        is_usual = b"\r" not in chunk
        while at < end:
            if is_usual and self._data is None and not self._name and (usual := _USUAL(chunk, at)):
                events.append((usual[1], usual[2]))
                at = usual.end()
            elif line := _LINE.match(chunk, at):
                at = line.end()
                self._after_cr = at == end and line[2] == b"\r"
                self._take_line(line[1], events)
            else:
                self._hold(chunk[at:])
                break
        return events

    def _joined(self, chunk: bytes) -> bytes:
        """What is to be read now: with what was held before it, once that can go on; else nothing, and all is held."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if self._at_start:
            chunk = b"".join((*self._held, chunk))
            self._held.clear()
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._held.append(chunk)
                return b""
            self._at_start = False
            return chunk.removeprefix(_BOM)
        if self._held and b"\n" not in chunk and b"\r" not in chunk:
            self._hold(chunk)
            return b""
        self._held_bytes -= sum(map(len, self._held))
        chunk = b"".join((*self._held, chunk))
        self._held.clear()
        return chunk

    def _hold(self, piece: bytes) -> None:
        self._held.append(piece)
        self._grow(len(piece))

    def _grow(self, count: int) -> None:
        self._held_bytes += count
        if self._held_bytes > MAX_EVENT_BYTES:
            raise OversizedEventError(f"an event of more than {MAX_EVENT_BYTES:,} bytes")

    def _take_line(self, line: bytes, events: list[Event]) -> None:
        if not line:
            if self._name or self._data is not None:
                events.append((self._name, b"\n".join(self._data or ())))
            self._name, self._data, self._held_bytes = b"", None, 0
            return
        field, _, value = line.partition(b":")  # a comment begins with the colon: its field has no name
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value
        elif field == b"data":
            self._data = self._data or []
            self._data.append(value)
            self._grow(len(line) + 1)
