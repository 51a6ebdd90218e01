"""What a scorer learns carries over to problems it never saw, and nothing else does."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from polythink.selectors.features import agreement
from polythink.selectors.learning import NotTrainable, cross_fit, fold_of
from polythink.selectors.panel import ABSTAINS, Flags, Reals
from polythink.selectors.ranking import auc, bins, calibration_error
from polythink.selectors.registry import parse_selector
from polythink.selectors.scorer_model import ScorerModel, feature_names, from_json, to_json
from polythink.selectors.stage import select_job
from polythink.selectors.stage_rows import forget_selector, kept_selectors
from polythink.storage.archive import Archive
from polythink.storage.schema import ARMS, PROBLEMS, STOPS, TRACES
from polythink.storage.schema import SCORES as SCORES_TABLE
from tests.selectors.test_stage import accuracy, read_back, recorded, trace, write, write_job

FOLDS = 5


def out_of_fold(features: Reals, right: Flags, problems: Any, seed: int = 0) -> Reals:
    """The log-odds of every sample by the model that did not see its problem."""
    places = fold_of([str(p) for p in problems], FOLDS, seed)
    fold = np.array([places[str(p)] for p in problems])
    found = cross_fit(features, right, fold, FOLDS)
    said = np.empty(len(right))
    for number, model in enumerate(found.folds):
        said[fold == number] = model.log_odds(features[fold == number])
    return said


def groups(problems: Any) -> Any:
    """By fold: models of two folds differ in their base rate, so that ranks across them would compare models."""
    places = fold_of([str(p) for p in problems], FOLDS, 0)
    return np.array([places[str(p)] for p in problems])


def test_labels_that_follow_the_problem_alone_are_not_foretold() -> None:
    """Forty numbers of a problem tell it by heart: who has seen it knows its verdict, others know nothing."""
    rng = np.random.default_rng(2)
    problems = np.repeat(np.arange(200), 20)
    right = np.repeat(rng.random(200) < 0.5, 20)  # a verdict for each problem, from a coin
    noise, encoded = rng.normal(size=(4_000, 40)), rng.normal(size=(200, 40))[problems]
    whole = cross_fit(encoded, right, groups(problems), FOLDS).whole
    by_heart = auc(whole.log_odds(encoded), right, groups(problems))
    assert by_heart is not None and by_heart > 0.75, "a leak would show"
    for features in (noise, encoded):
        found = auc(out_of_fold(features, right, problems), right, groups(problems))
        assert found is not None and abs(found - 0.5) < 0.1  # 40 problems a fold: 2.8 standard errors of one fold's


def test_a_signal_is_found_and_its_chances_are_true() -> None:
    rng = np.random.default_rng(1)
    problems = np.repeat(np.arange(300), 20)
    features = rng.normal(size=(6_000, 2))
    truth = 1 / (1 + np.exp(-(1.5 * features[:, 0] - 0.5)))
    right = rng.random(6_000) < truth
    said = 1 / (1 + np.exp(-out_of_fold(features, right, problems)))
    found, ideal = (auc(score, right, np.zeros_like(problems)) for score in (said, truth))
    assert found is not None and ideal is not None and abs(found - ideal) < 0.01
    assert calibration_error(bins(said, right)) < 0.02
    assert np.abs(said - truth).mean() < 0.02


def test_a_model_too_sure_of_what_it_saw_is_calibrated_by_what_it_did_not() -> None:
    """Forty features of noise and few problems: fitted chances spread, those out of fold must not."""
    rng = np.random.default_rng(2)
    problems = np.repeat(np.arange(15), 8)
    features, right = rng.normal(size=(120, 40)), rng.random(120) < 0.4
    said = 1 / (1 + np.exp(-out_of_fold(features, right, problems)))
    assert calibration_error(bins(said, right)) < 0.15
    assert said.std() < 0.15


@given(st.lists(st.text(min_size=1, max_size=3), min_size=5, max_size=40), st.integers(0, 5))
def test_folds_are_even_and_forget_order(names: list[str], seed: int) -> None:
    found = fold_of(names, FOLDS, seed)
    assert found == fold_of(names[::-1], FOLDS, seed)
    sizes = np.bincount(list(found.values()), minlength=FOLDS)
    assert sizes.max() - sizes.min() <= 1


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans(), st.integers(0, 2)), min_size=2, max_size=30
    )
)
def test_auc_counts_pairs_of_a_group_and_ties_by_half(rows: list[tuple[float, bool, int]]) -> None:
    score, right, group = (np.array(column) for column in zip(*rows, strict=True))
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a, hit, g in rows
        for b, other, h in rows
        if hit and not other and g == h
    ]
    found = auc(score, right, group)
    assert found == (None if not pairs else pytest.approx(math.fsum(pairs) / len(pairs), abs=1e-12))
    if right.any() and not right.all():
        assert auc(score, right, np.zeros_like(group)) == pytest.approx(roc_auc_score(right, score), abs=1e-12)


@given(st.lists(st.integers(ABSTAINS, 3), min_size=1, max_size=8), st.lists(st.integers(ABSTAINS, 3), max_size=8))
def test_agreement_counts_the_other_votes_of_the_same_ballot(first: list[int], second: list[int]) -> None:
    share, spread = agreement(np.array([0] * len(first) + [1] * len(second)), np.array(first + second))
    for forms, start in ((first, 0), (second, len(first))):
        votes = [form for form in forms if form != ABSTAINS]
        for place, form in enumerate(forms, start):
            if form == ABSTAINS or len(votes) == 1:
                assert math.isnan(share[place]) and math.isnan(spread[place])
            else:
                assert share[place] == (votes.count(form) - 1) / (len(votes) - 1)
                assert spread[place] == (len(set(votes)) - 1) / (len(votes) - 1)


def test_a_model_comes_back_to_the_last_bit() -> None:
    rng = np.random.default_rng(3)
    names = feature_names(["judge"], ["embedding:1"])
    right = rng.random(60) < 0.5
    found = cross_fit(rng.normal(size=(60, len(names))), right, np.arange(60) % FOLDS, FOLDS)
    model = ScorerModel(names=names, linear=found.whole, embed="files/e-0.py:vectors")
    back = from_json(to_json(model, {"trained_on": {}}))
    assert (
        back.names == names
        and back.kept == ("judge",)
        and back.embed == model.embed
        and back.linear.bias == found.whole.bias
    )
    for name in ("weights", "means", "scales"):
        assert getattr(back.linear, name).tolist() == getattr(found.whole, name).tolist()
    unnamed = to_json(ScorerModel(names=names, linear=found.whole), {})  # whose vectors it looks at is not said
    for broken in ("{}", "[]", '{"format": 9}', to_json(model, {}).replace("agreement", "gold"), unnamed):
        with pytest.raises(ValueError, match=r"not the model|wanted"):
            from_json(broken)


@pytest.mark.parametrize("right", [[True] * 20, [False] * 20, [True] * 4 + [False] * 16])
def test_too_little_to_learn_from_names_the_fix(right: list[bool]) -> None:
    fold = np.repeat(np.arange(FOLDS), 4)
    with pytest.raises(NotTrainable, match=r"learns from both|grade more problems"):
        cross_fit(np.zeros((20, 1)), np.array(right), fold, FOLDS)


def talkative(problems: int, samples: int, seed: int = 0) -> tuple[dict[str, str | None], list[dict[str, Any]]]:
    """Wrong answers hedge, right ones do not; whether they agree says nothing. Every fourth problem is not graded."""
    rng = np.random.default_rng(seed)
    golds: dict[str, str | None] = {f"p{p}": None if p % 4 == 3 else "1" for p in range(problems)}
    traces = []
    for p in range(problems):
        for i in range(samples):
            right = bool(rng.random() < 0.4)
            text = "so it is this " + ("wait maybe " if rng.random() < (0.15 if right else 0.85) else "and then ") * 3
            answer = "1" if right else str(rng.integers(2, 4))
            verdict = None if p % 4 == 3 else right
            traces.append(trace(f"p{p}", i, answer, verdict, text=text, thinking=None, output_tokens=50))
    return golds, traces


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    found = Archive(tmp_path / "archive")
    write_job(found, *talkative(24, 10))
    return found


def select(archive: Archive, *selectors: Any, seed: int = 0) -> Any:
    asked = [parse_selector(value) for value in selectors]
    return select_job(archive, "j", selectors=asked, equivalence="number", seed=seed)


SCORES = "SELECT selector, problem_id, sample_index, score FROM scores ORDER BY ALL"


def test_it_scores_every_answer_and_beats_the_vote(archive: Archive) -> None:
    done = select(archive, "majority", "scorer", {"scorer": {"use": "weighted", "as": "summed"}})
    assert done.failed == {}
    scores = archive.sql("SELECT * FROM scores WHERE selector = 'scorer'").to_pylist()
    assert len(scores) == 240, "those of problems without gold too"
    assert all(0 < row["score"] < 1 and row["source"] == "scorers/scorer.json" for row in scores)
    _, curves = read_back(archive)
    at = {(point["selector"], point["n"]): point["accuracy"] for point in curves}
    assert at["scorer", 10] > at["majority", 10] + 0.1 and at["summed", 10] > at["majority", 10]
    assert at["scorer", 1] == pytest.approx(at["pass", 1])
    picked = archive.sql("SELECT avg(correct::INT) AS a FROM selections WHERE selector = 'scorer'")["a"][0].as_py()
    ties = archive.sql("SELECT count(*) AS n FROM selections WHERE selector = 'scorer' AND tied")["n"][0].as_py()
    assert ties or at["scorer", 10] == pytest.approx(picked), "the curve ends at what is selected"


def test_its_card_says_how_good_it_is_and_selecting_again_writes_the_same(archive: Archive) -> None:
    select(archive, "scorer")
    text, scores = archive.read_text("j", "scorers/scorer.json") or "", archive.sql(SCORES)
    card = json.loads(text)
    graded = {"job_id": "j", "problems": 18, "samples": 180, "folds": 5, "seed": 0}
    assert graded.items() <= card["trained_on"].items()
    assert card["out_of_fold"]["auc"] > 0.8 and card["out_of_fold"]["brier"] < 0.2
    weights = {feature["name"]: feature["weight"] for feature in card["features"]}
    assert min(weights, key=lambda name: weights[name]) == "hedges_in_text"
    named = sum(value for name, value in card["against_majority"].items() if name.startswith("right_by"))
    assert named == 18, "every graded problem is one of four"
    select(archive, "scorer")
    assert archive.read_text("j", "scorers/scorer.json") == text and archive.sql(SCORES) == scores
    select(archive, "scorer", seed=1)
    assert archive.sql(SCORES) != scores, "other folds"


def test_nothing_of_a_problem_decides_its_own_scores(archive: Archive) -> None:
    """Its verdicts turned round, a problem's scores stay what they were."""
    select(archive, "scorer")
    before = archive.sql("SELECT score FROM scores WHERE problem_id = 'p0' ORDER BY sample_index")
    rows = archive.sql("SELECT * EXCLUDE (job_id) FROM traces").to_pylist()
    for row in rows:
        if row["problem_id"] == "p0":
            row["correct"] = not row["correct"]
    write(archive, TRACES, rows)
    select(archive, "scorer")
    after = archive.sql("SELECT score FROM scores WHERE problem_id = 'p0' ORDER BY sample_index")
    assert after.equals(before)
    others = archive.sql("SELECT avg(score) AS mean FROM scores WHERE problem_id <> 'p0'")
    assert not others.equals(archive.sql("SELECT avg(score) AS mean FROM scores WHERE problem_id = 'p0'"))


