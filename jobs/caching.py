"""Which requests let the API cache their prompt, and how they say so. Pure.

Writing to the cache costs a quarter more than the input would, reading it a tenth or less: two samples of one prompt
already pay. Below a model's minimum nothing is cached. Source: the prompt caching page of the API reference.
"""

from __future__ import annotations

from typing import Any

from polythink.facts import ModelFacts

BYTES_PER_TOKEN = 3.5  # of the Claude 4.5 tokenizer; too short a prompt by it is left as it is
_MARK = {"cache_control": {"type": "ephemeral"}}


def cached_body(body: dict[str, Any], facts: ModelFacts | None) -> dict[str, Any] | None:
    """The same request with its prompt marked for the cache; None where that is too short, or the model not known.

    The whole prompt is marked, which the samples of a problem share; and a system prompt that is long enough by itself,
    which its problems share.
    """
    system, user = str(body.get("system", "")), str(body["messages"][0]["content"])
    if facts is None or not _is_enough(system + user, facts):
        return None
    marked = {**body, "messages": [{"role": "user", "content": [{"type": "text", "text": user, **_MARK}]}]}
    if _is_enough(system, facts):
        marked["system"] = [{"type": "text", "text": system, **_MARK}]
    return marked


def _is_enough(text: str, facts: ModelFacts) -> bool:
    return len(text.encode()) / BYTES_PER_TOKEN * facts.tokenizer_scale >= facts.cache_min_tokens
