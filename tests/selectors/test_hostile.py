"""Answers made to hang or break whoever reads them: every one is accounted for, and costs a bounded time."""

from __future__ import annotations

import time
from collections import Counter
from typing import get_args

import pytest

from polythink.records import AnswerRule, Extraction, Outcome, Problem
from polythink.selectors.equivalence import class_map
from polythink.selectors.grading import FinishedText, Grader, read_and_grade
from polythink.selectors.math_judge import MathJudge
from polythink.selectors.reading import read_sample
from polythink.selectors.sandbox import SandboxLimits
from tests.selectors.hostile import hostile_answers

COUNTS = [150, pytest.param(5_000, marks=(pytest.mark.soak, pytest.mark.timeout(7_200)))]
PER_PROBLEM = 50
LIMIT_S = 1.0  # of one comparison here
SLACK = 3.0  # a killed child is started anew, which takes longer than its limit


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("extraction", get_args(Extraction))
def test_every_hostile_text_is_read_or_left_out_in_a_moment(count: int, extraction: Extraction) -> None:
    rule = AnswerRule(extraction=extraction, pattern=r"(?:a|aa|0|\s)*$", json_path="a", equivalence="math")
    outcomes: Counter[Outcome] = Counter()
    slowest, started = 0.0, time.process_time()
    for answer in hostile_answers(count, seed=1):
        begun = time.process_time()
        text = f"Thus \\boxed{{{answer}}}.\n```\n{answer}\n```\n{answer}"
        outcomes[read_sample(text=text, stop_reason="end_turn", failed=False, rule=rule).outcome] += 1
        slowest = max(slowest, time.process_time() - begun)
    assert outcomes.total() == count and set(outcomes) <= {"answered", "no_answer"}
    assert slowest < 5.0  # seconds; quadratic work on a megabyte would take hours
    assert time.process_time() - started < count * 0.05 + (2.0 * count if extraction == "regex" else 0)


@pytest.mark.parametrize("count", COUNTS)
def test_hostile_answers_fall_into_classes_each_at_most_once_at_its_limit(count: int) -> None:
    rule = AnswerRule(extraction="boxed", equivalence="math")
    answers = list(hostile_answers(count, seed=2))
    problems = {str(n): Problem(problem_id=str(n), fields={}, gold="7") for n in range(-(-count // PER_PROBLEM))}
    samples = [
        FinishedText(problem_id=str(place // PER_PROBLEM), text=f"\\boxed{{{answer}}}")
        for place, answer in enumerate(answers)
    ]
    started = time.monotonic()
    with Grader(rule) as grader:
        readings = read_and_grade(samples, problems, rule, grader)
    assert len(readings) == count
    assert all((reading.correct is None) == (reading.answer is None) for reading in readings)
    forms = [reading.canonical_answer for reading in readings]
    assert sum(form is not None for form in forms) > count / 2
    with MathJudge(SandboxLimits(seconds=LIMIT_S, memory_bytes=2**30)) as judge:
        for first in range(0, count, PER_PROBLEM):
            mine = {form for form in forms[first : first + PER_PROBLEM] if form is not None}
            classes = class_map(mine, judge)
            assert set(classes) == mine
            assert all(classes[name] == name for name in classes.values())
        hostile = len(judge.hostile)
    print(f"{count} answers, {hostile} hostile forms, {time.monotonic() - started:.0f} s")
    assert time.monotonic() - started < 60 + count * 0.2 + hostile * (LIMIT_S + 5.0 + 2 * SLACK)
