"""A recorded experiment, run again: ten thousand generations give the numbers they were published with."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from tests.running import EXACTLY_ONCE, one_row, run

pytestmark = pytest.mark.usefixtures("one_ray")

RECORDINGS = Path(__file__).parents[2] / ".." / "shared" / "data" / "samples" / "game24_cot_gpt4_100x100.jsonl.gz"

GRADE = '''
import ast
from fractions import Fraction

F = Fraction
OPERATIONS = {ast.Add: F.__add__, ast.Sub: F.__sub__, ast.Mult: F.__mul__, ast.Div: F.__truediv__}


def value(node, used):
    if isinstance(node, ast.BinOp):
        return OPERATIONS[type(node.op)](value(node.left, used), value(node.right, used))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -value(node.operand, used)
    if isinstance(node, ast.Constant) and type(node.value) is int:
        used.append(node.value)
        return Fraction(node.value)
    raise ValueError("not arithmetic")


def grade(answer, problem):
    """Whether the left side uses each number once and makes 24 exactly."""
    if answer is None:
        return False
    used = []
    try:
        made = value(ast.parse(answer.partition("=")[0].strip(), mode="eval").body, used)
    except (SyntaxError, ValueError, KeyError, ZeroDivisionError):
        return False
    return made == 24 and sorted(used) == sorted(map(int, problem["question"].split()))
'''


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    if not RECORDINGS.exists():
        pytest.skip(f"no recordings at {RECORDINGS}")
    folder = tmp_path_factory.mktemp("recorded")
    with gzip.open(RECORDINGS, "rt", encoding="utf-8") as lines:
        questions = {row["question_id"]: row["question"] for row in map(json.loads, lines)}
    rows = [{"question_id": name, "question": question} for name, question in questions.items()]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "grade.py").write_text(GRADE)
    with SimulatorProcess.start(["--mind", "replay", "--recordings", str(RECORDINGS)]) as simulator:
        job = {
            "name": "game24",
            "problems": {"path": "problems.jsonl"},
            "prompt": {"template": "{{ question }}"},
            "arms": [{"id": "cot", "model": "claude-haiku-4-5", "reasoning": "none"}],
            "samples": 100,
            "answer": {"extract": {"regex": r"(?m)Answer:[ ]*([-+*/().\d ]+(?:=.*)?)$"}, "equivalence": "string"},
            "grade": {"python": "grade.py:grade"},
            "endpoint": {"base_url": simulator.base_url},
            "concurrency": 64,
        }
        path = folder / "job.yaml"
        path.write_text(yaml.safe_dump(job))
        archive = Archive(folder / "archive")
        state, _ = run(archive, path)
        assert state.status == "done", state.reason
        yield archive


def test_every_recorded_generation_is_a_trace(archive: Archive) -> None:
    assert one_row(archive, EXACTLY_ONCE) == {"rows": 10_000, "samples": 10_000, "failed": 0}
    assert one_row(archive, "SELECT DISTINCT simulator FROM traces") == {"simulator": "replay"}


def test_the_mean_and_pass_at_100_are_the_published_ones(archive: Archive) -> None:
    mean = one_row(archive, "SELECT count(*) FILTER (correct) / count(*) AS mean FROM traces")["mean"]
    assert mean == pytest.approx(0.0403, abs=5e-5)
    curve = archive.sql("SELECT n, accuracy FROM curves WHERE selector = 'pass' AND n IN (1, 100)").to_pylist()
    assert {row["n"]: round(row["accuracy"], 4) for row in curve} == {1: 0.0403, 100: 0.49}


def test_the_majority_of_100_is_the_published_one(archive: Archive) -> None:
    row = one_row(archive, "SELECT count(*) AS n, count(*) FILTER (correct) AS hits FROM selections")
    assert row == {"n": 100, "hits": 9}
