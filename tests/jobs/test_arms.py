"""Arms from job files, and request bodies from arms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink import facts
from polythink.jobs.arms import expand, request_body
from polythink.jobs.spec import Job
from polythink.records import Arm


def job(arms: Any, **rest: Any) -> Job:
    return Job.model_validate({"name": "j", "problems": {"path": "p.jsonl"}, "arms": arms, **rest})


def body(model: str, reasoning: Any, system: str | None = None) -> dict[str, Any]:
    (arm,) = expand(job([{"model": model, "reasoning": reasoning}]))
    return request_body(arm, system, "Why?", facts.find(model))


def test_a_grid_is_every_combination_in_order_with_readable_ids() -> None:
    grid = {"model": ["claude-haiku-4-5", "claude-opus-4-6"], "reasoning": ["none", {"budget_tokens": 4096}]}
    arms = expand(job({"grid": grid}))
    assert [(arm.arm_id, arm.ordinal) for arm in arms] == [
        ("haiku-4-5.none", 0),
        ("haiku-4-5.budget-4096", 1),
        ("opus-4-6.none", 2),
        ("opus-4-6.budget-4096", 3),
    ]


def test_ids_name_the_endpoint_only_where_there_are_several() -> None:
    one = [{"model": "m", "reasoning": "none", "endpoint": "home"}]
    home = {"base_url": "http://home"}
    assert [arm.arm_id for arm in expand(job(one, endpoint={"home": home}))] == ["m.none"]
    both = {"grid": {"model": ["m"], "reasoning": ["none"], "endpoint": ["home", "away"]}}
    arms = expand(job(both, endpoint={"home": home, "away": home}))
    assert [(arm.arm_id, arm.endpoints) for arm in arms] == [("home.m.none", ("home",)), ("away.m.none", ("away",))]


@pytest.mark.parametrize(
    ("model", "reasoning", "expected"),
    [
        ("claude-haiku-4-5", {"budget_tokens": 4096}, 4096 + 4096),
        ("claude-haiku-4-5", {"budget_tokens": 63_000}, 64_000),
        ("claude-opus-5", {"effort": "low"}, 32_000),
        ("claude-opus-5", "adaptive", 32_000),
        ("claude-opus-5", "none", 8192),
        ("own/model", {"budget_tokens": 500_000}, 504_096),
    ],
)
def test_auto_max_tokens_leaves_room_for_the_answer_up_to_what_the_model_takes(
    model: str, reasoning: Any, expected: int
) -> None:
    (arm,) = expand(job([{"model": model, "reasoning": reasoning}]))
    assert arm.max_tokens == expected


def test_an_arm_overrides_only_what_it_sets() -> None:
    arms = expand(
        job(
            [
                {"model": "m", "reasoning": "none", "id": "a", "max_tokens": 7},
                {"model": "m", "reasoning": "none", "id": "b", "prompt": {"template": "T"}},
                {"model": "m", "reasoning": "none", "id": "c", "prompt": {"system": None}},
            ],
            prompt={"system": "S", "template": "{{ q }}"},
            max_tokens=9,
        )
    )
    assert [(arm.max_tokens, arm.system, arm.template) for arm in arms] == [
        (7, "S", "{{ q }}"),
        (9, "S", "T"),
        (9, None, "{{ q }}"),
    ]


def test_yaml_off_is_no_reasoning() -> None:
    (arm,) = expand(job([{"model": "m", "reasoning": False}]))
    assert arm.reasoning.kind == "none"


SHOWN = {"display": "summarized"}


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "effort"),
    [
        ("claude-haiku-4-5", {"budget_tokens": 2048}, {"type": "enabled", "budget_tokens": 2048, **SHOWN}, None),
        ("claude-haiku-4-5", "none", {"type": "disabled"}, None),
        ("claude-sonnet-5-5", "none", {"type": "between_tools"}, None),
        ("claude-opus-5", "adaptive", {"type": "adaptive", **SHOWN}, None),
        ("claude-opus-5", {"effort": "max"}, {"type": "adaptive", **SHOWN}, "max"),
        ("claude-opus-4-5", {"effort": "low"}, None, "low"),
        ("own/model", {"budget_tokens": 2048}, {"type": "enabled", "budget_tokens": 2048}, None),
        ("own/model", "none", None, None),
        ("own/model", {"effort": "low"}, None, "low"),
    ],
)
def test_each_setting_is_sent_as_its_model_takes_it(
    model: str, reasoning: Any, thinking: dict[str, Any] | None, effort: str | None
) -> None:
    sent = body(model, reasoning)
    assert sent.get("thinking") == thinking
    assert sent.get("output_config") == (effort and {"effort": effort})


def test_every_setting_a_known_model_takes_is_sent_in_a_form_it_takes() -> None:
    for model in facts.all_models():
        settings: list[Any] = [{"effort": level} for level in model.effort_levels]
        settings += ["adaptive"] if "adaptive" in model.thinking_types else []
        settings += [{"budget_tokens": 1024}] if model.takes_budget else []
        for setting in settings:
            thinking = body(model.model_id, setting).get("thinking")
            assert thinking is None or thinking["type"] in model.thinking_types


def test_a_body_carries_the_prompt_and_nothing_that_was_not_asked_for() -> None:
    assert body("own/model", "none") == {
        "model": "own/model",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": "Why?"}],
    }
    assert body("own/model", "none", system="Be brief.")["system"] == "Be brief."


@given(
    models=st.lists(st.sampled_from(["claude-haiku-4-5", "claude-opus-5", "own/model"]), min_size=1, unique=True),
    budgets=st.lists(st.integers(1024, 60_000), min_size=1, unique=True),
)
def test_expansion_is_deterministic_and_its_ids_are_unique(models: list[str], budgets: list[int]) -> None:
    spec = job({"grid": {"model": models, "reasoning": [{"budget_tokens": budget} for budget in budgets]}})
    arms: tuple[Arm, ...] = expand(spec)
    assert arms == expand(Job.model_validate(spec.model_dump(mode="json")))
    assert len({arm.arm_id for arm in arms}) == len(arms) == len(models) * len(budgets)