def test_nothing_of_a_family_decides_its_scores(archive: Archive) -> None:
    problems = archive.sql("SELECT * EXCLUDE (job_id) FROM problems").to_pylist()
    write(archive, PROBLEMS, [{**row, "family": f"f{row['ordinal'] // 4}"} for row in problems])
    select(archive, "scorer")
    card = json.loads(archive.read_text("j", "scorers/scorer.json") or "")
    assert {"problems": 18, "families": 6}.items() <= card["trained_on"].items()
    others = "SELECT score FROM scores WHERE problem_id IN ('p0', 'p1', 'p2', 'p3') ORDER BY ALL"  # p3: no gold
    before = archive.sql(others)
    rows = archive.sql("SELECT * EXCLUDE (job_id) FROM traces").to_pylist()
    turned = [{**row, "correct": not row["correct"]} if row["problem_id"] == "p0" else row for row in rows]
    write(archive, TRACES, turned)
    select(archive, "scorer")
    assert archive.sql(others).equals(before)
    write(archive, PROBLEMS, [{**row, "family": f"f{row['ordinal'] // 12}"} for row in problems])
    failed = select(archive, "scorer").failed["scorer"]
    assert "2 families, of 18 problems, have graded answers, and 5 folds need one each" in failed


def test_it_learns_and_is_measured_on_the_first_samples_of_arms_that_were_stopped(archive: Archive) -> None:
    rows = archive.sql("SELECT * EXCLUDE (job_id) FROM traces").to_pylist()
    rows = [row for row in rows if row["problem_id"] != "p0" or row["sample_index"] < 8]
    write(archive, TRACES, rows)
    write(archive, ARMS, [{"arm_id": "a", "ordinal": 0, "model": "m", "samples": 10}])
    stop = {"problem_id": "p0", "arm_id": "a", "n": 8, "samples": 10, "rule": "beta 0.95", "at_least": 6, "lead": 0.99}
    write(archive, STOPS, [stop])
    select(archive, "scorer")
    card = json.loads(archive.read_text("j", "scorers/scorer.json") or "")
    assert card["trained_on"]["samples"] == 18 * 6
    assert sum(each["samples"] for each in card["out_of_fold"]["calibration"]) == 18 * 6
    assert archive.sql("SELECT count(score) AS n FROM scores")["n"][0].as_py() == 238, "all are scored"
    write(archive, TRACES, [{**row, "correct": row["correct"] and row["sample_index"] < 6} for row in rows])
    select(archive, "scorer")
    assert json.loads(archive.read_text("j", "scorers/scorer.json") or "") == card, "nothing later is looked at"


