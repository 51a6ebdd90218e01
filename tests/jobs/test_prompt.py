"""Prompts from templates."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateError
from jinja2.exceptions import SecurityError

from polythink.jobs.prompt import named_fields, render, render_template
from polythink.records import Arm, Problem, Reasoning


def arm(template: str, system: str | None = None) -> Arm:
    return Arm(
        arm_id="a",
        endpoints=("default",),
        model="m",
        reasoning=Reasoning(kind="none"),
        max_tokens=1,
        system=system,
        template=template,
    )


def problem(**fields: Any) -> Problem:
    return Problem(problem_id="p", gold=None, fields=fields)


def test_both_prompts_see_every_field() -> None:
    prompts = render(arm("Q: {{ q }}", system="You know {{ subject }}."), problem(q="1+1?", subject="sums"))
    assert prompts == ("You know sums.", "Q: 1+1?")


def test_without_a_system_template_there_is_no_system_prompt() -> None:
    assert render(arm("{{ q }}"), problem(q="x"))[0] is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [(3, "3"), (2.5, "2.5"), (None, ""), (True, "true"), (["a", "é"], '["a", "é"]'), ({"k": 1}, '{"k": 1}')],
)
def test_values_that_are_no_text_appear_naturally(value: Any, shown: str) -> None:
    assert render_template("{{ v }}", {"v": value}) == shown


@given(st.text())
def test_text_is_passed_on_unchanged(text: str) -> None:
    assert render_template("{{ v }}", {"v": text}) == text


def test_loops_and_conditions_work() -> None:
    template = "{% for o in options %}({{ 'ABCD'[loop.index0] }}) {{ o }} {% endfor %}"
    assert render_template(template, {"options": [1, 2]}) == "(A) 1 (B) 2 "


def test_a_field_the_row_lacks_is_an_error_that_names_it() -> None:
    with pytest.raises(TemplateError, match="hint"):
        render(arm("{{ q }} {{ hint }}"), problem(q="x"))


def test_a_filter_that_fails_on_a_row_is_a_template_error() -> None:
    with pytest.raises(TemplateError, match="TypeError"):
        render_template("{{ v + 1 }}", {"v": "text"})


@pytest.mark.parametrize("template", ["{{ v.__class__.__mro__ }}", "{{ items.append(1) }}"])
def test_a_template_reaches_nothing_beyond_the_row(template: str) -> None:
    with pytest.raises(SecurityError):
        render_template(template, {"v": "x", "items": []})


def test_names_a_template_makes_itself_are_no_fields() -> None:
    assert named_fields("{% set x = q %}{{ x }}{{ range(3) }}") == {"q"}
