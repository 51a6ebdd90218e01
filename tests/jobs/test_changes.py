"""A job may ask for more; what would mix unlike samples is refused, and named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.jobs.changes import new_arms, read_otherwise, unlike
from polythink.jobs.spec import Job
from polythink.records import Arm, Problem, Reasoning

ARMS = tuple(
    Arm(
        arm_id=name,
        endpoints=("default",),
        model="claude-haiku-4-5",
        reasoning=Reasoning(kind="none"),
        max_tokens=1000,
        system=None,
        template="{{ problem }}",
        ordinal=ordinal,
    )
    for ordinal, name in enumerate("ab")
)
PROBLEMS = tuple(
    Problem(problem_id=f"p{n}", gold="4", fields={"problem": "2 + 2", "n": n}, ordinal=n) for n in range(3)
)


def job(**changes: Any) -> Job:
    arms = [{"model": "claude-haiku-4-5", "reasoning": "none"}]
    return Job.model_validate({"name": "j", "problems": {"path": "p.jsonl"}, "arms": arms, "samples": 4, **changes})


def differences(
    asked: Job | None = None, arms: tuple[Arm, ...] = ARMS, problems: tuple[Problem, ...] = PROBLEMS
) -> list[str]:
    return unlike(job(), ARMS, PROBLEMS, asked or job(), arms, problems)


@given(st.integers(4, 1000), st.permutations(ARMS), st.permutations(PROBLEMS))
def test_more_of_anything_in_any_order_is_welcome(samples: int, arms: list[Arm], problems: list[Problem]) -> None:
    another_arm = replace(ARMS[0], arm_id="c", max_tokens=5, ordinal=9)
    another_problem = replace(PROBLEMS[0], problem_id="p9", gold=None, ordinal=9)
    assert differences(job(samples=samples), (*arms, another_arm), (another_problem, *problems)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"concurrency": 3},
        {"workers": 2},
        {"cap": {"usd": 3.0}},
        {"retries": 1},
        {"timeout_s": 5.0},
        {"seed": 4},
        {"select": ["first"]},
        {"endpoint": {"base_url": "http://elsewhere"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_makes_no_sample_unlike_another_may_change(changes: dict[str, Any]) -> None:
    assert differences(job(**changes)) == []


def test_fewer_samples_are_refused_by_name() -> None:
    assert differences(job(samples=3)) == ["samples: was 4, is 3; it can only grow"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"answer": {"extract": "verbatim"}}, "answer: was"),
        ({"answer": {"equivalence": "string"}}, "answer: was"),
        ({"answer": {"equivalence": {"judge": {"model": "claude-sonnet-4-6"}}}}, "answer: was"),
        ({"grade": "none"}, "grade: was 'auto', is 'none'"),
        ({"grade": {"python": "files/g-1234.py:grade"}}, "grade: was 'auto'"),
    ],
)
def test_another_reading_leaves_the_samples_alike_and_is_named(changes: dict[str, Any], named: str) -> None:
    assert differences(job(**changes)) == []
    (found,) = read_otherwise(job(), ARMS, PROBLEMS, job(**changes), PROBLEMS)
    assert found.startswith(named)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "claude-opus-4-6"),
        ("reasoning", Reasoning(kind="budget_tokens", budget_tokens=1024)),
        ("max_tokens", 999),
        ("system", "Be brief."),
        ("template", "{{ problem }}!"),
    ],
)
def test_an_arm_that_samples_differently_is_refused_by_name(field: str, value: Any) -> None:
    (found,) = differences(arms=(ARMS[0], replace(ARMS[1], **{field: value})))
    assert found.startswith(f"arm b, {field}: was ")


def test_a_problem_put_in_other_words_is_refused_by_name() -> None:
    asked = (PROBLEMS[0], replace(PROBLEMS[1], fields={"problem": "3 + 3"}, gold="6"), PROBLEMS[2])
    assert differences(problems=asked) == ["problem p1: its gold and fields changed"]
    assert read_otherwise(job(), ARMS, PROBLEMS, job(), asked) == []


@pytest.mark.parametrize(
    ("field", "value"), [("gold", "5"), ("gold", None), ("fields", {"problem": "2 + 2", "n": "other"})]
)
def test_a_problem_in_the_same_words_may_be_graded_otherwise(field: str, value: Any) -> None:
    asked = (PROBLEMS[0], replace(PROBLEMS[1], **{field: value}), PROBLEMS[2])
    assert differences(problems=asked) == []
    assert read_otherwise(job(), ARMS, PROBLEMS, job(), asked) == [f"problem p1: its {field} changed"]


def grouped(problems: tuple[Problem, ...], family: str) -> tuple[Problem, ...]:
    return tuple(replace(p, family=family, fields={**p.fields, "passage": family}) for p in problems)


def test_another_family_mixes_no_samples_and_reads_none_anew() -> None:
    by_passage = job(problems={"path": "p.jsonl", "family": "passage"})
    before, after = grouped(PROBLEMS, "x"), grouped(PROBLEMS, "y")
    for kept_job, kept, asked in ((by_passage, before, after), (job(), PROBLEMS, after)):
        assert unlike(kept_job, ARMS, kept, by_passage, ARMS, asked) == []
        assert read_otherwise(kept_job, ARMS, kept, by_passage, asked) == []
    assert read_otherwise(by_passage, ARMS, after, job(), PROBLEMS) == []


def test_a_family_that_a_prompt_shows_or_a_function_sees_is_like_any_other_field() -> None:
    before, after = grouped(PROBLEMS[:1], "x"), grouped(PROBLEMS[:1], "y")
    shown = job(problems={"path": "p.jsonl", "family": "passage"})
    arms = (replace(ARMS[0], template="{{ passage }}: {{ problem }}"),)
    assert unlike(shown, arms, before, shown, arms, after) == ["problem p0: its fields changed"]
    graded = job(problems={"path": "p.jsonl", "family": "passage"}, grade={"python": "files/g-1234.py:grade"})
    assert read_otherwise(graded, ARMS, before, graded, after) == ["problem p0: its fields changed"]


def test_what_is_gone_is_refused_by_name() -> None:
    assert differences(arms=ARMS[:1], problems=PROBLEMS[1:]) == ["arm b: is gone", "problem p0: is gone"]


def test_many_differences_are_counted_beyond_the_first() -> None:
    many = tuple(replace(PROBLEMS[0], problem_id=str(n)) for n in range(25))
    found = unlike(job(), ARMS, many, job(), ARMS, ())
    assert len(found) == 11 and found[-1] == "... and 15 more"


def with_budget(arm_id: str, tokens: int) -> Arm:
    return replace(ARMS[0], arm_id=arm_id, reasoning=Reasoning(kind="budget_tokens", budget_tokens=tokens))


def test_an_arm_that_changed_becomes_a_new_one_and_one_that_is_gone_stays() -> None:
    found = new_arms(ARMS, [with_budget("b", 2000), with_budget("c", 4000)])
    assert found == (*ARMS, replace(with_budget("b-2", 2000), ordinal=2), replace(with_budget("c", 4000), ordinal=3))


def test_a_new_name_is_one_that_nobody_asked_for() -> None:
    found = new_arms(ARMS, [with_budget("b", 2000), with_budget("b-2", 4000)])
    assert [(arm.arm_id, arm.reasoning.budget_tokens) for arm in found[2:]] == [("b-3", 2000), ("b-2", 4000)]


TOKENS = st.sampled_from([1024, 2048, 4096])
ASKED = st.dictionaries(st.sampled_from(["a", "b", "a-2", "a-3"]), TOKENS, min_size=1).map(
    lambda budgets: [with_budget(arm_id, tokens) for arm_id, tokens in budgets.items()]
)


@given(st.lists(ASKED, min_size=1, max_size=4))
def test_new_arms_mix_no_samples_and_asking_again_adds_none(rounds: list[list[Arm]]) -> None:
    kept: tuple[Arm, ...] = ARMS
    for asked in rounds:
        merged = new_arms(kept, asked)
        assert unlike(job(), kept, (), job(), merged, ()) == []
        assert new_arms(merged, asked) == merged
        assert {arm.reasoning for arm in asked} <= {arm.reasoning for arm in merged}
        assert [arm.ordinal for arm in merged] == list(range(len(merged)))
        kept = merged
