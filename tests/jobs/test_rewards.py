"""A reward function is asked once about each sample, in a process that can be killed, and never again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from polythink.cli.main import app
from polythink.errors import SpecError
from polythink.jobs.importing import import_samples
from polythink.jobs.load import load_job
from polythink.jobs.rewards import prepare
from polythink.jobs.selection import notes, select, select_anew
from polythink.jobs.verify import verify_job
from polythink.jobs.workload import Workload, recall, store
from polythink.selectors.registry import parse_selector
from polythink.storage.archive import Archive
from polythink.storage.schema import TRACES
from tests.running import job_file

REWARD = """
from pathlib import Path
CALLS = Path(__file__).with_name("calls")
def score(question, answer, sample):
    with CALLS.open("a") as calls:
        calls.write(repr((question, answer, sample)) + "\\n")
    return {value}
"""
SCORES = "SELECT selector, problem_id, sample_index, score, source FROM scores ORDER BY ALL"


def rows_of(problems: int = 6, samples: int = 4) -> list[dict[str, Any]]:
    """The sample of index 1 is right, and the only one that says so at length."""
    return [
        {"question_id": f"p{p}", "question": f"{p} + 1?", "gold": str(p + 1), "sample_index": i, "secret": p + 1}
        | {"answer": str(p + 1 if i == 1 else p + 2 + i % 2), "completion": "x" * (9 if i == 1 else i + 1)}
        for p in range(problems)
        for i in range(samples)
    ]


def imported(archive: Archive, folder: Path, rows: list[dict[str, Any]], name: str = "theirs") -> Workload:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = import_samples(archive, name, [path], names={}, answer={"equivalence": "number"})
    return recall(archive, done.job_id)


def reward_file(folder: Path, value: str = "float(len(sample['text']))", name: str = "reward.py") -> Path:
    path = folder / name
    path.write_text(REWARD.replace("{value}", value))
    return path


def calls(archive: Archive, job_id: str) -> list[Any]:
    """What the archive's own copy of the function was called with."""
    name = archive.file(job_id, "files/calls")
    return [eval(line, {}) for line in (archive.store.get(name) or b"").decode().splitlines()]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.chdir(tmp_path)
    return Archive(tmp_path / "archive")


def test_it_is_asked_once_and_the_scores_are_kept(archive: Archive, tmp_path: Path) -> None:
    work = imported(archive, tmp_path, rows_of())
    reward_file(tmp_path)
    best, weighted = {"best": {"python": "reward.py:score"}}, {"weighted": {"python": "reward.py:score"}}
    _, done = select(archive, work, ["majority", best, weighted])
    assert (done.failed, done.warnings) == ({}, ())
    asked = calls(archive, work.job_id)
    assert len(asked) == 24, "two selectors share what the same function gave"
    seen = archive.sql("SELECT count(*) AS n FROM selections WHERE selector = 'best' AND correct")["n"][0].as_py()
    assert seen == 6
    rows = archive.sql(SCORES).to_pylist()
    assert len(rows) == 48 and {row["source"].startswith("files/reward-") for row in rows} == {True}
    (tmp_path / "reward.py").unlink()
    tables = [archive.sql(f"SELECT * FROM {table} ORDER BY ALL") for table in ("scores", "selections", "curves")]
    assert notes(select_anew(archive, work), work.job_id) == ()
    (audit,) = verify_job(archive, work.job_id)
    assert audit.agrees and audit.looked_at["scores"] == 48
    assert [
        archive.sql(f"SELECT * FROM {table} ORDER BY ALL") for table in ("scores", "selections", "curves")
    ] == tables
    assert len(calls(archive, work.job_id)) == 24, "neither selecting anew nor the audit asks"


def test_it_never_sees_gold_or_a_verdict(archive: Archive, tmp_path: Path) -> None:
    rows = [{**row, "gold": f"gold-{row['gold']}"} for row in rows_of(3, 2)]
    work = imported(archive, tmp_path, rows)
    reward_file(tmp_path, "0.5")
    select(archive, work, [{"best": {"python": "reward.py:score"}}])
    asked = calls(archive, work.job_id)
    assert len(asked) == 6 and "gold" not in repr(asked)
    keys = {"text", "thinking", "model", "stop_reason", "output_tokens", "thinking_tokens"}
    assert {frozenset(sample) for _, _, sample in asked} == {frozenset(keys)}


