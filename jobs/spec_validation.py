"""From the data of a job file to the model, or to findings that say what is wrong where. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from polythink.jobs.spec import Job
from polythink.jobs.spec_lines import Finding, Loc, near, show
from polythink.jobs.spec_salvage import Unusable, salvage, stand_in_job

_KINDS = {
    "string_type": "a text (quote it if YAML takes it for something else)",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "too_short": "at least one item",
    "string_too_short": "a text that is not empty",
    "finite_number": "a finite number",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """A job as far as it is valid."""

    job: Job
    findings: tuple[Finding, ...]
    unusable: Unusable


def validate(data: Any) -> Validated:
    """Check the data of a job file against the model. What is wrong is left out, and the rest validated again."""
    if not isinstance(data, dict):
        whole = Finding(loc=(), found=show(data), wanted="a mapping with the fields name, problems, arms, ...")
        return Validated(job=stand_in_job(), findings=(whole,), unusable=Unusable(frozenset({()})))
    try:
        return Validated(job=Job.model_validate(data), findings=(), unusable=Unusable())
    except ValidationError as error:
        errors = error.errors()
    findings = tuple(finding for details in errors for finding in _findings(details))
    job, unusable = salvage(data, errors)
    return Validated(job=job, findings=findings, unusable=unusable)


def _findings(details: ErrorDetails) -> Iterable[Finding]:
    loc, value = details["loc"], details["input"]
    match details["type"]:
        case "extra_forbidden":
            yield _unknown_field(loc)
        case "missing":
            yield Finding(loc=loc, found="nothing", wanted=f"required: {_description(loc)}")
        case "too_short" if value:  # its items were dropped for errors of their own
            pass
        case "key_in_spec":
            yield Finding(loc=loc, found="a secret (not shown)", wanted=details["msg"])
        case _:
            yield Finding(loc=loc, found=show(value), wanted=_wanted(details))


def _wanted(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    match details["type"]:
        case "string_pattern_mismatch":
            return f"a name that matches {context['pattern']}"
        case "literal_error":
            return f"one of {context['expected']}"
        case "greater_than_equal":
            return f"at least {context['ge']:g}"
        case "greater_than":
            return f"a number above {context['gt']:g}"
        case kind if kind in _KINDS:
            return _KINDS[kind]
        case _:
            return details["msg"]


def _unknown_field(loc: Loc) -> Finding:
    name = str(loc[-1])
    known = [field.alias or field_name for model in _models_at(loc[:-1]) for field_name, field in _fields(model)]
    wanted = f"{near(name, known)}the fields here are {', '.join(known)}"
    return Finding(loc=loc, found=f"unknown field `{name}`", wanted=wanted)


def _description(loc: Loc) -> str:
    for model in _models_at(loc[:-1]):
        for name, field in _fields(model):
            if loc[-1] in (name, field.alias) and field.description:
                return str(field.description)
    return "it has no default"


def _fields(model: type[BaseModel]) -> Iterable[tuple[str, Any]]:
    return model.model_fields.items()


def _models_at(loc: Loc) -> list[type[BaseModel]]:
    """The models whose fields may be said at a place."""
    models: list[type[BaseModel]] = [Job]
    for part in loc:
        if isinstance(part, str) and part.startswith("#"):
            models = [model for model in models if part == f"#{model.__name__}"] or models
        else:
            inner = [
                found
                for model in models
                for name, field in _fields(model)
                if part in (name, field.alias)
                for found in _models_in(field.annotation)
            ]
            models = inner or models
    return models


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