def test_its_card_ranks_within_a_problem_of_one_arm(archive: Archive) -> None:
    rows = archive.sql("SELECT * EXCLUDE (job_id) FROM traces").to_pylist()
    wrong = {"arm_id": "b", "text": "wait maybe " * 9, "answer": "3"}
    turned = [{**row, **wrong, "correct": None if row["correct"] is None else row["sample_index"] == 9} for row in rows]
    write(archive, ARMS, [{"arm_id": arm, "ordinal": i} for i, arm in enumerate("ab")])
    write(archive, TRACES, [*rows, *turned])
    select(archive, "scorer")
    found = archive.sql(
        "SELECT scores.score, correct, dense_rank() OVER (ORDER BY problem_id) AS p, "
        "dense_rank() OVER (ORDER BY problem_id, arm_id) AS ballot "
        "FROM scores JOIN traces USING (job_id, problem_id, arm_id, sample_index) "
        "WHERE correct IS NOT NULL"
    ).to_pydict()
    score, right, problem, ballot = (np.array(found[name]) for name in ("score", "correct", "p", "ballot"))
    quality = json.loads(archive.read_text("j", "scorers/scorer.json") or "")["out_of_fold"]
    assert quality["auc_within_problems"] == pytest.approx(auc(score, right, ballot), abs=1e-6)
    assert quality["auc_within_problems"] != pytest.approx(auc(score, right, problem), abs=1e-3)


