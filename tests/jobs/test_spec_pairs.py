"""Two mistakes in one job file are both told in one go, whatever they are."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from polythink.errors import SpecError
from polythink.jobs.load import load_job

ROWS = [{"id": n, "q": f"{n}+{n}?", "gold": 2 * n} for n in range(3)]
SOUND: dict[str, Any] = {
    "name": "sums",
    "problems": {"path": ["rows.jsonl", "more.jsonl"], "id": "id", "gold": "gold", "fields": {"question": "q"}},
    "prompt": {"template": "{{ question }}", "system": "Be brief."},
    "arms": [
        {"id": "a", "model": "claude-haiku-4-5", "reasoning": {"budget_tokens": 2048}, "endpoint": "home"},
        {"id": "b", "model": "claude-opus-5", "reasoning": {"effort": "high"}, "endpoint": "away", "max_tokens": 9000},
        {"id": "c", "model": "own/c", "reasoning": "none", "endpoint": "away"},
    ],
    "samples": 2,
    "max_tokens": 8000,
    "answer": {"extract": {"regex": "x(.)"}, "equivalence": "string"},
    "select": ["majority"],
    "endpoint": {"home": {"requests_per_minute": 9}, "away": {"prices": {"input": 1.0, "output": 2.0}}},
    "cap": {"usd": 5.0},
}
GONE = "(gone)"


@dataclass(frozen=True)
class Slip:
    """One mistake: what it sets, at which path it is told, and which other places must be sound for that."""

    sets: dict[str, Any]
    told: str
    needs: tuple[str, ...] = field(default=())


def slip(path: str, value: Any, told: str | None = None, *needs: str) -> Slip:
    return Slip({path: value}, told or _shown(path), needs)


def _shown(path: str) -> str:
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split(".")).lstrip(".")


ROWS_ARE_READ = ("problems.path",)
SLIPS = [
    slip("name", "Two Words"),
    slip("name", GONE),
    slip("sampels", 3),
    slip("samples", "many"),
    slip("lane", "slow"),
    slip("retries", None),
    slip("select", []),
    slip("select.0", "majorty", "select[0]"),
    slip("max_tokens", "lots"),
    slip("max_tokens", 70_000, "max_tokens", "arms.0.model", "arms.0.reasoning"),
    slip("answer.equivalence", "equal"),
    slip("answer.equivalence", {"judge": {"model": 7}}, "answer.equivalence.judge.model"),
    slip("answer.equivalence", {"judge": {"model": "claude-haiku-45", "endpoint": "home"}}, "answer.equivalence.judge"),
    slip("answer.extract.regex", "(("),
    slip("answer.extract", "box"),
    slip("grade", {"python": "grade.py:other"}, "grade.python"),
    slip("grade", {"python": "grade.py:grade", "timeout_s": 0}, "grade.timeout_s"),
    slip("cap.usd", -1),
    slip("problems", GONE),
    slip("problems.path", "none.jsonl"),
    slip("problems.path.1", 7),
    slip("problems.path.1", "none.jsonl"),
    slip("problems.id", "key", None, "problems.path.0"),
    slip("problems.id", 7),
    slip("problems.gold", "answer", None, *ROWS_ARE_READ),
    slip("problems.fields.other", "nothing", None, *ROWS_ARE_READ),
    slip("problems.fields.question", 7),
    slip("problems.limt", 3),
    slip("prompt.template", "{{ nothing }}", None, *ROWS_ARE_READ, "problems.fields"),
    slip("prompt.template", "{{ question"),
    slip("prompt.system", 7),
    slip("arms", GONE),
    slip("arms.0", 7),
    slip("arms.0.id", "two words"),
    slip("arms.0.id", "b", "arms[1].id", "arms.1.id"),
    slip("arms.0.model", 7),
    slip("arms.0.model", GONE),
    slip("arms.0.model", "claude-haiku-45", None, "arms.0.endpoint"),
    slip("arms.0.reasoning", "deep"),
    slip("arms.0.reasoning", "adaptive", None, "arms.0.model"),
    slip("arms.0.reasoning.budget_tokens", 512),
    slip("arms.0.reasoning.budget_tokens", "many"),
    slip("arms.0.reasoning.budget_tokens", 9_000, None, "max_tokens"),
    slip("arms.0.endpoint", "hme", None, "endpoint"),
    slip("arms.0.endpoint", 7),
    slip("arms.0.prompt", {"template": "{{ nothing }}"}, "arms[0].prompt.template", *ROWS_ARE_READ, "problems.fields"),
    slip("arms.1.reasoning.effort", "utmost"),
    slip("arms.1.model", "claude-haiku-4-5", "arms[1].reasoning"),
    slip("arms.1.max_tokens", 900_000, None, "arms.1.model"),
    slip("arms.1.max_tokens", "lots"),
    slip("arms.2.endpoint", "home", "cap.usd", "arms.2.model", "endpoint", "cap"),
    slip("arms.2.endpoint", GONE, "arms[2]", "endpoint"),
    slip("endpoint", 7),
    slip("endpoint.home.base_url", "localhost"),
    slip("endpoint.home.requests_per_minute", 0),
    slip("endpoint.away.prices.input", "free"),
    slip("endpoint.Not A Name", {}),
]


def overlap(one: str, other: str) -> bool:
    shorter, longer = sorted((one.split("."), other.split(".")), key=len)
    return longer[: len(shorter)] == shorter


def are_apart(one: Slip, other: Slip) -> bool:
    """Whether neither mistake undoes the other or takes away what the other is seen by."""
    pairs = [
        (mine, theirs) for a, b in ((one, other), (other, one)) for mine in a.sets for theirs in (*b.sets, *b.needs)
    ]
    return not any(overlap(mine, theirs) for mine, theirs in pairs)


def with_slips(*slips: Slip) -> dict[str, Any]:
    job = copy.deepcopy(SOUND)
    for one in slips:
        for path, value in one.sets.items():
            *way, last = (int(part) if part.isdigit() else part for part in path.split("."))
            holder: Any = job
            for part in way:
                holder = holder[part]
            if value is GONE:
                del holder[last]
            else:
                holder[last] = value
    return job


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[:2]))
    (folder / "more.jsonl").write_text(json.dumps(ROWS[2]) + "\n")
    (folder / "grade.py").write_text("def grade(answer, problem):\n    return True\n")
    return folder


def told(folder: Path, *slips: Slip) -> set[str]:
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(with_slips(*slips), sort_keys=False))
    with pytest.raises(SpecError) as caught:
        load_job(path)
    assert all(issue.line for issue in caught.value.issues)
    return {issue.path for issue in caught.value.issues}


def test_the_job_without_a_mistake_loads(folder: Path) -> None:
    (folder / "job.yaml").write_text(yaml.safe_dump(SOUND))
    assert load_job(folder / "job.yaml").total == 3 * 3 * 2


@pytest.mark.parametrize("one", SLIPS, ids=lambda one: f"{one.sets}")
def test_one_mistake_alone_is_told_and_nothing_else(folder: Path, one: Slip) -> None:
    assert told(folder, one) == {one.told}


@pytest.mark.parametrize("number", range(len(SLIPS)), ids=lambda number: f"{SLIPS[number].sets}")
def test_each_mistake_is_told_beside_each_other(folder: Path, number: int) -> None:
    one = SLIPS[number]
    others = [other for other in SLIPS[number + 1 :] if are_apart(one, other)]
    found = {f"{other.sets}": told(folder, one, other) for other in others}
    expected = {f"{other.sets}": {one.told, other.told} for other in others}
    assert found == expected
