"""Values that fit a JSON schema, for structured outputs and tool calls, with the answer where an answer belongs."""

from __future__ import annotations

import random
from typing import Any

_MOST_DEPTH = 8
_CODE_EXECUTION = "code_execution_"  # and the date of its version


def instance(schema: Any, answer: str, rng: random.Random, depth: int = 0) -> Any:
    """A value of the schema. Free strings and numbers take the answer where it fits; enums and booleans are drawn.

    >>> schema = {"type": "object", "properties": {"n": {"type": "integer"}, "why": {"type": "string"}}}
    >>> instance(schema, "7", random.Random(0))
    {'n': 7, 'why': '7'}
    """
    if not isinstance(schema, dict) or depth > _MOST_DEPTH:
        return answer
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return answer if answer in schema["enum"] else rng.choice(schema["enum"])
    for name in ("anyOf", "oneOf", "allOf"):
        if schema.get(name):
            return instance(schema[name][0], answer, rng, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    match kind:
        case "object":
            fields = schema.get("properties") or {}
            return {name: instance(field, answer, rng, depth + 1) for name, field in fields.items()}
        case "array":
            return [instance(schema.get("items"), answer, rng, depth + 1)]
        case "integer":
            return round(_number(answer, rng))
        case "number":
            return _number(answer, rng)
        case "boolean":
            return rng.random() < 0.5
        case "null":
            return None
        case _:
            return answer


def called_tool(body: dict[str, Any], prompt: str) -> dict[str, Any] | None:
    """The tool that a reply calls: the one it is forced to, or one that the prompt names; None once results are in.

    With a single tool and a question that it was offered for, that tool is called.
    """
    tools = [tool for tool in body.get("tools") or () if "input_schema" in tool]
    choice = body.get("tool_choice") or {"type": "auto"}
    if not tools or choice["type"] == "none" or has_tool_result(body):
        return None
    by_name = {tool["name"]: tool for tool in tools}
    if choice["type"] == "tool":
        return by_name.get(choice.get("name", ""))
    named = next((tool for name, tool in by_name.items() if name in prompt), None)
    return named or (tools[0] if choice["type"] == "any" or len(tools) == 1 else None)


def runs_code(body: dict[str, Any]) -> bool:
    """Whether the API's own code-execution tool is offered, and may be used."""
    choice = body.get("tool_choice") or {"type": "auto"}
    tools = body.get("tools") or ()
    return choice["type"] != "none" and any(str(tool.get("type")).startswith(_CODE_EXECUTION) for tool in tools)


def has_tool_result(body: dict[str, Any]) -> bool:
    """Whether the conversation ends with the results of tools."""
    content = body["messages"][-1]["content"]
    return isinstance(content, list) and any(block["type"] == "tool_result" for block in content)


def _number(answer: str, rng: random.Random) -> float:
    try:
        return float(answer)
    except ValueError:
        return float(rng.randrange(1, 10))