def test_kept_scores_are_features_and_only_those_that_may_be(archive: Archive) -> None:
    helped = {"scorer": {"scores": ["short"], "as": "helped"}}
    done = select(archive, helped, {"best": {"by": "- length(text)", "as": "short"}}, "scorer")
    assert done.failed == {}, "what it needs is selected by first, wherever it is named"
    features = json.loads(archive.read_text("j", "scorers/helped.json") or "")["features"]
    assert "score:short" in {feature["name"] for feature in features}
    wrong = {
        "scores: no scores of `judge` are kept; there are helped, scorer, short": ["judge"],
        "scores: `helped` has learned": ["helped"],
    }
    for message, names in wrong.items():
        assert message in select(archive, {"scorer": {"scores": names}}).failed["scorer"]
    rows = archive.sql("SELECT * EXCLUDE (job_id) FROM traces").to_pylist()
    write(archive, TRACES, [{**row, "score": 1.0, "lane": "live"} for row in rows])
    for expression in ("-score", "score::INT"):
        done = select(archive, {"best": {"by": expression}}, {"scorer": {"scores": ["best"]}})
        assert "goes by `score`, which the grading function gave" in done.failed["scorer"]
    given = {"problem_id": "p0", "arm_id": "a", "sample_index": 0, "score": 1.0, "source": "files/r-0.py:score"}
    write(archive, SCORES_TABLE, [{**given, "selector": "reward"}])
    assert select(archive, {"scorer": {"scores": ["reward"]}}).failed == {}, "a function may bear that name"


