"""Readings graded against gold or by a function."""

from __future__ import annotations

from pathlib import Path

import pytest

from polythink.errors import SandboxError
from polythink.records import AnswerRule, Problem
from polythink.selectors.grading import FinishedText, Grader, read_and_grade

MATH = AnswerRule()
PROBLEMS = {
    "root": Problem(problem_id="root", gold=r"2\sqrt{2}", fields={"question": "8?"}),
    "open": Problem(problem_id="open", gold=None, fields={"question": "why?"}),
}
FUNCTION = """
def grade(answer, problem):
    if answer == "boom": raise ValueError("no such answer")
    if answer == "half": return 0.5
    if answer == "text": return "yes"
    if answer is None: return None
    return answer == problem["question"] and problem["gold"] is None
"""


def finished(*answers: str, problem_id: str = "root") -> list[FinishedText]:
    return [FinishedText(problem_id=problem_id, text=f"\\boxed{{{answer}}}") for answer in answers]


def test_gold_is_met_by_equal_mathematics() -> None:
    samples = [*finished(r"\sqrt{8}", r"2 \sqrt2", "3", ""), *finished("3", problem_id="open")]
    with Grader(MATH) as grader:
        readings = read_and_grade(samples, PROBLEMS, MATH, grader)
    assert [reading.correct for reading in readings] == [True, True, False, None, None]
    assert [reading.outcome for reading in readings] == ["answered"] * 3 + ["no_answer", "answered"]


def test_function_gives_verdicts_scores_and_counted_failures(tmp_path: Path) -> None:
    file = tmp_path / "grade.py"
    file.write_text(FUNCTION)
    samples = finished("why?", "because", "half", "boom", "text", "", problem_id="open")
    with Grader(MATH, mode="function", function=f"{file}:grade") as grader:
        readings = read_and_grade(samples, PROBLEMS, MATH, grader)
        assert [(r.correct, r.score) for r in readings] == [
            (True, None), (False, None), (None, 0.5), (None, None), (None, None), (None, None),
        ]  # fmt: skip
        assert sorted(grader.errors.values()) == [1, 1]
        assert any("no such answer" in message for message in grader.errors)


def test_failed_sample_is_never_graded(tmp_path: Path) -> None:
    file = tmp_path / "grade.py"
    file.write_text("def grade(answer, problem): return True")
    failed = FinishedText(problem_id="open", text="", failed=True)
    with Grader(MATH, mode="function", function=f"{file}:grade") as grader:
        reading = read_and_grade([failed, *finished("1", problem_id="open")], PROBLEMS, MATH, grader)
    assert [(r.outcome, r.correct) for r in reading] == [("failed", None), ("answered", True)]


def test_grader_without_grading_says_nothing() -> None:
    with Grader(MATH, mode="none") as grader:
        assert read_and_grade(finished(r"2\sqrt{2}"), PROBLEMS, MATH, grader)[0].correct is None


def test_missing_function_is_an_error() -> None:
    with pytest.raises(ValueError, match="function: give one"):
        Grader(MATH, mode="function")
    with Grader(MATH, mode="function", function="nowhere:f") as grader, pytest.raises(SandboxError, match="nowhere"):
        read_and_grade(finished("1"), PROBLEMS, MATH, grader)
