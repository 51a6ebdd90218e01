"""What the named model accepts. Rules, defaults and the Models API read one facts table, so they cannot disagree."""

from __future__ import annotations

from typing import Any

from polythink import facts
from polythink.facts import EFFORT_ORDER, ModelFacts
from polythink.simulator import wire
from polythink.simulator.api_errors import ApiError, invalid

_BUDGET_URL = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size"
_CONTROL = 'Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'


def model_facts(model: str) -> ModelFacts:
    """The facts of the named model. Raises ApiError (404) for one that does not exist or is retired."""
    found = facts.find(model)
    if found is None or found.lifecycle == "retired":
        raise ApiError(404, f"model: {model}")
    return found


def check_model_rules(body: dict[str, Any], model: ModelFacts, *, max_output_tokens: int | None = None) -> None:
    """Raises ApiError (400) for the first thing in the body that this model refuses.

    `max_output_tokens` overrides the model's own cap.
    """
    _check_max_tokens(body, model, max_output_tokens or model.max_output_tokens)
    _check_thinking(body.get("thinking"), body, model)
    _check_effort(body, model)
    _check_prefill(body, model)
    _check_thinking_blocks(body["messages"])
    _check_tool_choice(body, model)
    _check_sampling(body, model)
    _check_speed(body, model)


def _check_max_tokens(body: dict[str, Any], model: ModelFacts, cap: int) -> None:
    asked = body.get("max_tokens", 1)
    if asked > cap:
        raise invalid(
            f"max_tokens: {asked} > {cap}, which is the maximum allowed number of output tokens for {model.snapshot}"
        )
    if asked == 0:
        _check_prewarm(body)


def _check_prewarm(body: dict[str, Any]) -> None:
    thinking = body.get("thinking") or {}
    if body.get("stream"):
        raise invalid("max_tokens: must be at least 1 when `stream` is true")
    if thinking.get("type") == "enabled":
        raise invalid('max_tokens: must be at least 1 when `thinking.type` is "enabled"')
    if (body.get("output_config") or {}).get("format"):
        raise invalid("max_tokens: must be at least 1 when `output_config.format` is set")
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise invalid("max_tokens: must be at least 1 when `tool_choice` forces a tool")


def _check_thinking(thinking: dict[str, Any] | None, body: dict[str, Any], model: ModelFacts) -> None:
    if thinking is None:
        return
    kind = thinking["type"]
    if kind not in model.thinking_types:
        raise invalid(_refusal(kind, model))
    budget = thinking.get("budget_tokens")
    # With tools, thinking may interleave with calls and its budget spans several replies.
    if budget is not None and not body.get("tools") and "max_tokens" in body and budget >= body["max_tokens"]:
        raise invalid(
            "`max_tokens` must be greater than `thinking.budget_tokens`. "
            f"Please consult our documentation at {_BUDGET_URL}"
        )


def _refusal(kind: str, model: ModelFacts) -> str:
    if kind == "adaptive":
        return "adaptive thinking is not supported on this model"
    if kind == "disabled" and "between_tools" in model.thinking_types:
        return (
            'To turn thinking off on this model, send "thinking": {"type": "between_tools"} instead of '
            '{"type": "disabled"}. The model does not think before responding.'
        )
    return f'"thinking.type.{kind}" is not supported for this model. {_CONTROL}'


def _check_effort(body: dict[str, Any], model: ModelFacts) -> None:
    effort = (body.get("output_config") or {}).get("effort")
    if effort is None:
        return
    if not model.effort_levels:
        raise invalid("This model does not support the effort parameter.")
    if effort not in model.effort_levels:
        levels = ", ".join(sorted(model.effort_levels))
        raise invalid(f"This model does not support effort level '{effort}'. Supported levels: {levels}.")
    kind = (body.get("thinking") or {}).get("type")
    highest = model.max_effort_when_disabled
    thinks = kind not in ("disabled", "between_tools")
    if not thinks and highest and EFFORT_ORDER.index(effort) > EFFORT_ORDER.index(highest):
        raise invalid(
            f"output_config.effort '{effort}' is not supported when thinking is disabled on this model. "
            f"Use effort '{highest}' or below, or enable thinking."
        )


def _check_prefill(body: dict[str, Any], model: ModelFacts) -> None:
    if body["messages"][-1]["role"] == "assistant" and not model.prefill:
        raise invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )


def _check_thinking_blocks(messages: list[dict[str, Any]]) -> None:
    """Raises ApiError (400) for a thinking block of this simulator's that was changed on its way back."""
    for number, message in enumerate(messages):
        if message["role"] != "assistant" or isinstance(message["content"], str):
            continue
        for place, block in enumerate(message["content"]):
            if block["type"] == "thinking" and wire.was_changed(block["thinking"], block.get("signature") or ""):
                raise invalid(
                    f"messages.{number}.content.{place}: `thinking` or `redacted_thinking` blocks in the latest "
                    "assistant message cannot be modified. These blocks must remain as they were in the original "
                    "response."
                )


def _check_tool_choice(body: dict[str, Any], model: ModelFacts) -> None:
    if (body.get("tool_choice") or {}).get("type") not in ("any", "tool"):
        return
    if not model.forced_tools:
        raise invalid('tool_choice: type "tool" and "any" are not supported for this model.')
    if not body.get("tools"):
        raise invalid("tool_choice: may only be specified while providing tools")
    if (body.get("thinking") or {}).get("type") == "enabled":
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")


def _check_sampling(body: dict[str, Any], model: ModelFacts) -> None:
    thinks = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    temperature, top_p, top_k = body.get("temperature"), body.get("top_p"), body.get("top_k")
    if not model.sampling:
        for field, value, default in (("temperature", temperature, 1), ("top_p", top_p, None), ("top_k", top_k, None)):
            if value is not None and value != default:
                raise invalid(f"{field}: only the default value is supported for this model")
    elif thinks and temperature not in (None, 1):
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
    elif thinks and top_k is not None:
        raise invalid("`top_k` must be unset when thinking is enabled.")
    elif thinks and top_p is not None and top_p < 0.95:
        raise invalid("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.")


def _check_speed(body: dict[str, Any], model: ModelFacts) -> None:
    if body.get("speed") == "fast" and not model.fast:
        raise invalid("speed: fast mode is not supported for this model")
    if body.get("inference_geo") is not None and not model.inference_geo:
        raise invalid("inference_geo: not supported for this model")
