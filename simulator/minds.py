"""What answers a request: the seam between the server, which knows the wire, and the minds, which know the problems."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from polythink.simulator.request import MessageRequest

DeltaKind = Literal["thinking", "redacted", "text", "tool"]
StopReason = Literal["end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal", "model_context_window_exceeded"]
RefusalCategory = Literal["cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"]


class Delta(NamedTuple):
    """A piece of the reply as it is generated. `tokens` are billed with it, whatever of `text` is shown."""

    kind: DeltaKind
    text: str
    tokens: int
    tool: str = ""  # the tool's name, where kind is "tool" and text its input as JSON


@dataclass(frozen=True, slots=True)
class Ending:
    """How the reply ended."""

    stop_reason: StopReason
    stop_sequence: str | None = None
    refusal: RefusalCategory | None = None  # set when stop_reason is "refusal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A whole reply, known before its first byte is sent."""

    thinking: str | None  # None: no thinking block
    text: str
    thinking_tokens: int  # billed; more than the shown text has
    text_tokens: int
    ending: Ending
    tool: str | None = None  # the tool that `text` is the JSON input of, where the reply is a call
    redacted: bool = False  # the thinking is shown only as a redacted block
    lead: str = ""  # text before the thinking
    input_tokens: int | None = None  # where a recording says so; None: as estimated


class Mind(Protocol):
    """Answers requests. The same request and draw always get the same answer, unless `incremental`."""

    name: str  # labels every reply, as in `x-polythink-simulator: synthetic`
    incremental: bool  # True: generates as it streams, so every delta is sent when it comes

    def compose(self, request: MessageRequest, draw: int) -> Composition | AsyncIterator[Delta | Ending]:
        """The reply to one draw (from 0) of a request; the last item of an iterator is its Ending.

        Raises ApiError where the mind cannot answer.
        """
        ...


def deltas(composition: Composition, pieces: int) -> list[Delta]:
    """A composition cut into about `pieces` deltas; their tokens add up to what is billed."""
    if composition.redacted:
        thinking = [Delta("redacted", "", composition.thinking_tokens)] if composition.thinking is not None else []
    else:
        share = composition.thinking_tokens / max(1, composition.thinking_tokens + composition.text_tokens)
        wanted = max(1, round(pieces * share))
        thinking = _cut("thinking", composition.thinking, composition.thinking_tokens, wanted)
    if composition.tool is not None:
        return [*thinking, Delta("tool", composition.text, composition.text_tokens, composition.tool)]
    text = _cut("text", composition.text or None, composition.text_tokens, max(1, pieces - len(thinking)))
    lead = [Delta("text", composition.lead, 0)] if composition.lead else []
    return lead + thinking + text


def _cut(kind: DeltaKind, text: str | None, tokens: int, pieces: int) -> list[Delta]:
    if text is None:
        return []
    pieces = max(1, min(pieces, len(text)))
    if pieces == 1:
        return [Delta(kind, text, tokens)]
    size = -(-len(text) // pieces)
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    each, extra = divmod(tokens, len(parts))
    return [Delta(kind, part, each + (number < extra)) for number, part in enumerate(parts)]