def test_a_row_that_may_hold_gold_is_shown_to_nobody(archive: Archive, tmp_path: Path) -> None:
    rows = [{("asked" if key == "question" else key): value for key, value in row.items()} for row in rows_of(3, 2)]
    work = imported(archive, tmp_path, [{**row, "solution": row["gold"]} for row in rows])
    reward_file(tmp_path, "0.5")
    reward = "{best: {python: 'reward.py:score'}}"
    command = ["select", "theirs", "--archive", archive.root, "--with", "majority", "--with"]
    result = CliRunner().invoke(app, [*command, reward])
    assert result.exit_code == 2 and "best: what problem 'p0' asks is not known" in result.stderr
    assert "--map question=" in result.stderr and calls(archive, work.job_id) == []
    kept = archive.sql("SELECT DISTINCT selector FROM selections").to_pylist()
    assert kept == [{"selector": "majority"}], "the others get their rows"
    result = CliRunner().invoke(app, [*command, "{judge: {model: claude-haiku-4-5}}"])
    assert result.exit_code == 2 and "--map question=" in result.stderr


def test_a_changed_file_scores_anew_and_more_samples_only_the_new(archive: Archive, tmp_path: Path) -> None:
    work = imported(archive, tmp_path, rows_of(samples=2))
    reward_file(tmp_path)
    select(archive, work, [{"best": {"python": "reward.py:score"}}])
    reward_file(tmp_path, "-float(len(sample['text']))")
    select(archive, work, [{"best": {"python": "reward.py:score"}}])
    assert len(calls(archive, work.job_id)) == 24
    assert {row["score"] for row in archive.sql(SCORES).to_pylist()} == {-9.0, -1.0}
    (row,) = archive.sql(
        "SELECT * EXCLUDE (job_id) FROM traces WHERE problem_id = 'p0' AND sample_index = 0"
    ).to_pylist()
    _add(archive, work, {**row, "sample_index": 2, "sample_id": "new"})
    select_anew(archive, work)
    counts = archive.sql("SELECT problem_id FROM selections WHERE selector = 'best' ORDER BY problem_id").to_pylist()
    assert [row["problem_id"] for row in counts] == [f"p{p}" for p in range(1, 6)], (
        "p0 waits for its new sample's score"
    )
    select_anew(archive, work, prepares=True)
    assert len(calls(archive, work.job_id)) == 25, "only the new one"
    chosen = archive.sql("SELECT n FROM selections WHERE problem_id = 'p0' AND selector = 'best'")
    assert chosen["n"].to_pylist() == [3]


def _add(archive: Archive, work: Workload, row: dict[str, Any]) -> None:
    archive.replace_part(TRACES, work.job_id, "more", pa.Table.from_pylist([row], schema=TRACES.arrow))


TROUBLE = """
import os
def score(question, answer, sample):
    length = len(sample["text"])
    if length == 1: raise RuntimeError("too short")
    if length == 3: return "very good"
    if length == 4: os._exit(3)
    if question.startswith("1"): return 10 ** 400
    if question.startswith("2"): return 10 ** 5000
    return float("nan") if question.startswith("0") else length
"""


def test_a_call_that_fails_costs_its_own_sample_and_is_counted(archive: Archive, tmp_path: Path) -> None:
    work = imported(archive, tmp_path, rows_of())
    (tmp_path / "trouble.py").write_text(TROUBLE)
    _, done = select(archive, work, [{"best": {"python": "trouble.py:score"}}])
    said = " | ".join(done.warnings)
    for message in (
        "6 samples have no score",
        "too short",
        "returned 'very good'",
        "exited with status 3",
        "1 sample has",
        "returned 1000",
        "wanted float or None",
    ):
        assert message in said
    found = archive.sql("SELECT count(*) AS rows, count(score) AS scores FROM scores").to_pylist()
    assert found == [{"rows": 24, "scores": 3}]
    picked = archive.sql("SELECT problem_id, correct FROM selections ORDER BY problem_id").to_pylist()
    assert [row["correct"] for row in picked] == [None, None, None, True, True, True]


def test_a_function_whose_weights_cannot_be_used_is_not_asked_again_and_the_audit_agrees(
    archive: Archive, tmp_path: Path
) -> None:
    work = imported(archive, tmp_path, rows_of())
    reward_file(tmp_path, "-1.0")
    weighted = {"weighted": {"python": "reward.py:score"}}
    assert "negative or infinite weight" in select(archive, work, ["majority", weighted])[1].failed["weighted"]
    kept = archive.sql(SCORES)
    assert len(kept) == 24
    (audit,) = verify_job(archive, work.job_id)
    assert audit.agrees, audit.differences
    select(archive, work, [weighted])
    assert len(calls(archive, work.job_id)) == 24 and archive.sql(SCORES) == kept


