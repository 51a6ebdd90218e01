"""An explanation says of selections and curves what the stage wrote of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polythink.selectors.explain import ArmCount, explain_classes, explain_problem, explain_selector, explain_truth
from polythink.selectors.poll import Poll, load_poll
from polythink.selectors.registry import SelectorConfig, parse_selector
from polythink.selectors.stage import Decided, decide, select_job, truth_curves
from polythink.storage.archive import Archive
from tests.selectors.test_stage import trace, write_job

MAJORITY, FIRST = parse_selector("majority"), parse_selector("first")
BY_SCORE = [parse_selector({"best": {"by": "score"}}), parse_selector({"weighted": {"by": "score"}})]
TRACES = [
    trace("p", 0, "3", False, score=2.0), trace("p", 1, r"\sqrt{8}", True, score=0.0),
    trace("p", 2, r"2\sqrt{2}", True, score=1.0), trace("p", 3, "3", False),
    trace("q", 0, None, None, outcome="refused"), trace("q", 1, None, None, outcome="failed"),
    trace("q", 2, None, None, outcome="truncated"), trace("q", 3, None, None),
    trace("open", 0, "1", None, score=1.0), trace("open", 1, "2", None, score=1.0),
]  # fmt: skip
GOLDS: dict[str, str | None] = {"p": "2sqrt2", "q": "1", "open": None}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def explained(archive: Archive, config: SelectorConfig, equivalence: Any = "math") -> tuple[Poll, Decided, ArmCount]:
    poll = load_poll(archive, "j", equivalence)
    found = decide(archive, "j", poll, config, 0)
    (arm,) = explain_selector(poll, found)
    return poll, found, arm


def test_every_sample_counts_or_has_a_reason(archive: Archive) -> None:
    write_job(archive, GOLDS, TRACES)
    _, _, voted = explained(archive, MAJORITY)
    abstained = {"refused": 1, "failed": 1, "truncated": 1, "no_answer": 1}
    assert (voted.samples, voted.counted, dict(voted.withheld)) == (10, 6, abstained)
    assert (voted.problems, voted.decided, voted.empty, voted.tied) == (3, 3, 1, 2)
    assert voted.ties == "the class of the lowest index"
    assert (voted.entering, dict(voted.left_out)) == (2, {"no gold, and none of its answers graded": 1})
    _, _, best = explained(archive, BY_SCORE[0])
    assert dict(best.withheld) == {**abstained, "no score": 1}
    _, _, weighted = explained(archive, BY_SCORE[1])
    assert dict(weighted.withheld) == {**abstained, "no score": 1, "weight 0": 1}


def test_a_problem_is_told_sample_by_sample(archive: Archive) -> None:
    write_job(archive, GOLDS, TRACES)
    poll, found, _ = explained(archive, BY_SCORE[1])
    (lines,) = explain_problem(poll, found, "p")
    assert lines.rule.wins == "the largest sum of weights"
    assert lines.verdict is not None and (lines.verdict.answer, lines.verdict.winner_index) == ("3", 0)
    assert [(line.answer, line.form, line.class_name, line.score, line.withheld) for line in lines.samples] == [
        ("3", "3", "3", 2.0, None),
        (r"\sqrt{8}", r"\sqrt{8}", r"\sqrt{8}", 0.0, "weight 0"),
        (r"2\sqrt{2}", r"2\sqrt{2}", r"\sqrt{8}", 1.0, None),
        ("3", "3", "3", None, "no score"),
    ]
    assert explain_problem(poll, found, "elsewhere") == ()


def test_what_math_verify_joined_and_what_it_could_not_stand(archive: Archive) -> None:
    hostile = "(9^{999})^{9999}"
    write_job(archive, GOLDS, [*TRACES, trace("p", 4, hostile, False)])
    merging = explain_classes(load_poll(archive, "j", "math"))
    assert merging.cost_usd is None
    (p,) = merging.problems
    assert (p.problem_id, p.forms, p.classes, p.joined) == ("p", 4, 3, ((r"2\sqrt{2}", r"\sqrt{8}"),))
    assert (p.hostile, p.alone) == ((hostile,), ())
    assert (merging.forms, merging.classes) == (6, 5)
    plain = explain_classes(load_poll(archive, "j", "string"))
    assert (plain.forms, plain.classes, plain.problems) == (6, 6, ())


def test_curves_say_how_many_problems_stand_behind_each_n(archive: Archive) -> None:
    many = [trace("p", index, str(index % 3), index % 3 == 0, score=1.0 + index % 7) for index in range(40)]
    few = [trace("q", index, "1", True, score=1.0) for index in range(3)]
    write_job(archive, {"p": "0", "q": "1"}, [*many, *few])
    poll, _, arm = explained(archive, BY_SCORE[1], "string")
    assert {point.n: point.problems for point in arm.points} == {1: 2, 2: 2, 4: 1, 8: 1, 16: 1, 32: 1, 40: 1}
    drawn = {point.n for point in arm.points if point.error > 0}
    assert drawn == {4, 8, 16, 32}, "a weighted vote of 40 is drawn where its subsets are too many"
    truth = explain_truth(truth_curves(poll, 0))
    assert {(curve.name, point.error) for curve in truth for point in curve.points} == {("pass", 0.0), ("all", 0.0)}


ROWS = st.lists(
    st.tuples(
        st.sampled_from("pqr"),
        st.sampled_from(["1", "2", "3", " ", None]),
        st.sampled_from([None, True, False]),
        st.sampled_from([None, -0.0, 0.0, 0.5, 2.0]),
    ),
    max_size=20,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, golds=st.lists(st.sampled_from(["1", None]), min_size=3, max_size=3))
def test_counts_are_those_of_the_selections_and_curves(archive: Archive, rows: list[Any], golds: list[Any]) -> None:
    traces = [trace(p, i, a, c if a else None, score=s) for i, (p, a, c, s) in enumerate(rows)]
    write_job(archive, dict(zip("pqr", golds, strict=True)), traces)
    configs = [MAJORITY, FIRST, *BY_SCORE]
    select_job(archive, "j", selectors=configs, equivalence="string")
    poll = load_poll(archive, "j", "string")
    for config in configs:
        arms = explain_selector(poll, decide(archive, "j", poll, config, 0))
        for arm in arms:
            query = "SELECT * FROM selections WHERE selector = ?"
            selected = archive.sql(query, [arm.selector]).to_pylist()
            assert (arm.decided, arm.tied) == (len(selected), sum(row["tied"] for row in selected))
            assert arm.samples == len(traces) == arm.counted + sum(arm.withheld.values())
            if config.name != "best":  # whose confidence is over all votes, those it passed over included
                assert arm.counted == sum(row["voters"] for row in selected)
            assert arm.entering is not None and arm.entering + sum(arm.left_out.values()) == arm.problems
            curves = archive.sql("SELECT n, problems FROM curves WHERE selector = ? ORDER BY n", [arm.selector])
            assert curves.to_pylist() == [{"n": point.n, "problems": point.problems} for point in arm.points]
            assert arm.entering == (arm.points[0].problems if arm.points else 0)


def test_tallies_name_the_classes_of_the_lines(archive: Archive) -> None:
    write_job(archive, GOLDS, TRACES)
    select_job(archive, "j", selectors=[MAJORITY], equivalence="math")
    kept = archive.sql("SELECT tally FROM selections WHERE problem_id = 'p'").to_pylist()[0]
    poll, found, _ = explained(archive, MAJORITY)
    (lines,) = explain_problem(poll, found, "p")
    names = [line.class_name for line in lines.samples if line.withheld is None]
    assert json.loads(kept["tally"]) == {name: names.count(name) for name in dict.fromkeys(names)}
    assert lines.verdict is not None and lines.verdict.confidence == 0.5
