"""From an archive's traces to selections and curves."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polythink.records import AnswerRule, Problem
from polythink.selectors.grading import FinishedText, Grader, read_and_grade
from polythink.selectors.passk import pass_at
from polythink.selectors.registry import SelectorConfig, parse_selector
from polythink.selectors.stage import select_job
from polythink.selectors.thinking_job import thinking_job
from polythink.storage.archive import Archive
from polythink.storage.schema import ARMS, PROBLEMS, STOPS, TRACES, Table

SAMPLES = Path(__file__).resolve().parents[2] / "../shared/data/samples"
BOTH = [SelectorConfig(name="majority"), SelectorConfig(name="first")]
GAME24 = """
import re
def grade(answer, problem):
    left = answer.split("=")[0]
    if sorted(re.findall(r"[0-9]+", left)) != sorted(problem["question"].split()): return False
    try: return abs(eval(left, {"__builtins__": {}}) - 24) < 1e-6
    except (ArithmeticError, SyntaxError, TypeError): return False
"""


def write(archive: Archive, table: Table, rows: list[dict[str, Any]]) -> None:
    archive.replace_part(table, "j", "test", pa.Table.from_pylist(rows, schema=table.arrow))


def write_job(archive: Archive, golds: dict[str, str | None], traces: list[dict[str, Any]]) -> None:
    write(
        archive, PROBLEMS, [{"problem_id": p, "ordinal": i, "gold": gold} for i, (p, gold) in enumerate(golds.items())]
    )
    arms = sorted({trace["arm_id"] for trace in traces})
    write(archive, ARMS, [{"arm_id": arm, "ordinal": i, "model": "m"} for i, arm in enumerate(arms)])
    write(archive, TRACES, traces)


def trace(problem: str, index: int, answer: str | None, correct: bool | None, **more: Any) -> dict[str, Any]:
    outcome = "answered" if answer is not None else "no_answer"
    row = {"problem_id": problem, "arm_id": "a", "sample_index": index, "outcome": outcome, "answer": answer}
    return row | {"correct": correct, "cost_usd": 0.5} | more


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def read_back(archive: Archive) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    selections = archive.sql("SELECT * FROM selections ORDER BY selector, arm_id, problem_id").to_pylist()
    return selections, archive.sql("SELECT * FROM curves ORDER BY arm_id, selector, n").to_pylist()


def test_verdicts_and_curves_of_a_small_job(archive: Archive) -> None:
    traces = [
        trace("p", 0, "3", False), trace("p", 1, r"\sqrt{8}", True), trace("p", 2, r"2\sqrt{2}", True),
        trace("q", 0, None, None), trace("q", 1, None, None), trace("q", 2, None, None, outcome="failed"),
        trace("open", 0, "1", None), trace("open", 1, "1", None), trace("open", 2, "1", None),
    ]  # fmt: skip
    write_job(archive, {"p": "2sqrt2", "q": "1", "open": None}, traces)
    done = select_job(archive, "j", selectors=BOTH, equivalence="math")
    assert (done.samples, done.selections, done.curve_points) == (9, 6, 12)
    selections, curves = read_back(archive)
    first, voted = selections[1], selections[4]
    assert (first["selector"], first["answer"], first["correct"]) == ("first", "3", False)
    assert (voted["answer"], voted["winner_index"], voted["correct"]) == (r"\sqrt{8}", 1, True)
    assert json.loads(voted["tally"]) == {r"\sqrt{8}": 2, "3": 1}
    assert (voted["n"], voted["votes"], voted["voters"], voted["abstained"], voted["cost_usd"]) == (3, 2, 3, 0, 1.5)
    assert (selections[5]["answer"], selections[5]["abstained"], selections[5]["confidence"]) == (None, 3, None)
    assert {point["problems"] for point in curves} == {2}, "q is wrong, not hidden; open cannot be right or wrong"
    accuracies = {(point["selector"], point["n"]): point["accuracy"] for point in curves}
    assert [accuracies[name, 1] for name in ("pass", "majority", "first")] == pytest.approx([1 / 3] * 3)
    assert accuracies["pass", 3] == accuracies["majority", 3] == pytest.approx(1 / 2)


def test_same_traces_same_rows_whatever_the_order(archive: Archive, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    traces = [
        trace(f"p{p}", i, str(answer), bool(answer)) for p in range(9) for i, answer in enumerate(rng.integers(0, 3, 8))
    ]
    write_job(archive, {f"p{p}": "1" for p in range(9)}, traces)
    other = Archive(tmp_path / "other")
    write_job(other, {f"p{p}": "1" for p in range(9)}, traces[::-1])
    seeded = [parse_selector({"majority": {"ties": "seeded"}})]
    for _ in range(2):
        select_job(archive, "j", selectors=seeded, equivalence="number", seed=7)
    select_job(other, "j", selectors=seeded, equivalence="number", seed=7)
    assert read_back(archive) == read_back(other)


def test_ungraded_job_has_selections_but_no_curve(archive: Archive) -> None:
    write_job(archive, {"p": "1"}, [trace("p", 0, "1", None)])
    assert select_job(archive, "j", selectors=BOTH, equivalence="string").curve_points == 0
    assert len(read_back(archive)[0]) == 2


def test_arms_are_compared_on_the_same_problems(archive: Archive) -> None:
    traces = [
        trace(f"p{p}", i, "1" if right else "2", right, arm_id=arm)
        for arm, rights in (("few", (True, False, False)), ("many", (True, True, False)))
        for p in range(6)
        for i, right in enumerate(rights)
    ]
    write_job(archive, {f"p{p}": "1" for p in range(6)}, traces)
    select_job(archive, "j", selectors=BOTH, equivalence="string")
    rows = archive.sql("SELECT * FROM comparisons ORDER BY selector").to_pylist()
    assert [(row["selector"], row["n"], row["first_arm"], row["second_arm"]) for row in rows] == [
        (selector, n, "few", "many") for selector, n in (("first", 3), ("majority", 3), ("pass", 1))
    ]
    assert [row["difference"] for row in rows] == pytest.approx([-1 / 3, -1, -1 / 3])
    assert [row["p_value"] for row in rows] == pytest.approx([2 / 2**6] * 3)
    assert {row["problems"] for row in rows} == {6}


def test_an_infinite_score_is_none(archive: Archive) -> None:
    scores = {"right": [0.5, 0.1, float("inf")], "wrong": [0.2, float("-inf"), float("nan")]}
    write_job(
        archive,
        {"p": "1"},
        [
            trace("p", 3 * k + i, "1" if name == "right" else "2", name == "right", score=score)
            for k, (name, given) in enumerate(scores.items())
            for i, score in enumerate(given)
        ],
    )
    done = select_job(archive, "j", selectors=[parse_selector({"best": {"by": "score"}})], equivalence="string")
    assert not done.failed
    (selection,), curves = read_back(archive)
    assert selection["winner_index"] == 0
    kept = archive.sql("SELECT sample_index FROM scores WHERE score IS NOT NULL ORDER BY 1")["sample_index"]
    assert kept.to_pylist() == [0, 1, 3]
    assert [row["accuracy"] for row in curves if row["selector"] == "best" and row["n"] == 1] == [pytest.approx(2 / 6)]


def test_selector_named_twice_is_refused(archive: Archive) -> None:
    with pytest.raises(ValueError, match="name each selector once"):
        select_job(archive, "j", selectors=[BOTH[0], BOTH[0]], equivalence="string")


def test_job_without_traces_selects_nothing(archive: Archive) -> None:
    assert select_job(archive, "j", selectors=BOTH, equivalence="math").samples == 0


def test_line_through_thinking_arms(archive: Archive) -> None:
    traces = [
        trace(f"p{p}", 0, "1", p < right, arm_id=arm, thinking_tokens=tokens)
        for arm, tokens, right in (("none", 0, 1), ("short", 1024, 2), ("long", 4096, 4))
        for p in range(10)
    ]
    write_job(archive, {f"p{p}": "1" for p in range(10)}, traces)
    points, lines = thinking_job(archive, "j")
    assert {point.arm_id: point.accuracy for point in points} == {"none": 0.1, "short": 0.2, "long": 0.4}
    (line,) = lines
    fit = line.fit
    assert line.model == "m" and len(line.tokens) == len(line.low) == len(line.high)
    assert [line.tokens[0], line.tokens[-1]] == pytest.approx([1024, 4096])
    assert [fit.slope, fit.intercept, fit.arms] == pytest.approx([0.1, -0.8, 2])


def test_thinking_of_an_arm_stopped_early_is_that_of_its_first_samples(archive: Archive) -> None:
    tokens = {"easy": [100, 300], "hard": [1_000, 3_000, 9_000, 9_000]}
    traces = [
        trace(problem, i, "1", problem == "easy", arm_id=arm, thinking_tokens=amount * times)
        for arm, times in (("a", 1), ("b", 2))
        for problem, amounts in tokens.items()
        for i, amount in enumerate(amounts)
    ]
    write_job(archive, {"easy": "1", "hard": "1"}, traces)
    stop = {"problem_id": "easy", "n": 2, "samples": 4, "rule": "beta 0.95", "at_least": 2, "lead": 1.0}
    write(archive, STOPS, [stop | {"arm_id": arm} for arm in "ab"])
    points, (line,) = thinking_job(archive, "j")
    found = [(p.arm_id, p.mean_tokens, p.median_tokens, p.measured, p.accuracy) for p in points]
    assert found == [("a", 1_100, 650, 4, 0.5), ("b", 2_200, 1_300, 4, 0.5)]
    assert [line.tokens[0], line.tokens[-1]] == pytest.approx([1_100, 2_200])


def test_bands_go_by_families_and_an_archive_without_them_still_reads(archive: Archive) -> None:
    traces = [trace(f"p{p}", i, "1", p < 10, arm_id=arm) for p in range(20) for i in range(2) for arm in "ab"]
    write_job(archive, {f"p{p}": "1" for p in range(20)}, traces)
    older = PROBLEMS.arrow.remove(PROBLEMS.arrow.get_field_index("family"))
    rows = [{"problem_id": f"p{p}", "ordinal": p, "gold": "1"} for p in range(20)]
    pq.write_table(pa.Table.from_pylist(rows, schema=older), archive.store.place(str(archive.parts("problems")[0])))
    widths = []
    for family in (None, lambda p: str(p), lambda p: "first" if p < 10 else None):
        if family is not None:
            write(archive, PROBLEMS, [row | {"family": family(p)} for p, row in enumerate(rows)])
        select_job(archive, "j", selectors=BOTH, equivalence="string")
        bands = "SELECT high - low AS width FROM curves ORDER BY selector, arm_id, n"
        widths.append(archive.sql(bands)["width"].to_pylist())
    assert widths[0] == widths[1]
    assert min(widths[2]) > max(widths[0])


def recorded(name: str) -> list[dict[str, Any]]:
    path = SAMPLES / name
    if not path.is_file():
        pytest.skip(f"{name} is not here")
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        return [json.loads(line) for line in lines]


def accuracy(archive: Archive, selector: str, n: int) -> float:
    found = archive.sql("SELECT accuracy FROM curves WHERE selector = ? AND n = ?", [selector, n])[
        "accuracy"
    ].to_pylist()
    return float(found[0])


def test_game24_recordings_give_the_known_numbers(archive: Archive, tmp_path: Path) -> None:
    rows = recorded("game24_cot_gpt4_100x100.jsonl.gz")
    grader_file = tmp_path / "game24.py"
    grader_file.write_text(GAME24.replace("left = answer", "if answer is None: return False\n    left = answer"))
    rule = AnswerRule(extraction="regex", pattern=r"(?m)Answer:[ ]*([-+*/().\d ]+(?:=.*)?)$", equivalence="string")
    problems = {r["question_id"]: Problem(problem_id=r["question_id"], gold=None, fields=r) for r in rows}
    texts = [FinishedText(problem_id=r["question_id"], text=r["completion"]) for r in rows]
    with Grader(rule, mode="function", function=f"{grader_file}:grade") as grader:
        readings = read_and_grade(texts, problems, rule, grader)
    assert [reading.correct is True for reading in readings] == [row["correct"] for row in rows]
    traces = [
        trace(row["question_id"], row["sample_index"], reading.answer, reading.correct)
        for row, reading in zip(rows, readings, strict=True)
    ]
    write_job(archive, dict.fromkeys(problems), traces)
    select_job(archive, "j", selectors=BOTH, equivalence="string")
    assert accuracy(archive, "pass", 1) == pytest.approx(0.0403)
    assert accuracy(archive, "pass", 100) == pytest.approx(0.49)
    right = archive.sql("SELECT count(*) AS n FROM selections WHERE selector = 'majority' AND correct")["n"][0].as_py()
    assert right == 9


def test_arithmetic_recordings_give_the_known_numbers(archive: Archive) -> None:
    rows = recorded("arith_smollm2_30x32.jsonl")
    traces = [trace(r["question_id"], r["sample_index"], r["answer"], r["correct"]) for r in rows]
    write_job(archive, {r["question_id"]: r["gold"] for r in rows}, traces)
    select_job(archive, "j", selectors=BOTH, equivalence="number")
    assert accuracy(archive, "pass", 1) == pytest.approx(0.168, abs=5e-4)
    assert accuracy(archive, "pass", 32) == pytest.approx(0.8)
    right = archive.sql("SELECT avg(correct::INT) AS a FROM selections WHERE selector = 'majority'")["a"][0].as_py()
    assert right == pytest.approx(11 / 30)


def test_published_pass_at_one_of_every_model() -> None:
    models: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in recorded("evalperf_counts.jsonl.gz"):
        models[row["model"]].append(row)
    for rows in models.values():
        found = pass_at(np.array([r["n"] for r in rows]), np.array([r["correct"] for r in rows]), 1)
        assert 100 * found.mean() == pytest.approx(rows[0]["published_pass1_model"], abs=1e-9)
