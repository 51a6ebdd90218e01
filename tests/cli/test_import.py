"""`import`: what was recorded is what the archive says, and known numbers come out of known recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polythink.explorer.report import write_report
from polythink.storage.archive import Archive
from tests.cli.conftest import Call

SAMPLES = Path(__file__).resolve().parents[2] / "../shared/data/samples"
READABLE = r"{extract: {regex: '(?m)Answer:[ ]*([-+*/().\d ]+(?:=.*)?)$'}, equivalence: string}"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def recording(name: str) -> str:
    path = SAMPLES / name
    if not path.is_file():
        pytest.skip(f"{name} is not here")
    return str(path)


def brought(call: Call, archive: Archive, file: str, *options: str) -> dict[str, Any]:
    result = call("import", file, "--job", "theirs", "--archive", archive.root, "--json", *options)
    assert result.exit_code == 0, result.output
    counts: dict[str, Any] = json.loads(result.stdout)
    return counts


def curve(archive: Archive, selector: str, n: int) -> float:
    query = "SELECT accuracy FROM curves WHERE selector = ? AND n = ?"
    return float(archive.sql(query, [selector, n])["accuracy"][0].as_py())


def right_of(archive: Archive, selector: str) -> int:
    query = "SELECT count_if(correct)::INT AS n FROM selections WHERE selector = ?"
    return int(archive.sql(query, [selector])["n"][0].as_py())


def test_torn_lines_duplicates_and_missing_indices(call: Call, archive: Archive, tmp_path: Path) -> None:
    lines = [
        '{"question_id": "p", "gold": "2", "answer": "2", "correct": false, "score": 0.5, "note": "n"}',
        '{"question_id": "p", "answer": "tor',
        '{"question_id": "p", "answer": "2", "sample_index": 0}',
        '{"question_id": "p", "answer": "4/2"}',
        '{"question_id": "p", "answer": "9", "sample_index": 0}',
    ]
    file = tmp_path / "theirs.jsonl"
    file.write_text("\n".join(lines))
    command = ("import", str(file), "--job", "theirs", "--archive", archive.root)
    for _ in range(2):
        result = call(*command)
        assert result.exit_code == 1
        assert "theirs.jsonl:2: invalid JSON" in result.stderr
        assert "theirs.jsonl:5: sample 0 of 'p', arm 'imported' again; the first one is kept" in result.stderr
    rows = archive.sql("SELECT * FROM traces ORDER BY sample_index").to_pylist()
    assert [(row["sample_index"], row["answer"]) for row in rows] == [(0, "2"), (1, "2"), (2, "4/2")]
    by_answer = {(row["sample_index"]): (row["correct"], row["score"]) for row in rows}
    assert by_answer == {0: (True, None), 1: (False, 0.5), 2: (True, None)}, (
        "what was recorded is kept, the rest graded"
    )
    assert json.loads(rows[1]["metadata"]) == {"note": "n"}
    assert archive.sql("SELECT count(DISTINCT job_id)::INT AS n FROM jobs")["n"].to_pylist() == [1]
    assert right_of(archive, "majority") == 1
    assert call("show", "p/imported/1", "--archive", archive.root).exit_code == 0
    assert call("resume", "theirs", "--archive", archive.root).exit_code == 2
    assert write_report(archive, "theirs", tmp_path / "report.html").stat().st_size > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--map", "answer=anser"), "`anser`, which no row has; did you mean `answer`?"),
        (("--map", "anser=answer"), "--map: found 'anser=answer'; wanted OURS=THEIRS"),
        (("--answer", "{equivalence: maths}"), "answer.equivalence"),
        (("--answer", "boxed"), "--answer: found 'boxed'; wanted a mapping"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(
    call: Call, archive: Archive, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    (tmp_path / "a.jsonl").write_text('{"question_id": "p", "answer": "1"}\n')
    result = call("import", str(tmp_path / "a.jsonl"), "--job", "x", "--archive", archive.root, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not archive.exists()


def test_samples_of_a_run_are_not_replaced(call: Call, job_id: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question_id": "p", "answer": "1"}\n')
    result = call("import", str(tmp_path / "a.jsonl"), "--job", "sums")
    assert result.exit_code == 2
    assert f"job {job_id} was run, not imported" in result.stderr


def test_arithmetic_recordings_give_the_known_numbers(call: Call, archive: Archive) -> None:
    usage = ("--map", "input_tokens=usage.input_tokens", "--map", "output_tokens=usage.output_tokens")
    counts = brought(call, archive, recording("arith_smollm2_30x32.jsonl"), *usage)
    assert (counts["samples"], counts["problems"], counts["arms"], counts["issues"]) == (960, 30, 1, [])
    assert curve(archive, "pass", 1) == pytest.approx(0.168, abs=5e-4)
    assert curve(archive, "pass", 32) == pytest.approx(0.8, abs=1e-12)
    assert right_of(archive, "majority") == 11
    assert archive.sql("SELECT min(output_tokens)::INT AS n FROM traces")["n"][0].as_py() > 0


def test_game24_recordings_give_the_known_numbers(call: Call, archive: Archive) -> None:
    file = recording("game24_cot_gpt4_100x100.jsonl.gz")
    counts = brought(call, archive, file, "--answer", READABLE)
    assert (counts["samples"], counts["problems"]) == (10_000, 100)
    assert curve(archive, "pass", 1) == pytest.approx(0.0403, abs=1e-12)
    assert curve(archive, "pass", 100) == pytest.approx(0.49, abs=1e-12)
    assert right_of(archive, "majority") == 9
    assert brought(call, archive, file, "--answer", "{equivalence: string}")["job_id"] == counts["job_id"]
    assert archive.sql("SELECT DISTINCT answer FROM traces WHERE answer = 'None'").num_rows == 1, "kept as recorded"
    assert curve(archive, "pass", 1) == pytest.approx(0.0403, abs=1e-12)


def test_counts_give_the_published_pass_at_one_of_every_model(call: Call, archive: Archive) -> None:
    counts = brought(call, archive, recording("evalperf_counts.jsonl.gz"), "--map", "arm=model", "--map", "samples=n")
    assert counts["arms"] == 34
    query = """
        SELECT 100 * accuracy AS ours, (SELECT any_value(metadata->>'published_pass1_model')::DOUBLE
            FROM traces t WHERE t.arm_id = c.arm_id) AS published
        FROM curves c WHERE selector = 'pass' AND n = 1
    """
    rows = archive.sql(query).to_pylist()
    assert len(rows) == 34
    assert [row["ours"] for row in rows] == pytest.approx([row["published"] for row in rows], abs=1e-9)
    query = """
        SELECT 100 * pass_at_n AS ours, (metadata->>'published_pass1_task')::DOUBLE AS published
        FROM coverage JOIN traces USING (job_id, problem_id, arm_id) WHERE n = 1 AND sample_index = 0
    """
    pairs = archive.sql(query).to_pylist()
    assert len(pairs) == 4_012
    assert [pair["ours"] for pair in pairs] == pytest.approx([pair["published"] for pair in pairs], abs=1e-9)


def test_the_highest_recorded_score_is_the_recorded_pick(call: Call, archive: Archive) -> None:
    lists = (
        "--map",
        "arm=step",
        "--map",
        "completion=candidates",
        "--map",
        "answer=candidates",
        "--map",
        "score=votes",
    )
    counts = brought(call, archive, recording("creative_judge_votes.jsonl.gz"), *lists)
    assert (counts["samples"], counts["arms"]) == (1_000, 2)
    result = call("select", "theirs", "--with", "best: {by: score}", "--archive", archive.root)
    assert result.exit_code == 0, result.output
    query = """
        SELECT count(*)::INT AS ballots, count_if(text = metadata->>'$.selected[0]')::INT AS same
        FROM selections s JOIN traces t USING (job_id, problem_id, arm_id)
        WHERE selector = 'best' AND winner_index = sample_index
    """
    assert archive.sql(query).to_pylist() == [{"ballots": 200, "same": 200}]


def test_a_replay_is_drawn_beside_its_table(call: Call, archive: Archive, tmp_path: Path) -> None:
    answers = ["1", "2", "1", "1", "3", "1"]
    rows = [
        {"question_id": f"p{p}", "gold": "1", "answer": answers[(p + n) % 6], "source": f"s{p % 2}"}
        for p in range(6)
        for n in range(6)
    ]
    file = tmp_path / "theirs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    brought(call, archive, str(file), "--map", "family=source")
    families = archive.sql("SELECT DISTINCT family FROM problems ORDER BY 1")["family"].to_pylist()
    assert families == ["s0", "s1"]
    replayed = ("replay", "theirs", "--archive", archive.root)
    plain = call(*replayed)
    for suffix, start in ((".html", b"<!DOCTYPE html>"), (".svg", b"<svg"), (".png", b"\x89PNG")):
        path = tmp_path / "drawn" / f"replay{suffix}"
        result = call(*replayed, "-o", str(path))
        assert (result.exit_code, result.stdout) == (0, plain.stdout) and str(path) in result.stderr
        assert path.read_bytes().startswith(start)
    assert "2 families of problems" in (tmp_path / "drawn" / "replay.svg").read_text()
    refused = call(*replayed, "-o", str(tmp_path / "replay.pdf"))
    assert refused.exit_code == 2 and ".svg, .png, .html" in refused.stderr


def test_an_import_in_place_of_another_brings_every_selector_up_to_date(
    call: Call, archive: Archive, tmp_path: Path
) -> None:
    where, file = ("--archive", archive.root), tmp_path / "theirs.jsonl"
    for texts in (("7 7 7", "5"), ("5", "7 7 7")):
        rows = [{"question_id": "p", "gold": "5", "answer": t[0], "completion": t} for t in texts]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        brought(call, archive, str(file))
        if texts[0] == "7 7 7":
            assert call("select", "theirs", "--with", "longest", *where).exit_code == 0
    query = "SELECT answer, winner_index FROM selections WHERE selector = 'longest'"
    assert archive.sql(query).to_pylist() == [{"answer": "7", "winner_index": 1}]
    assert call("verify", "theirs", *where).exit_code == 0


def test_an_import_tells_of_a_selector_that_the_new_samples_do_not_suit(
    call: Call, archive: Archive, tmp_path: Path
) -> None:
    where, file = ("--archive", archive.root), tmp_path / "theirs.jsonl"
    for score in (0.5, -0.5):
        file.write_text(json.dumps({"question_id": "p", "gold": "5", "answer": "5", "score": score}) + "\n")
        result = call("import", str(file), "--job", "theirs", *where)
        assert result.exit_code == 0
        assert ("weighted: gives a negative" in result.stderr) == (score < 0)
        call("select", "theirs", "--with", "weighted: {by: score}", *where)
    assert archive.sql("SELECT * FROM selections WHERE selector = 'weighted'").num_rows == 0
