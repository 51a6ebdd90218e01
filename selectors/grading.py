"""From finished texts to graded readings: against the gold answer, or by a function of the user's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal

from polythink.errors import SandboxError
from polythink.records import AnswerRule, Outcome, Problem, Reading
from polythink.selectors.math_judge import MathJudge
from polythink.selectors.reading import gold_form, read_sample
from polythink.selectors.sandbox import Sandbox, SandboxLimits

GradingMode = Literal["gold", "function", "none"]
_MAX_ERRORS = 20  # distinct messages kept
_UNGRADED: frozenset[Outcome] = frozenset({"failed"})  # there is no answer to ask the function about


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedText:
    """What reading needs of a finished sample."""

    problem_id: str
    text: str  # all answer text, thinking left out
    stop_reason: str | None = None  # as returned by the API
    failed: bool = False  # given up: there is no text to read


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """A verdict on one answer. Both None: nobody could tell."""

    correct: bool | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeRequest:
    """One answer to grade."""

    problem: Problem
    answer: str | None
    canonical_answer: str | None


class Grader:
    """Grades answers. Context manager: it may hold child processes, started at the first need.

    Args:
        rule: how gold is read, and when it equals an answer.
        mode: `gold` compares with the problem's gold answer; `function` asks the user's function;
            `none` grades nothing.
        function: for `function`: `path/to/file.py:function` or `package.module:function`, called as
            `grade(answer: str | None, problem: dict) -> bool | float | None`, where problem is the row's fields and
            `gold`. True or False is a verdict, a number a score, None no verdict.
        limits: of one call of the function.
    """

    def __init__(
        self,
        rule: AnswerRule,
        *,
        mode: GradingMode = "gold",
        function: str | None = None,
        limits: SandboxLimits | None = None,
    ) -> None:
        if (mode == "function") != (function is not None):
            raise ValueError("function: give one for mode 'function', and only then")
        self._rule = rule
        self._mode = mode
        self._sandbox = Sandbox(function, limits=limits) if function else None
        self._judge = MathJudge() if mode == "gold" and rule.equivalence == "math" else None
        self._golds: dict[str, tuple[str | None, str | None]] = {}
        self.errors: Counter[str] = Counter()  # the function's failures, by message: rows left without a verdict

    def grade(self, problem: Problem, answer: str | None, canonical_answer: str | None) -> Grade:
        """Verdict on one answer."""
        return self.grade_all([GradeRequest(problem=problem, answer=answer, canonical_answer=canonical_answer)])[0]

    def grade_all(self, requests: Sequence[GradeRequest]) -> list[Grade]:
        """Verdicts in order. A function that fails on a row leaves that row without one, and is counted in `errors`.

        Raises SandboxError only if the function cannot be loaded at all.
        """
        if self._sandbox is not None:
            return self._by_function(self._sandbox, requests)
        if self._mode == "gold":
            return [self._against_gold(request) for request in requests]
        return [Grade() for _ in requests]

    def _against_gold(self, request: GradeRequest) -> Grade:
        gold, form = self._gold(request.problem), request.canonical_answer
        if gold is None or form is None:
            return Grade()
        if form == gold or self._judge is None:
            return Grade(correct=form == gold)
        return Grade(correct=self._judge.same(gold, [form])[0])

    def _gold(self, problem: Problem) -> str | None:
        """Canonical gold, read once per problem (its id alone would not do: one grader may see several jobs)."""
        known = self._golds.get(problem.problem_id)
        if known is None or known[0] != problem.gold:
            known = (problem.gold, gold_form(problem.gold, self._rule))
            self._golds[problem.problem_id] = known
        return known[1]

    def _by_function(self, sandbox: Sandbox, requests: Sequence[GradeRequest]) -> list[Grade]:
        calls = [(request.answer, {**request.problem.fields, "gold": request.problem.gold}) for request in requests]
        return [self._grade_of(value) for value in sandbox.call(calls)]

    def _grade_of(self, value: Any) -> Grade:
        if value is None or isinstance(value, bool):
            return Grade(correct=value)
        if isinstance(value, int | float) and math.isfinite(value):
            return Grade(score=float(value))
        error = str(value) if isinstance(value, SandboxError) else f"returned {value!r:.80}; wanted bool, float or None"
        if error in self.errors or len(self.errors) < _MAX_ERRORS:
            self.errors[error] += 1
        return Grade()

    def close(self) -> None:
        """End the child processes."""
        for holder in (self._sandbox, self._judge):
            if holder is not None:
                holder.close()

    def __enter__(self) -> Grader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_and_grade(
    samples: Sequence[FinishedText], problems: Mapping[str, Problem], rule: AnswerRule, grader: Grader
) -> list[Reading]:
    """Readings in the samples' order, graded where the grader can. A failed sample is never graded.

    Raises KeyError for a sample of an unknown problem, SandboxError if the grading function cannot be loaded.
    """
    readings = [read_sample(text=s.text, stop_reason=s.stop_reason, failed=s.failed, rule=rule) for s in samples]
    graded = [place for place, reading in enumerate(readings) if reading.outcome not in _UNGRADED]
    requests = [_request(problems[samples[place].problem_id], readings[place]) for place in graded]
    for place, grade in zip(graded, grader.grade_all(requests), strict=True):
        readings[place] = replace(readings[place], correct=grade.correct, score=grade.score)
    return readings


def _request(problem: Problem, reading: Reading) -> GradeRequest:
    return GradeRequest(problem=problem, answer=reading.answer, canonical_answer=reading.canonical_answer)
