"""From a decoded body to a MessageRequest: shape, model, the model's rules, then what was meant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from polythink.facts import ModelFacts
from polythink.simulator.api_errors import invalid
from polythink.simulator.ids import digest
from polythink.simulator.model_rules import check_model_rules, model_facts
from polythink.simulator.option_shapes import breakpoints
from polythink.simulator.request import Display, MessageRequest, ThinkingMode
from polythink.simulator.shape import check_shape
from polythink.simulator.tokens import prompt_tokens


def parse_message(body: Any, version: str, *, max_output_tokens: int | None = None) -> MessageRequest:
    """A valid request out of a decoded body. `max_output_tokens` overrides the model's own cap.

    Raises ApiError: 400 for what cannot be right, 404 for an unknown model.
    """
    check_shape(body, version)
    model = model_facts(body["model"])
    check_model_rules(body, model, max_output_tokens=max_output_tokens)
    request = _request(body, model)
    if request.input_tokens > model.context_tokens:
        raise invalid(f"prompt is too long: {request.input_tokens} tokens > {model.context_tokens} maximum")
    return request


def decoded(raw: bytes) -> Any:
    """A JSON body. Raises ApiError (400)."""
    try:
        return json.loads(raw.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise invalid(f"The request body is not valid JSON: {error}") from error


def sample_of(body: dict[str, Any]) -> str | None:
    """The sample that a valid body names: its `metadata.user_id`."""
    sample: str | None = (body.get("metadata") or {}).get("user_id")
    return sample


def parse_count(body: Any, version: str) -> int:
    """The answer of count_tokens to a decoded body, in tokens. Raises ApiError like `parse_message`."""
    check_shape(body, version, counting=True)
    model = model_facts(body["model"])
    check_model_rules(body, model)
    return _request({"max_tokens": 1, **body}, model).input_tokens


def _request(body: dict[str, Any], model: ModelFacts) -> MessageRequest:
    mode, budget = _mode(body.get("thinking"), model)
    effort = (body.get("output_config") or {}).get("effort") or model.effort_default
    system = "\n".join(_texts(body.get("system") or ""))
    spoken = [f"{message['role']}:{text}" for message in body["messages"] for text in _texts(message["content"])]
    tools = str(body["tools"]) if body.get("tools") else ""
    characters = len(system) + len(tools) + sum(map(len, spoken))
    max_tokens: int = body["max_tokens"]
    settings = f"{model.model_id} {mode} {budget} {effort} {max_tokens} {body.get('temperature')}"
    return MessageRequest(
        facts=model,
        max_tokens=max_tokens,
        stream=bool(body.get("stream")),
        mode=mode,
        budget_tokens=budget,
        effort=effort,
        display=_display(body.get("thinking"), model),
        system=system,
        prompt=_last_user_text(body["messages"]),
        input_tokens=prompt_tokens(characters, len(body["messages"]), mode != "none", model.tokenizer_scale),
        draw_key=digest((settings, system, tools, *spoken)),
        cached=bool(body.get("cache_control")) or next(breakpoints(body), None) is not None,
        stop_sequences=tuple(body.get("stop_sequences") or ()),
        body=body,
    )


def _mode(thinking: dict[str, Any] | None, model: ModelFacts) -> tuple[ThinkingMode, int | None]:
    if thinking is None:
        return ("none" if model.thinking_default == "off" else "adaptive"), None
    match thinking["type"]:
        case "enabled":
            return "budget", thinking["budget_tokens"]
        case "adaptive":
            return "adaptive", None
        case _:
            return "none", None


def _display(thinking: dict[str, Any] | None, model: ModelFacts) -> Display:
    asked = (thinking or {}).get("display") or model.display_default
    return "omitted" if asked == "omitted" else "summarized"


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    for block in content:
        text = block.get("text")
        yield text if isinstance(text, str) else str(block)


def _last_user_text(messages: list[dict[str, Any]]) -> str:
    for message in reversed(messages):
        if message["role"] == "user":
            return "\n".join(_texts(message["content"]))
    return ""
