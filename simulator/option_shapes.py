"""The shape of a body's options: everything beside model, messages, system and thinking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from polythink.facts import EFFORT_ORDER
from polythink.simulator.api_errors import invalid

MAX_CACHE_BREAKPOINTS = 4
_TOOL_CHOICES = ("auto", "any", "tool", "none")


def check_options(body: dict[str, Any]) -> None:
    """Raises ApiError (400) for the first option of the wrong shape."""
    _check_output_config(body.get("output_config"))
    _check_small_fields(body)
    _check_metadata(body.get("metadata"))
    _check_stops(body.get("stop_sequences"))
    _check_tools(body.get("tools"), body.get("tool_choice"))
    _check_sampling(body)
    _check_breakpoints(body)


def _check_output_config(config: Any) -> None:
    if config is None:
        return
    if not isinstance(config, dict):
        raise invalid("output_config: Input should be a valid dictionary or object to extract fields from")
    for field in config:
        if field not in ("effort", "format"):
            raise invalid(f"output_config.{field}: Extra inputs are not permitted")
    effort, style = config.get("effort"), config.get("format")
    if effort is not None and effort not in EFFORT_ORDER:
        raise invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
    if style is not None:
        if not isinstance(style, dict) or style.get("type") != "json_schema":
            raise invalid("output_config.format.type: Input should be 'json_schema'")
        if not isinstance(style.get("schema"), dict):
            raise invalid("output_config.format.schema: Field required")


def _check_small_fields(body: dict[str, Any]) -> None:
    if not isinstance(body.get("stream", False), bool):
        raise invalid("stream: Input should be a valid boolean")
    if body.get("service_tier", "auto") not in ("auto", "standard_only"):
        raise invalid("service_tier: Input should be 'auto' or 'standard_only'")
    if body.get("speed") not in (None, "standard", "fast"):
        raise invalid("speed: Input should be 'standard' or 'fast'")


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise invalid("metadata: Input should be a valid dictionary or object to extract fields from")
    for field in metadata:
        if field != "user_id":
            raise invalid(f"metadata.{field}: Extra inputs are not permitted")
    user_id = metadata.get("user_id")
    if user_id is not None:
        check_string(user_id, "metadata.user_id")
        if len(user_id) > 256:
            raise invalid("metadata.user_id: String should have at most 256 characters")


def _check_stops(stops: Any) -> None:
    if stops is None:
        return
    if not isinstance(stops, list):
        raise invalid("stop_sequences: Input should be a valid list")
    for number, stop in enumerate(stops):
        check_string(stop, f"stop_sequences.{number}")
        if not stop.strip():
            raise invalid("stop_sequences: each stop sequence must contain non-whitespace")


def _check_sampling(body: dict[str, Any]) -> None:
    for field, high in (("temperature", 1), ("top_p", 1)):
        value = body.get(field)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid(f"{field}: Input should be a valid number")
        if value < 0:
            raise invalid(f"{field}: Input should be greater than or equal to 0")
        if value > high:
            raise invalid(f"{field}: Input should be less than or equal to {high}")
    if body.get("top_k") is not None:
        check_integer(body["top_k"], "top_k", minimum=0)


def _check_tools(tools: Any, choice: Any) -> None:
    if tools is not None and not isinstance(tools, list):
        raise invalid("tools: Input should be a valid list")
    for number, tool in enumerate(tools or ()):
        if not isinstance(tool, dict):
            raise invalid(f"tools.{number}: Input should be a valid dictionary or object to extract fields from")
        check_string(tool.get("name"), f"tools.{number}.name")
        if "type" not in tool and not isinstance(tool.get("input_schema"), dict):
            raise invalid(f"tools.{number}.custom.input_schema: Field required")
    if choice is None:
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind not in _TOOL_CHOICES:
        raise invalid(
            "tool_choice: Input tag found using 'type' does not match any of the expected tags: "
            "'any', 'auto', 'none', 'tool'"
        )
    if kind == "tool" and not isinstance(choice.get("name"), str):
        raise invalid("tool_choice.tool.name: Field required")


def check_cache_control(control: Any, path: str) -> None:
    """Raises ApiError (400) for a cache_control that is not `{"type": "ephemeral", "ttl": "5m" or "1h"}`."""
    if control is None:
        return
    if not isinstance(control, dict) or control.get("type") != "ephemeral":
        raise invalid(f"{path}.type: Input should be 'ephemeral'")
    if control.get("ttl") not in (None, "5m", "1h"):
        raise invalid(f"{path}.ttl: Input should be '5m' or '1h'")


def _check_breakpoints(body: dict[str, Any]) -> None:
    check_cache_control(body.get("cache_control"), "cache_control")
    marked = [block["cache_control"] for block in breakpoints(body)]
    for control in marked:
        check_cache_control(control, "cache_control")
    lifetimes = [control.get("ttl") or "5m" for control in marked]
    if "1h" in lifetimes and "5m" in lifetimes[: len(lifetimes) - lifetimes[::-1].index("1h")]:
        raise invalid("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.")
    found = len(marked) + ("cache_control" in body and body["cache_control"] is not None)
    if found > MAX_CACHE_BREAKPOINTS:
        raise invalid(f"A maximum of {MAX_CACHE_BREAKPOINTS} blocks with cache_control may be provided. Found {found}.")


def breakpoints(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every block of tools, system and messages that carries cache_control, in cache order."""
    blocks: list[Any] = [*(body.get("tools") or ())]
    system = body.get("system")
    if isinstance(system, list):
        blocks += system
    for message in body["messages"]:
        if isinstance(message["content"], list):
            blocks += message["content"]
    for block in blocks:
        if isinstance(block, dict) and block.get("cache_control"):
            yield block


def check_string(value: Any, path: str) -> None:
    """Raises ApiError (400) for what is not text."""
    if not isinstance(value, str):
        raise invalid(f"{path}: Input should be a valid string")


def check_integer(value: Any, path: str, *, minimum: int) -> None:
    """Raises ApiError (400) for what is not a whole number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(f"{path}: Input should be a valid integer")
    if value < minimum:
        raise invalid(f"{path}: Input should be greater than or equal to {minimum}")