def test_what_an_earlier_version_did_not_keep_is_no_difference(archive: Archive, tmp_path: Path) -> None:
    work = imported(archive, tmp_path, rows_of())
    select(archive, work, ["majority", "shortest"])
    for table in ("coverage", "scores"):
        for part in archive.parts(table, work.job_id):
            archive.forget_part(part)
    (part, *_) = archive.parts("selections", work.job_id)
    rows, older = pq.read_table(pa.BufferReader(archive.store.get(str(part)) or b"")), pa.BufferOutputStream()
    pq.write_table(rows.drop_columns(["stopped"]), older)
    archive.store.put(str(part), older.getvalue().to_pybytes())
    (audit,) = verify_job(archive, work.job_id)
    assert audit.agrees, audit.differences
    said = " | ".join(audit.warnings)
    for what in ("selections: an earlier version kept no stopped", "coverage: an earlier", "scores: an earlier"):
        assert what in said
    pq.write_table(rows.drop_columns(["stopped"]).slice(1), older := pa.BufferOutputStream())
    archive.store.put(str(part), older.getvalue().to_pybytes())
    (audit,) = verify_job(archive, work.job_id)
    assert audit.differing == {"selections": 1}, "what is there is compared"
    select(archive, work, ["majority", "shortest"])
    (audit,) = verify_job(archive, work.job_id)
    assert audit.agrees and audit.warnings == ()


def test_notes_with_what_a_function_returned_do_not_steer_the_terminal(archive: Archive, tmp_path: Path) -> None:
    imported(archive, tmp_path, rows_of(1, 1))
    (tmp_path / "loud.py").write_text("def score(q, a, s): raise ValueError(chr(27) + '[2J')\n")
    reward = "{best: {python: 'loud.py:score'}}"
    result = CliRunner().invoke(app, ["select", "theirs", "--with", reward, "--archive", archive.root])
    assert "[U+001B][2J" in result.stderr and "\x1b[2J" not in result.stderr


def test_an_import_in_place_of_another_forgets_its_scores(archive: Archive, tmp_path: Path) -> None:
    work = imported(archive, tmp_path, rows_of())
    reward_file(tmp_path)
    select(archive, work, [{"best": {"python": "reward.py:score"}}])
    again = imported(archive, tmp_path, [{**row, "completion": "other"} for row in rows_of()])
    assert again.job_id == work.job_id and archive.sql(SCORES).num_rows == 0


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ({"best": {"python": "gone.py:score"}}, "no such file"),
        ({"best": {"python": "reward.py:scor"}}, "did you mean score"),
        ({"best": {"python": "reward.py"}}, "wanted file.py:function or package.module:function"),
        ({"best": {"python": "reward.py:score", "by": "1"}}, "found both `by` and `python`"),
        ("best", "best.by: missing; write {best: {by: ...}} or {best: {python: file.py:function}}"),
        ({"scorer": {"folds": 2}}, "scorer.folds: found 2; wanted a whole number from 3 to 20"),
        ({"scorer": {"folds": 21}}, "scorer.folds: found 21; wanted a whole number from 3 to 20"),
        ({"scorer": {"scores": "judge"}}, "scorer.scores: found 'judge'; wanted a list of names"),
        ({"scorer": {"scores": ["judge"], "from": "other"}}, "found `from` and `scores`"),
        ({"scorer": {"embed": "reward.py:score", "from": "other"}}, "found `from` and `embed`"),
        ({"scorer": {"embed": "gone.py:vectors"}}, "no such file"),
    ],
)
def test_what_cannot_be_is_told_with_its_fix(archive: Archive, tmp_path: Path, selector: Any, message: str) -> None:
    work = imported(archive, tmp_path, rows_of(2, 2))
    reward_file(tmp_path)
    with pytest.raises(ValueError) as error:
        select(archive, work, [selector])
    assert message in str(error.value)
    path = job_file(tmp_path, "http://127.0.0.1:1", select=[selector])
    with pytest.raises(SpecError) as wrong:
        load_job(path)
    assert message in str(wrong.value) and "select[0]" in str(wrong.value)


