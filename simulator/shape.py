"""The shape of a Messages body: fields, types and ranges, refused in the API's wording. No model is looked at here."""

from __future__ import annotations

from typing import Any

from polythink.facts import MIN_BUDGET_TOKENS
from polythink.simulator.api_errors import ApiError, invalid
from polythink.simulator.option_shapes import check_integer, check_options, check_string

CURRENT_VERSION = "2026-10-21"
OLD_VERSION = "2023-06-01"
VERSIONS = (OLD_VERSION, CURRENT_VERSION)
MAX_MESSAGES = 100_000

_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
_COUNTED = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control", "speed"}
)
_CREATED = _COUNTED | {
    "max_tokens",
    "container",
    "diagnostics",
    "inference_geo",
    "metadata",
    "service_tier",
    "stop_sequences",
    "stream",
}
_ROLES = ("user", "assistant", "system")
_BLOCK_FIELDS = {
    "text": "text",
    "thinking": "thinking",
    "redacted_thinking": "data",
    "image": "source",
    "tool_use": "name",
}
_BLOCK_TYPES = (
    "bash_code_execution_tool_result",
    "code_execution_tool_result",
    "container_upload",
    "document",
    "image",
    "redacted_thinking",
    "search_result",
    "server_tool_use",
    "text",
    "thinking",
    "tool_result",
    "tool_use",
    "web_fetch_tool_result",
    "web_search_tool_result",
)
_THINKING_TAGS = ("adaptive", "between_tools", "disabled", "enabled")
_THINKING_FIELDS = {
    "enabled": frozenset({"type", "budget_tokens", "display"}),
    "adaptive": frozenset({"type", "display"}),
    "disabled": frozenset({"type"}),
    "between_tools": frozenset({"type"}),
}


def check_shape(body: Any, version: str, *, counting: bool = False) -> None:
    """Raises ApiError (400) for the first thing in the body that no model would accept.

    `counting` is the narrower body of count_tokens, which needs no max_tokens and takes no streaming fields.
    """
    if not isinstance(body, dict):
        raise invalid("Input should be a valid dictionary or object to extract fields from")
    _check_required(body, ("model", "messages") if counting else ("model", "max_tokens", "messages"))
    _check_extras(body, version, _COUNTED if counting else _CREATED)
    check_string(body["model"], "model")
    if not counting:
        check_integer(body["max_tokens"], "max_tokens", minimum=0)
    _check_messages(body["messages"], version)
    _check_system(body.get("system"))
    _check_thinking(body.get("thinking"))
    check_options(body)


def _check_required(body: dict[str, Any], fields: tuple[str, ...]) -> None:
    for field in fields:
        if field not in body:
            raise invalid(f"{field}: Field required")


def _check_extras(body: dict[str, Any], version: str, known: frozenset[str]) -> None:
    if version == OLD_VERSION:
        known = known | _SAMPLING
    for field in body:
        if field not in known:
            raise invalid(f"{field}: Extra inputs are not permitted")


def _check_messages(messages: Any, version: str) -> None:
    if not isinstance(messages, list):
        raise invalid("messages: Input should be a valid list")
    if not messages:
        raise invalid("messages: at least one message is required")
    if len(messages) > MAX_MESSAGES:
        raise invalid(f"messages: List should have at most {MAX_MESSAGES} items after validation, not {len(messages)}")
    for number, message in enumerate(messages):
        _check_message(message, f"messages.{number}", version, last=number == len(messages) - 1)
    if messages[0]["role"] == "assistant":
        raise invalid('messages: first message must use the "user" role')


def _check_message(message: Any, path: str, version: str, *, last: bool) -> None:
    if not isinstance(message, dict):
        raise invalid(f"{path}: Input should be a valid dictionary or object to extract fields from")
    for field in ("role", "content"):
        if field not in message:
            raise invalid(f"{path}.{field}: Field required")
    for field in message:
        if field not in ("role", "content"):
            raise invalid(f"{path}.{field}: Extra inputs are not permitted")
    if message["role"] not in _ROLES:
        raise invalid(f"{path}.role: Input should be 'user', 'assistant' or 'system'")
    content = message["content"]
    if not content and not (last and message["role"] == "assistant"):
        raise invalid(
            f"{path}: all messages must have non-empty content except for the optional final assistant message"
        )
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise invalid(f"{path}.content: Input should be a valid string or list")
    for number, block in enumerate(content):
        _check_block(block, f"{path}.content.{number}", message["role"], version)


def _check_block(block: Any, path: str, role: str, version: str) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str):
        raise invalid(f"{path}.type: Field required")
    if kind not in _BLOCK_TYPES:
        tags = ", ".join(f"'{tag}'" for tag in _BLOCK_TYPES)
        raise invalid(f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}")
    field = _BLOCK_FIELDS.get(kind)
    if field and field not in block:
        raise invalid(f"{path}.{kind}.{field}: Field required")
    if kind == "thinking":
        check_string(block["thinking"], f"{path}.thinking.thinking")
        check_string(block.get("signature"), f"{path}.thinking.signature")
    if kind == "text":
        check_string(block["text"], f"{path}.text.text")
        if not block["text"]:
            raise invalid("messages: text content blocks must be non-empty")
    if version == CURRENT_VERSION and kind == "document" and role == "assistant":
        raise invalid(f"{path}: `document` blocks are not permitted in assistant messages")
    if version == CURRENT_VERSION and kind == "text" and role == "user" and block.get("citations"):
        raise invalid(f"{path}.text.citations: citations are not permitted on user text blocks")


def _check_system(system: Any) -> None:
    if system is None or isinstance(system, str):
        return
    if not isinstance(system, list):
        raise invalid("system: Input should be a valid string or list")
    for number, block in enumerate(system):
        if not isinstance(block, dict) or block.get("type") != "text":
            raise invalid(f"system.{number}.type: Input should be 'text'")
        check_string(block.get("text"), f"system.{number}.text")


def _check_thinking(thinking: Any) -> None:
    if thinking is None:
        return
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if not isinstance(kind, str):
        raise invalid("thinking: Unable to extract tag using discriminator 'type'")
    if kind not in _THINKING_TAGS:
        tags = ", ".join(f"'{tag}'" for tag in _THINKING_TAGS)
        raise invalid(
            f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}"
        )
    for field in thinking:
        if field not in _THINKING_FIELDS[kind]:
            raise invalid(f"thinking.{kind}.{field}: Extra inputs are not permitted")
    if thinking.get("display") not in (None, "summarized", "omitted"):
        raise invalid(f"thinking.{kind}.display: Input should be 'summarized' or 'omitted'")
    if kind == "enabled":
        if "budget_tokens" not in thinking:
            raise invalid("thinking.enabled.budget_tokens: Field required")
        check_integer(thinking["budget_tokens"], "thinking.enabled.budget_tokens", minimum=MIN_BUDGET_TOKENS)


def check_version(version: str | None) -> str:
    """The API version asked for. Raises ApiError (400) for none, or one that does not exist."""
    if version is None:
        raise invalid("anthropic-version: header is required")
    if version not in VERSIONS:
        raise ApiError(400, f'anthropic-version: "{version}" is not a valid version')
    return version
