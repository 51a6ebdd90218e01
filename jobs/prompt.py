"""From templates and a problem to the prompt that is sent. Templates are sandboxed: they see the row, nothing else."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateRuntimeError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from polythink.records import QUESTIONS, Arm, Problem


def render(arm: Arm, problem: Problem) -> tuple[str | None, str]:
    """System prompt and user prompt of a sample.

    Raises jinja2.TemplateError if a template is not valid, names a field the row lacks, or fails on the row.
    """
    system = None if arm.system is None else render_template(arm.system, problem.fields)
    return system, render_template(arm.template, problem.fields)


def question(arm: Arm, problem: Problem) -> str:
    """The user prompt of a sample; of an imported one, whose template is not known, what its row asks.

    Raises jinja2.TemplateError, as `render` does, and ValueError for a row that has no such field: it may hold gold.
    """
    if arm.template:
        return render(arm, problem)[1]
    for name in QUESTIONS:
        if problem.fields.get(name):
            return str(problem.fields[name])
    raise ValueError(
        f"what problem {problem.problem_id!r} asks is not known: its row has none of {', '.join(QUESTIONS)}; "
        "import it again with `--map question=THEIRS`"
    )


def render_template(template: str, fields: dict[str, Any]) -> str:
    """One template over one row. Numbers and text appear as they are, lists and mappings as JSON, null as nothing.

    Raises jinja2.TemplateError, as `render` does.

    >>> render_template("{{ a }} of {{ b }}", {"a": 1, "b": ["x", 2]})
    '1 of ["x", 2]'
    """
    compiled = _compiled(template)
    try:
        return compiled.render(fields)
    except TemplateError:
        raise
    except Exception as error:  # a filter that fails on a value raises whatever it likes
        raise TemplateRuntimeError(f"{type(error).__name__}: {error}") from error


def named_fields(template: str) -> frozenset[str]:
    """The fields a template names. Raises jinja2.TemplateSyntaxError.

    >>> sorted(named_fields("{% for o in options %}{{ o }} {{ hint }}{% endfor %}"))
    ['hint', 'options']
    """
    return frozenset(meta.find_undeclared_variables(_ENVIRONMENT.parse(template)))


def _shown(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | list | tuple | dict) else value


_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, finalize=_shown)


@lru_cache(maxsize=256)
def _compiled(template: str) -> Template:
    return _ENVIRONMENT.from_string(template)
