"""The bundled problems: the checked-in files are what the generator writes, varied and well mixed."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from polythink.examples.generate_problems import FOLDER, TEMPLATES, as_jsonl, competition_rows, files
from polythink.examples.template import agree


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", ["competition.jsonl", "arithmetic.jsonl"])
def test_checked_in_file_is_what_the_generator_writes(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == files()[name]


def test_generating_twice_gives_the_same_bytes() -> None:
    assert as_jsonl(competition_rows()) == as_jsonl(competition_rows())


@pytest.mark.parametrize("name", ["competition.jsonl", "arithmetic.jsonl"])
def test_rows_have_distinct_ids_and_texts_and_integer_answers(name: str) -> None:
    rows = _rows(name)
    assert len({row["id"] for row in rows}) == len({row["problem"] for row in rows}) == len(rows)
    assert all(set(row) == {"id", "family", "level", "problem", "answer"} for row in rows)
    assert all(re.fullmatch(r"0|[1-9][0-9]*", row["answer"]) for row in rows)
    assert all(row["level"] in range(1, 6) for row in rows)


def test_no_answer_is_given_away_by_being_frequent() -> None:
    answers = Counter(row["answer"] for row in _rows("competition.jsonl"))
    assert answers.most_common(1)[0][1] <= 5


def test_there_are_many_kinds_of_problem_in_many_families() -> None:
    rows = _rows("competition.jsonl")
    assert len(rows) >= 120
    assert len(TEMPLATES) >= 24
    assert len({template.family for template in TEMPLATES}) >= 6


@pytest.mark.parametrize("size", [20, 40, 60, 100])
@pytest.mark.parametrize("trait", ["family", "level"])
def test_any_first_part_is_a_fair_sample(size: int, trait: str) -> None:
    rows = _rows("competition.jsonl")
    whole, part = Counter(row[trait] for row in rows), Counter(row[trait] for row in rows[:size])
    assert all(abs(part[value] - whole[value] * size / len(rows)) <= 2.5 for value in whole)


def test_disagreeing_computations_are_refused() -> None:
    with pytest.raises(ValueError, match="disagree"):
        agree(4, 4, 5)


@pytest.mark.parametrize("name", ["demo.yaml", "demo-local.yaml"])
def test_job_files_name_bundled_problems(name: str) -> None:
    job = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    assert job["name"] == Path(name).stem
    assert all(job["problems"]["gold"] in row for row in _rows(job["problems"]["path"]))


@pytest.mark.parametrize("name", ["arithmetic.jsonl"])
def test_small_problems_say_what_they_compute(name: str) -> None:
    signs = {"+": int.__add__, "-": int.__sub__, "times": int.__mul__}
    for row in _rows(name):
        match = re.fullmatch(r"What is (\d+) (\+|-|times) (\d+)\?", row["problem"])
        assert match, row
        assert signs[match[2]](int(match[1]), int(match[3])) == int(row["answer"])