def test_one_that_cannot_be_trained_leaves_the_others_their_rows(archive: Archive) -> None:
    select(archive, "scorer")
    write_job(archive, *talkative(3, 4))
    done = select(archive, "scorer", "majority", {"best": {"by": "text::INT"}})
    assert "3 problems have graded answers, and 5 folds need one each" in done.failed["scorer"]
    assert "set fewer `folds`" in done.failed["scorer"] and "fails" in done.failed["best"]
    kept = archive.sql("SELECT DISTINCT selector FROM selections").to_pylist()
    assert kept == [{"selector": "majority"}], "rows over other samples would be left over"
    assert archive.sql("SELECT * FROM scores").num_rows == 0
    assert kept_selectors(archive, "j") == ["best", "majority", "scorer"], "tried again when there is more"


def test_a_forgotten_scorer_leaves_nothing(archive: Archive) -> None:
    select(archive, "scorer", "shortest")
    forget_selector(archive, "j", "scorer")
    assert kept_selectors(archive, "j") == ["shortest"]
    assert archive.read_text("j", "scorers/scorer.json") is None
    assert archive.sql("SELECT DISTINCT selector FROM scores").to_pylist() == [{"selector": "shortest"}]


def test_every_selector_that_goes_by_a_score_keeps_it(archive: Archive) -> None:
    traces = [
        trace("p", 0, "1", True, output_tokens=7), trace("p", 1, None, None, output_tokens=3),
        trace("p", 2, "2", False, output_tokens=5),
    ]  # fmt: skip
    write_job(archive, {"p": "1"}, traces)
    select(archive, "shortest", {"weighted": {"by": "nullif(sample_index, 0)"}}, "majority")
    rows = archive.sql(SCORES).to_pylist()
    assert [(row["selector"], row["sample_index"], row["score"]) for row in rows] == [
        ("shortest", 0, -7.0), ("shortest", 2, -5.0), ("weighted", 0, None), ("weighted", 2, 2.0)
    ]  # fmt: skip


def test_arms_of_a_problem_share_its_fold(archive: Archive) -> None:
    golds, traces = talkative(12, 6)
    write(
        archive, PROBLEMS, [{"problem_id": p, "ordinal": i, "gold": gold} for i, (p, gold) in enumerate(golds.items())]
    )
    write(archive, ARMS, [{"arm_id": arm, "ordinal": i} for i, arm in enumerate("ab")])
    both = [*traces, *({**row, "arm_id": "b"} for row in traces)]
    write(archive, TRACES, both)
    select(archive, "scorer")
    pairs = archive.sql(
        "SELECT a.score AS first, b.score AS second FROM scores a JOIN scores b USING (problem_id, sample_index) "
        "WHERE a.arm_id = 'a' AND b.arm_id = 'b'"
    ).to_pylist()
    assert len(pairs) == 72 and all(pair["first"] == pair["second"] for pair in pairs), "one model for both arms"


def test_on_recorded_arithmetic_it_ranks_well_and_ends_where_the_vote_does(archive: Archive) -> None:
    rows = recorded("arith_smollm2_30x32.jsonl")
    traces = [
        trace(r["question_id"], r["sample_index"], r["answer"], r["correct"], text=r["completion"], thinking=None)
        | {"stop_reason": r["stop_reason"]}
        for r in rows
    ]
    write_job(archive, {r["question_id"]: r["gold"] for r in rows}, traces)
    select(archive, "majority", "scorer")
    card = json.loads(archive.read_text("j", "scorers/scorer.json") or "")
    assert card["out_of_fold"]["auc"] > 0.75 and card["out_of_fold"]["auc_within_problems"] > 0.75
    assert card["out_of_fold"]["brier"] < card["out_of_fold"]["brier_of_the_share_right"]
    assert accuracy(archive, "scorer", 32) == accuracy(archive, "majority", 32) == pytest.approx(11 / 30)
    assert accuracy(archive, "scorer", 4) > accuracy(archive, "majority", 4) + 0.01


def test_commands_that_train_nothing_do_not_wait_for_what_trains() -> None:
    code = "import sys, polythink.cli.main, polythink.selectors.stage; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-I", "-c", code], check=False).returncode == 0
