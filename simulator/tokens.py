"""Counting tokens without a tokenizer: the averages of English text, scaled to the model."""

from __future__ import annotations

CHARS_PER_TOKEN = 4.0
_PROMPT_OVERHEAD = 7  # tokens around a one-message prompt, as recorded replies count them
_MESSAGE_OVERHEAD = 4  # tokens for each further message
_THINKING_OVERHEAD = 29  # tokens that turning thinking on adds to the prompt, as recorded


def text_tokens(text: str, scale: float = 1.0) -> int:
    """About how many tokens a text has; at least 1 unless it is empty."""
    return max(1, round(len(text) / CHARS_PER_TOKEN * scale)) if text else 0


def prompt_tokens(characters: int, messages: int, thinking: bool, scale: float) -> int:
    """About how many tokens a prompt of this many characters and messages has."""
    body = characters / CHARS_PER_TOKEN * scale
    overhead = _PROMPT_OVERHEAD + _MESSAGE_OVERHEAD * max(0, messages - 1) + (_THINKING_OVERHEAD if thinking else 0)
    return round(body) + overhead
