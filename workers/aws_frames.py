"""Events out of the frames in which Amazon Bedrock streams a message. Needs botocore; read by the SDK's own decoder."""

from __future__ import annotations

from anthropic.lib.bedrock._stream_decoder import AWSEventStreamDecoder
from botocore.eventstream import EventStreamBuffer, ParserError

from polythink.workers.replies import MalformedEventError
from polythink.workers.sse import Event


class FrameReader:
    """Feed it the bytes of one stream, in order."""

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()
        self._decoder = AWSEventStreamDecoder()

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that these bytes complete. Raises MalformedEventError for what is no frame of such a stream."""
        self._buffer.add_data(chunk)
        try:
            parsed = [self._decoder._parse_message_from_event(frame) for frame in self._buffer]
        except (ParserError, ValueError, LookupError) as error:
            raise MalformedEventError(f"not a frame of an Amazon event stream: {error}") from error
        return [((event.event or "").encode(), event.data.encode()) for event in parsed if event is not None]
