"""Problems as a job file finds them in its problem files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from polythink.errors import SpecIssue
from polythink.jobs.problem_list import SHOWN_ROWS, find_files, read_problems
from polythink.jobs.spec_lines import Finding, path_of
from polythink.jobs.spec_parts import Problems
from polythink.records import Problem

QUESTIONS = Path(__file__).parents[2] / "../shared/data/questions"


def write(path: Path, *rows: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def load(folder: Path, **spec: Any) -> tuple[list[Problem], tuple[Finding | SpecIssue, ...]]:
    problems = Problems.model_validate({"path": "*.jsonl"} | spec)
    files, findings = find_files(problems, folder)
    assert not findings
    rows, issues = read_problems(problems, files)
    return [row.problem for row in rows if row.problem], issues


@pytest.mark.parametrize("field", ["id", "problem_id", "question_id"])
def test_the_id_is_found_under_its_usual_names_and_gold_under_its_own(tmp_path: Path, field: str) -> None:
    write(tmp_path / "p.jsonl", {field: 7.0, "gold": 70}, {field: "b"})
    problems, issues = load(tmp_path)
    assert not issues
    assert [(one.problem_id, one.gold, one.ordinal) for one in problems] == [("7", "70", 0), ("b", None, 1)]


def test_named_fields_are_used_and_further_names_added(tmp_path: Path) -> None:
    write(tmp_path / "p.jsonl", {"key": "k", "solution": 3, "question": "Q", "id": "other"})
    (problem,), _ = load(tmp_path, id="key", gold="solution", fields={"problem": "question"})
    assert (problem.problem_id, problem.gold) == ("k", "3")
    assert problem.fields == {"key": "k", "solution": 3, "question": "Q", "id": "other", "problem": "Q"}


def test_problems_of_one_family_say_so_and_null_is_none(tmp_path: Path) -> None:
    write(tmp_path / "p.jsonl", {"id": 1, "of": 7.0}, {"id": 2, "of": 7}, {"id": 3, "of": None}, {"id": 4})
    problems, issues = load(tmp_path, family="of")
    assert [one.family for one in problems] == ["7", "7", None, None]
    assert [issue.found for issue in issues] == ["a row without `of`"]
    assert {one.family for one in load(tmp_path)[0]} == {None}


def test_files_are_taken_in_order_each_once(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write(tmp_path / f"{name}.jsonl", {"id": name})
    problems, _ = load(tmp_path, path=["c.jsonl", "*.jsonl"])
    assert [one.problem_id for one in problems] == ["c", "a", "b"]


def test_a_file_whose_name_looks_like_a_pattern_is_found(tmp_path: Path) -> None:
    write(tmp_path / "p[1].jsonl", {"id": 1})
    assert len(load(tmp_path, path="p[1].jsonl")[0]) == 1


def test_a_limit_takes_the_first_rows_and_looks_at_no_more(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"id": 1}\n{"id": 2}\ntorn')
    problems, issues = load(tmp_path, limit=2)
    assert ([one.problem_id for one in problems], issues) == (["1", "2"], ())


def test_an_id_twice_is_told_with_both_lines(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", {"id": "x"})
    write(tmp_path / "b.jsonl", {"id": "y"}, {"id": "x"})
    _, (issue,) = load(tmp_path)
    assert isinstance(issue, SpecIssue)
    assert (issue.path, issue.file, issue.line) == ("problems.id", str(tmp_path / "b.jsonl"), 2)
    assert issue.found == '"x" again, first in a.jsonl:1'


@pytest.mark.parametrize(
    ("row", "spec", "path", "found", "wanted"),
    [
        ({"q": "x"}, {"id": "id"}, "problems.id", "a row without `id`", "the fields are q"),
        ({"id": ""}, {}, "problems.id", "an empty `id`", "an id"),
        ({"id": 1, "answr": 1}, {"gold": "answer"}, "problems.gold", "`answer`", "did you mean `answr`?"),
        ({"id": 1}, {"fields": {"problem": "q"}}, "problems.fields.problem", "a row without `q`", "the fields are id"),
    ],
)
def test_a_row_without_what_others_have_is_told_at_its_line(
    tmp_path: Path, row: dict[str, Any], spec: dict[str, Any], path: str, found: str, wanted: str
) -> None:
    write(tmp_path / "p.jsonl", {"id": "whole", "answer": 1, "q": "?"}, row)
    _, (issue,) = load(tmp_path, **spec)
    assert isinstance(issue, SpecIssue)
    assert (issue.path, issue.file, issue.line) == (path, str(tmp_path / "p.jsonl"), 2)
    assert found in issue.found and wanted in issue.wanted


@pytest.mark.parametrize(
    ("spec", "path", "found"),
    [
        ({}, "problems.id", "no field with an id"),
        ({"id": "key"}, "problems.id", "`key`, which no row has"),
        ({"id": "name", "gold": "answer"}, "problems.gold", "`answer`, which no row has"),
        ({"id": "name", "fields": {"problem": "q"}}, "problems.fields.problem", "`q`, which no row has"),
    ],
)
def test_what_no_row_has_is_told_once_at_its_name(tmp_path: Path, spec: dict[str, Any], path: str, found: str) -> None:
    write(tmp_path / "p.jsonl", *({"name": n, "answr": 1} for n in range(50)))
    _, (finding,) = load(tmp_path, **spec)
    assert isinstance(finding, Finding)
    assert (path_of(finding.loc), finding.found) == (path, found)
    assert "name, answr" in finding.wanted


def test_no_kind_of_bad_row_hides_another(tmp_path: Path) -> None:
    lacking = [{"id": n} for n in range(30)]
    write(tmp_path / "p.jsonl", {"id": "a", "gold": 1}, *lacking, {"id": "a", "gold": 1}, {"id": ""})
    problems, issues = load(tmp_path, gold="gold")
    assert len(problems) == 31
    found = Counter(path_of(issue.loc) if isinstance(issue, Finding) else issue.path for issue in issues)
    assert found == {"problems.gold": SHOWN_ROWS + 1, "problems.id": 2}


def test_many_bad_rows_are_told_of_by_the_first_and_a_count(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text("torn\n" * 100 + '{"id": 1}\n')
    problems, issues = load(tmp_path)
    assert len(problems) == 1
    assert [issue.line for issue in issues[:-1] if isinstance(issue, SpecIssue)] == list(range(1, SHOWN_ROWS + 1))
    assert issues[-1].found.startswith("80 more")


def test_an_empty_file_is_an_issue(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").touch()
    _, (issue,) = load(tmp_path)
    assert isinstance(issue, SpecIssue)
    assert (issue.file, issue.found) == (str(tmp_path / "p.jsonl"), "no rows")


@pytest.mark.parametrize(
    ("name", "count"), [("aime2024", 30), ("aime2025", 30), ("math500", 500), ("gsm8k_test", 1319)]
)
def test_published_question_files_load_unchanged(name: str, count: int) -> None:
    if not QUESTIONS.is_dir():
        pytest.skip("no shared question files here")
    problems, issues = load(QUESTIONS, path=f"{name}.jsonl")
    assert not issues
    assert len(problems) == count
    assert all(one.gold and one.fields["question"] and one.problem_id == one.fields["question_id"] for one in problems)
