"""The Models API over the facts table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polythink import facts
from polythink.facts import EFFORT_ORDER, ModelFacts
from polythink.simulator.api_errors import ApiError, invalid

_THINKING_TYPES = ("adaptive", "between_tools", "disabled", "enabled")
_YES = {"supported": True}


def model_info(model: ModelFacts) -> dict[str, Any]:
    """A ModelInfo object."""
    return {
        "type": "model",
        "id": model.snapshot,
        "display_name": model.display_name,
        "created_at": f"{model.created_at}T00:00:00Z",
        "line": model.line,
        "lifecycle": model.lifecycle,
        "deprecated_at": f"{model.created_at}T00:00:00Z" if model.lifecycle == "deprecated" else None,
        "retires_at": f"{model.retires_at}T00:00:00Z" if model.retires_at else None,
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
        "capabilities": _capabilities(model),
    }


def one_model(name: str) -> dict[str, Any]:
    """The reply to GET /v1/models/{id or alias}. Raises ApiError (404)."""
    model = facts.find(name)
    if model is None:
        raise ApiError(404, f"model: {name}")
    return model_info(model)


def model_page(limit: int, after: str | None, before: str | None, lifecycle: Sequence[str] = ()) -> dict[str, Any]:
    """The reply to GET /v1/models, newest first. Retired models are listed only if `lifecycle` asks for them."""
    wanted = lifecycle or ("active", "deprecated")
    return page([model_info(model) for model in facts.all_models() if model.lifecycle in wanted], limit, after, before)


def page(items: list[dict[str, Any]], limit: int, after: str | None, before: str | None) -> dict[str, Any]:
    """One page of a list of objects with ids: those after, or just before, an id."""
    ids = [item["id"] for item in items]
    if after is not None and before is not None:
        raise invalid("Only one of `after_id` and `before_id` may be given.")
    for name, given in (("after_id", after), ("before_id", before)):
        if given is not None and given not in ids:
            raise invalid(f"{name}: `{given}` is not in this list")
    if before is not None:
        end = ids.index(before)
        start = max(0, end - limit)
        more = start > 0
    else:
        start = ids.index(after) + 1 if after is not None else 0
        end = start + limit
        more = end < len(items)
    shown = items[start:end]
    return {
        "data": shown,
        "has_more": more,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
    }


def _capabilities(model: ModelFacts) -> dict[str, Any]:
    return {
        "batch": _YES,
        "citations": _YES,
        "code_execution": _YES,
        "context_management": {
            "supported": True,
            "clear_thinking_20251015": _YES,
            "clear_tool_uses_20250919": _YES,
            "compact_20260112": _supported("adaptive" in model.thinking_types),
        },
        "effort": {
            "supported": bool(model.effort_levels),
            **{level: _supported(level in model.effort_levels) for level in EFFORT_ORDER},
        },
        "image_input": _YES,
        "pdf_input": _YES,
        "server_tools": {"supported": True, "code_execution": _YES, "web_search": _YES},
        "structured_outputs": _YES,
        "thinking": {
            "supported": True,
            "types": {kind: _supported(kind in model.thinking_types) for kind in _THINKING_TYPES},
        },
    }


def _supported(value: bool) -> dict[str, bool]:
    return {"supported": value}
