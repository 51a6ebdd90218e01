"""What answers a request: the seam between the server, which knows the wire, and the minds, which know the problems."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from polythink.simulator.ids import new_id
from polythink.simulator.request import MessageRequest

DeltaKind = Literal["thinking", "redacted", "text", "tool", "execution", "output"]
StopReason = Literal["end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal", "model_context_window_exceeded"]
RefusalCategory = Literal["cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"]


class Delta(NamedTuple):
    """A piece of the reply as it is generated. `tokens` are billed with it, whatever of `text` is shown.

    Every `redacted` piece is a block of its own. The text of an `execution` is the command that the API runs, and of an
    `output` what it wrote to stdout.
    """

    kind: DeltaKind
    text: str
    tokens: int
    tool: str = (
        ""  # kind "tool": the tool's name, text being its input as JSON; "execution" and "output": the call's id
    )


class Run(NamedTuple):
    """Deltas of one kind that come one after another. Their tokens are spread over them evenly."""

    kind: DeltaKind
    texts: list[str]
    tokens: int
    tool: str = ""  # of each, as in Delta

    def deltas(self) -> list[Delta]:
        each, extra = divmod(self.tokens, len(self.texts))
        return [Delta(self.kind, text, each + (number < extra), self.tool) for number, text in enumerate(self.texts)]


@dataclass(frozen=True, slots=True)
class Ending:
    """How the reply ended."""

    stop_reason: StopReason
    stop_sequence: str | None = None
    refusal: RefusalCategory | None = None  # set when stop_reason is "refusal"


class Execution(NamedTuple):
    """A command that a reply has the API run before it goes on."""

    command: str
    stdout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A whole reply, known before its first byte is sent."""

    thinking: str | None  # None: no thinking block
    text: str
    thinking_tokens: int  # billed; more than the shown text has
    text_tokens: int  # of everything else
    ending: Ending
    tool: str | None = None  # the tool that `text` is the JSON input of, where the reply is a call
    redacted: int = 0  # blocks that the thinking is hidden in; 0: it is shown
    lead: str = ""  # text before the thinking
    preamble: str = ""  # text between the thinking and a call
    execution: Execution | None = None  # run before `text`
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
    return [delta for run in runs(composition, pieces) for delta in run.deltas()]


def runs(composition: Composition, pieces: int) -> list[Run]:
    """The same, deltas of one kind taken together."""
    thinking = _thinking(composition, pieces)
    found = [Run("text", [composition.lead], 0)] if composition.lead else []
    found += thinking
    if composition.preamble:
        found.append(Run("text", [composition.preamble], 0))
    if composition.tool is not None:
        return [*found, Run("tool", [composition.text], composition.text_tokens, composition.tool)]
    if composition.execution:
        call = new_id("srvtoolu")
        found.append(Run("execution", [composition.execution.command], 0, call))
        found.append(Run("output", [composition.execution.stdout], 0, call))
    if composition.text:
        rest = max(1, pieces - sum([len(run.texts) for run in thinking]))
        found.append(Run("text", _cut(composition.text, rest), composition.text_tokens))
    return found


def _thinking(composition: Composition, pieces: int) -> list[Run]:
    tokens = composition.thinking_tokens
    if composition.thinking is None:
        return []
    if composition.redacted:
        return [Run("redacted", [""] * composition.redacted, tokens)]
    share = tokens / max(1, tokens + composition.text_tokens)
    return [Run("thinking", _cut(composition.thinking, max(1, round(pieces * share))), tokens)]


def _cut(text: str, pieces: int) -> list[str]:
    size = max(1, -(-len(text) // pieces))
    return [text[start : start + size] for start in range(0, len(text), size)] or [""]