def test_the_function_of_a_job_file_goes_with_the_job(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    reward_file(folder)
    selector = {"best": {"python": "reward.py:score", "as": "mine"}}
    work = store(archive, load_job(job_file(folder, "http://127.0.0.1:1", select=["first", selector])))
    kept = recall(archive, work.job_id).job.select[1]["best"]
    assert kept["as"] == "mine" and kept["python"].startswith("files/reward-")
    copy = archive.read_text(work.job_id, kept["python"].rpartition(":")[0])
    assert copy == (folder / "reward.py").read_text()


def learnable(archive: Archive, folder: Path, name: str, problems: range, *, graded: bool = True) -> Workload:
    """Right answers are given without hedging; `problems` tells the questions of two jobs apart."""
    rows = [
        {"question_id": f"p{p}", "question": f"{p} + 1?", "sample_index": i, "answer": str(p + (1 if right else 2))}
        | ({"gold": str(p + 1)} if graded else {})
        | {"completion": "it is so" if right != (i == 5) else "hmm wait maybe it is so"}
        for p in problems
        for i in range(6)
        for right in [(p + i) % 3 == 0]
    ]
    return imported(archive, folder, rows, name)


def test_a_model_goes_from_one_job_to_another(archive: Archive, tmp_path: Path) -> None:
    taught = learnable(archive, tmp_path, "taught", range(20))
    select(archive, taught, ["scorer"])
    work = learnable(archive, tmp_path, "open", range(100, 110), graded=False)
    taken = {"scorer": {"from": "taught", "as": "taken"}}
    names, done = select(archive, work, ["majority", taken])
    assert (names, done.failed, done.warnings) == (["majority", "taken"], {}, ())
    theirs, ours = (
        archive.read_text(job.job_id, f"scorers/{name}.json") for job, name in ((taught, "scorer"), (work, "taken"))
    )
    assert json.loads(theirs or "") | {"taken_from": "taught"} == json.loads(ours or "")
    sure = archive.sql(
        "SELECT avg(s.score) FILTER (text = 'it is so') AS plain, avg(s.score) FILTER (text <> 'it is so') AS hedged "
        "FROM scores s JOIN traces USING (job_id, problem_id, arm_id, sample_index) WHERE job_id = ?",
        [work.job_id],
    ).to_pylist()[0]
    assert sure["plain"] > sure["hedged"] + 0.2
    before = archive.sql(SCORES)
    select(archive, taught, [{"scorer": {"folds": 3}}])  # another model there leaves this job's as it was
    (audit,) = verify_job(archive, work.job_id)
    assert audit.agrees
    rows = archive.sql("SELECT * FROM scores WHERE job_id = ?", [work.job_id])
    assert len(rows) == 60 and before.num_rows == 60 + 120


def test_what_cannot_be_taken_is_said_and_seen_problems_are_too(archive: Archive, tmp_path: Path) -> None:
    taught = learnable(archive, tmp_path, "taught", range(20))
    work = learnable(archive, tmp_path, "same", range(15, 25))
    for source, message in (("nobody", "no job 'nobody'"), ("taught", "keeps no model"), ("same", "keeps no model")):
        warnings = prepare(archive, work, [parse_selector({"scorer": {"from": source}})])
        assert any(message in warning for warning in warnings)
    _, done = select(archive, work, [{"scorer": {"from": "taught"}}])
    assert "no model was taken" in done.failed["scorer"]
    select(archive, taught, ["scorer"])
    _, done = select(archive, work, [{"scorer": {"from": "taught/scorer"}}])
    assert done.failed == {} and "has seen 5 of these problems" in done.warnings[0]


def test_a_model_of_the_job_itself_is_never_taken_for_another_jobs(archive: Archive, tmp_path: Path) -> None:
    work, other = (learnable(archive, tmp_path, *of) for of in (("own", range(20)), ("other", range(30, 50))))
    select(archive, work, ["scorer"])
    _, done = select(archive, work, [{"scorer": {"from": "other"}}])
    assert "no model was taken from other" in done.failed["scorer"]
    assert archive.sql("SELECT * FROM scores").num_rows == 0
    select(archive, work, ["scorer"])
    select(archive, other, ["scorer", {"scorer": {"from": "own", "as": "lent"}}])
    _, done = select(archive, work, [{"scorer": {"from": "other/lent"}}])
    assert "no model was taken" in done.failed["scorer"] and "was trained on this job" in done.warnings[0]
    assert select(archive, work, [{"scorer": {"from": "other"}}])[1].failed == {}
    _, done = select(archive, work, [{"scorer": {"from": "nobody"}}])
    assert "no model was taken from nobody" in done.failed["scorer"], "what came from elsewhere bears another name"


def test_seen_problems_are_told_by_what_they_ask_and_where_the_model_learned(archive: Archive, tmp_path: Path) -> None:
    taught = learnable(archive, tmp_path, "taught", range(20))
    select(archive, taught, ["scorer"])
    between = learnable(archive, tmp_path, "between", range(100, 110))
    select(archive, between, [{"scorer": {"from": "taught"}}])
    work = learnable(archive, tmp_path, "open", range(15, 25), graded=False)  # rows without gold: other fields
    _, done = select(archive, work, [{"scorer": {"from": "between"}}])
    assert [f"has seen 5 of these problems in {taught.job_id}" in said for said in done.warnings] == [True]


def test_the_command_gives_the_others_their_rows_and_says_what_failed(archive: Archive, tmp_path: Path) -> None:
    work = learnable(archive, tmp_path, "few", range(3))
    command = ["select", "few", "--with", "scorer", "--with", "majority", "--archive", archive.root]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2 and "majority" in result.stdout
    assert "scorer: 3 problems have graded answers, and 5 folds need one each" in result.stderr
    assert archive.sql("SELECT count(*) AS n FROM selections")["n"][0].as_py() == 3
    (audit,) = verify_job(archive, work.job_id)
    assert audit.agrees and any("scorer: 3 problems" in warning for warning in audit.warnings)
