"""A Messages request after validation: what a mind and the meter need to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from polythink.facts import ModelFacts

ThinkingMode = Literal["none", "budget", "adaptive"]
Display = Literal["summarized", "omitted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRequest:
    """What was asked for, by whichever sample. `body` is what one that asked for it sent, unchanged."""

    facts: ModelFacts
    max_tokens: int  # thinking and text together
    stream: bool
    mode: ThinkingMode  # after the model's default was applied
    budget_tokens: int | None  # set when mode is "budget"
    effort: str | None  # after the model's default was applied; None: the model takes no effort
    display: Display
    system: str  # all system text
    prompt: str  # the text of the last user message
    input_tokens: int  # estimate of the whole input
    draw_key: bytes  # names prompt and settings: equal requests share it, whoever sends them
    cached: bool  # whether anything is marked for the prompt cache
    stop_sequences: tuple[str, ...]
    body: dict[str, Any]

    def mentions(self, text: str) -> bool:
        """Whether a user message holds this text."""
        return text in self.prompt or (
            len(self.body["messages"]) > 1 and any(text in str(message["content"]) for message in self.body["messages"])
        )
