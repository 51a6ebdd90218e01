"""From the arms of a job file to arms, and from an arm to the body of its requests. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from polythink import facts as model_facts
from polythink.facts import ModelFacts
from polythink.jobs.spec import Job
from polythink.jobs.spec_lines import Loc
from polythink.jobs.spec_parts import DEFAULT_ENDPOINT, ArmGrid, ArmSpec, Prompt, reasoning_record
from polythink.records import Arm, Reasoning

ANSWER_TOKENS = 4_096  # allowance for the answer on top of a thinking budget
FREE_THINKING_TOKENS = 32_000  # where the model decides how much to think
NO_THINKING_TOKENS = 8_192

_NOT_IN_ID = re.compile(r"[^A-Za-z0-9._:/-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedArm:
    """An arm, and where in the job file its parts were said."""

    arm: Arm
    spec: ArmSpec
    place: Loc
    model_place: Loc
    reasoning_place: Loc
    endpoint_place: Loc
    max_tokens_place: Loc


def expand(job: Job) -> tuple[Arm, ...]:
    """The arms of a job, in the order of the job file; a grid varies its last axis fastest."""
    return tuple(placed.arm for placed in place_arms(job))


def place_arms(job: Job) -> tuple[PlacedArm, ...]:
    """The arms together with where each came from, for error messages."""
    return tuple(_placed(job, ordinal, spec, places) for ordinal, (spec, places) in enumerate(_specs(job)))


def _specs(job: Job) -> Iterator[tuple[ArmSpec, tuple[Loc, Loc, Loc, Loc]]]:
    """Every arm with the places of: itself, its model, its reasoning, its endpoint."""
    if not isinstance(job.arms, ArmGrid):
        for index, spec in enumerate(job.arms):
            at: Loc = ("arms", index)
            yield spec, (at, (*at, "model"), (*at, "reasoning"), (*at, "endpoint"))
        return
    axes, at = job.arms.grid, ("arms", "grid")
    for (e, endpoint), (m, model), (r, reasoning) in product(
        enumerate(axes.endpoint or (None,)), enumerate(axes.model), enumerate(axes.reasoning)
    ):
        spec = ArmSpec(model=model, reasoning=reasoning, endpoint=endpoint)
        yield spec, (at, (*at, "model", m), (*at, "reasoning", r), (*at, "endpoint", e))


def _placed(job: Job, ordinal: int, spec: ArmSpec, places: tuple[Loc, Loc, Loc, Loc]) -> PlacedArm:
    place, model_place, reasoning_place, endpoint_place = places
    reasoning = reasoning_record(spec.reasoning)
    endpoints = spec.endpoint_names or (next(iter(job.endpoints), DEFAULT_ENDPOINT),)
    is_one_of_several = len(endpoints) == 1 and len(job.endpoints) > 1  # where it may be any, none is part of its name
    prompt = _merged(job.prompt, spec.prompt)
    asked = job.max_tokens if spec.max_tokens is None else spec.max_tokens
    return PlacedArm(
        arm=Arm(
            arm_id=spec.id or _arm_id(spec.model, reasoning, endpoints[0] if is_one_of_several else None),
            endpoints=endpoints,
            model=spec.model,
            reasoning=reasoning,
            max_tokens=_max_tokens(asked, reasoning, model_facts.find(spec.model)),
            system=prompt.system,
            template=prompt.template,
            ordinal=ordinal,
        ),
        spec=spec,
        place=place,
        model_place=model_place,
        reasoning_place=reasoning_place,
        endpoint_place=endpoint_place,
        max_tokens_place=("max_tokens",) if spec.max_tokens is None else (*place, "max_tokens"),
    )


def _arm_id(model: str, reasoning: Reasoning, endpoint: str | None) -> str:
    readable = f"{_NOT_IN_ID.sub('-', model.removeprefix('claude-'))}.{reasoning}"
    return readable if endpoint is None else f"{endpoint}.{readable}"


def _merged(base: Prompt, own: Prompt | None) -> Prompt:
    return base if own is None else base.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})


def _max_tokens(asked: int | str, reasoning: Reasoning, facts: ModelFacts | None) -> int:
    if isinstance(asked, int):
        return asked
    match reasoning.kind:
        case "budget_tokens":
            wanted = (reasoning.budget_tokens or 0) + ANSWER_TOKENS
        case "none":
            wanted = NO_THINKING_TOKENS
        case _:
            wanted = FREE_THINKING_TOKENS
    return wanted if facts is None else min(wanted, facts.max_output_tokens)


def request_body(arm: Arm, system: str | None, user: str, facts: ModelFacts | None) -> dict[str, Any]:
    """The arguments of `messages.create` for one sample; `metadata` is the caller's to add.

    `facts` are those of the arm's model, None if it is not known: then a setting is sent in the form the current API
    takes, and `none` sends nothing.
    """
    body: dict[str, Any] = {
        "model": arm.model,
        "max_tokens": arm.max_tokens,
        "messages": [{"role": "user", "content": user}],
    }
    if system:
        body["system"] = system
    thinking = _thinking(arm, facts)
    if thinking is not None:
        body["thinking"] = thinking
    if arm.reasoning.kind == "effort":
        body["output_config"] = {"effort": arm.reasoning.effort}
    return body


def _thinking(arm: Arm, facts: ModelFacts | None) -> dict[str, Any] | None:
    # A server that is not Anthropic's need not know `display`, and shows what it has anyway.
    shown = {"display": "summarized"} if facts or arm.model.startswith("claude-") else {}
    match arm.reasoning.kind:
        case "budget_tokens":
            return {"type": "enabled", "budget_tokens": arm.reasoning.budget_tokens, **shown}
        case "adaptive":
            return {"type": "adaptive", **shown}
        case "effort":
            return {"type": "adaptive", **shown} if facts and "adaptive" in facts.thinking_types else None
        case "none":
            return _no_thinking(facts)


def _no_thinking(facts: ModelFacts | None) -> dict[str, Any] | None:
    if facts is None:
        return None
    return {"type": "disabled" if "disabled" in facts.thinking_types else "between_tools"}
