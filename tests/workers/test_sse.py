"""EventReader finds the same events however the bytes were cut, and those the event stream standard says."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import httpx2
import pytest
from anthropic import Stream
from hypothesis import given
from hypothesis import strategies as st

from polythink.workers.sse import MAX_EVENT_BYTES, Event, EventReader, OversizedEventError

WIRE = Path(__file__).parents[2] / ".." / "shared" / "data" / "wire"
LINE_ENDS = (b"\n", b"\r", b"\r\n")

values = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
fields = st.sampled_from(["event", "data", "id", "retry", "", "other"])


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A line of any kind, its end included; often the empty one, which ends an event."""
    kind = draw(st.sampled_from(["field", "field", "bare", "empty"]))
    name, value = draw(fields), draw(values)
    text = {"field": f"{name}:{draw(st.sampled_from(['', ' ']))}{value}", "bare": name or "x", "empty": ""}[kind]
    return text.encode() + draw(st.sampled_from(LINE_ENDS))


streams = st.lists(lines(), max_size=12).map(b"".join)


def events_of(stream: bytes, cuts: list[int] | None = None) -> list[Event]:
    reader, found = EventReader(), []
    bounds = [0, *sorted(cuts or ()), len(stream)]
    for start, end in pairwise(bounds):
        found += reader.feed(stream[start:end])
    return found


def by_the_standard(stream: bytes) -> list[Event]:
    """The standard's own words, one line after another, with the whole stream at hand."""
    found: list[Event] = []
    name = b""
    data: list[bytes] = []
    *whole_lines, _ = re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf"))
    for line in whole_lines:
        field, _, value = line.partition(b":")
        if not line:
            if name or data:
                found.append((name, b"\n".join(data)))
            name, data = b"", []
        elif field == b"event":
            name = value.removeprefix(b" ")
        elif field == b"data":
            data.append(value.removeprefix(b" "))
    return found


@given(streams, st.booleans(), st.data())
def test_any_stream_cut_anywhere_holds_the_events_of_the_standard(
    stream: bytes, marked: bool, data: st.DataObject
) -> None:
    stream = b"\xef\xbb\xbf" * marked + stream
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    assert events_of(stream, cuts) == by_the_standard(stream)


@given(streams)
def test_a_stream_that_comes_byte_by_byte_holds_the_same_events(stream: bytes) -> None:
    assert events_of(stream, list(range(len(stream)))) == events_of(stream)


def test_an_event_is_told_with_its_last_byte_and_not_later() -> None:
    for end in LINE_ENDS:
        reader = EventReader()
        assert reader.feed(b"event: a" + end + b"data: b" + end) == []
        assert reader.feed(end) == [(b"a", b"b")]


def test_what_the_end_of_the_stream_cuts_short_is_no_event() -> None:
    assert events_of(b"event: a\ndata: b\n\nevent: c\ndata: d\n") == [(b"a", b"b")]


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 2**20, b"data:" + b"x" * 2**20 + b"\n", b"data\n" * 2**18])
def test_an_event_without_end_is_refused_before_it_fills_the_memory(piece: bytes) -> None:
    reader, fed = EventReader(), 0
    with pytest.raises(OversizedEventError, match="an event of more than"):
        while fed < 2 * MAX_EVENT_BYTES:
            reader.feed(piece)
            fed += len(piece)
    assert fed <= MAX_EVENT_BYTES


def test_events_that_end_never_add_up() -> None:
    reader, frame = EventReader(), b"data: " + b"x" * 2**20 + b"\r\n\r\n"
    for _ in range(2 * MAX_EVENT_BYTES // len(frame)):
        for cut in (frame[:1000], frame[1000:-2]):
            assert reader.feed(cut) == []
        assert reader.feed(frame[-2:]) == [(b"", frame[6:-4])]


@pytest.mark.parametrize("path", sorted(WIRE.glob("*.response.sse")) or [None], ids=lambda p: p.name if p else "none")
def test_recordings_hold_the_events_that_the_sdk_finds(path: Path | None) -> None:
    if path is None:
        pytest.skip(f"no recordings in {WIRE}")
    stream = path.read_bytes()
    theirs = Stream.raw_events(httpx2.Response(200, content=stream))
    assert events_of(stream) == [((event.event or "").encode(), event.data.encode()) for event in theirs]
