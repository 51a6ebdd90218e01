"""The fields of a job file as a Markdown table; `python -m polythink.jobs.spec_table` prints that of the docs."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from polythink.jobs import spec_parts as parts
from polythink.jobs import spec_stop as stop
from polythink.jobs.spec import Job

_SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("", Job),
    ("problems.", parts.Problems),
    ("prompt.", parts.Prompt),
    ("arms[].", parts.ArmSpec),
    ("arms.grid.", parts.ArmAxes),
    ("reasoning.", parts.BudgetTokens),
    ("reasoning.", parts.EffortLevel),
    ("stop.", stop.BetaStop),
    ("stop.", stop.DirichletStop),
    ("stop.", stop.WindowStop),
    ("stop.", stop.GreedyStop),
    ("answer.", parts.Answer),
    ("answer.extract.", parts.RegexExtract),
    ("answer.extract.", parts.JsonExtract),
    ("answer.equivalence.", parts.JudgedEquivalence),
    ("answer.equivalence.judge.", parts.SamenessJudge),
    ("grade.", parts.PythonGrade),
    ("endpoint.", parts.Endpoint),
    ("endpoint.prices.", parts.EndpointPrices),
    ("cap.", parts.Cap),
)


def field_table() -> str:
    """One line per field: where it is said, its default, what it means."""
    return "\n".join(["| field | default | meaning |", "|---|---|---|", *dict.fromkeys(_rows())])


def _rows() -> Iterator[str]:
    for prefix, model in _SECTIONS:
        for name, field in model.model_fields.items():
            meaning = (field.description or "").replace("|", "\\|")
            yield f"| `{prefix}{field.alias or name}` | {_default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return "its own defaults"
    return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    print(field_table())
