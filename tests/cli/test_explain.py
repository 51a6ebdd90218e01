"""`select --explain` and its Python twin: what counted, read from the archive alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import ray

import polythink
from polythink.storage.archive import Archive
from polythink.storage.schema import TRACES
from tests.cli.conftest import Call

ROOT = Path(__file__).parents[2]
WITHOUT_RAY = """
import sys
import polythink
found = polythink.explain("sums", ["majority"], "a", archive=sys.argv[1])
assert {line.arm_id for line in found.ballots} == {"plain", "deep"}, found
assert set(polythink.replay("sums", archive=sys.argv[1])) == {"plain", "deep"}
sys.exit(" ".join({"ray", "anthropic"} & set(sys.modules)) or 0)
"""


@pytest.fixture
def landed(call: Call, job_id: str) -> str:
    """The job with its samples in Parquet: all were there, so nothing is sent."""
    assert call("resume", "sums").exit_code in (0, 1)
    return job_id


def test_an_explanation_fits_a_hundred_columns_and_names_every_reason(call: Call, landed: str) -> None:
    result = call("select", "sums", "--with", "majority", "--explain")
    assert result.exit_code == 0
    shown = result.stdout
    assert f"{landed}: 16 finished samples" in shown
    assert "majority, arm deep" in shown
    assert "6 of 8 counted; 2 did not: 1 no_answer, 1 failed" in shown
    assert "2 of 2 problems enter it" in shown and "n = 1, 2, 4: 2 problems, exact" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_a_problem_is_listed_sample_by_sample(call: Call, landed: str) -> None:
    shown = call("select", "sums", "b", "--with", "majority", "--explain").stdout
    assert "majority, arm deep, problem b" in shown
    assert "class 1 wins by most votes, in the words of sample 0: 2 of 3 votes, confidence 66.7%" in shown
    assert "no: failed" in shown and "yes, its words" in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 100


def test_json_says_the_same_and_nothing_is_written(call: Call, landed: str, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "archive").rglob("*") if path.is_file()}
    found = json.loads(call("select", "sums", "b", "--with", "longest", "--explain", "--json").stdout)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "archive").rglob("*") if path.is_file()} == before
    assert [(arm["arm_id"], arm["counted"]) for arm in found["arms"]] == [("plain", 6), ("deep", 6)]
    assert [line["withheld"] for line in found["ballots"][1]["samples"]] == [None, None, None, "failed"]
    assert found["ballots"][1]["rule"]["wins"] == "the highest score"


def test_a_selector_without_rows_is_named_with_the_reason(call: Call, landed: str) -> None:
    shown = call("select", "sums", "--with", "scorer", "--with", "first", "--explain").stdout
    assert "scorer selects nothing: " in shown and "first, arm plain" in shown


def test_an_unknown_problem_and_a_problem_without_explain_are_bad_usage(call: Call, landed: str) -> None:
    result = call("select", "sums", "bb", "--explain")
    assert result.exit_code == 2 and "did you mean 'b'?" in result.stderr and "--with" not in result.stderr
    result = call("select", "sums", "b")
    assert result.exit_code == 2 and "--explain" in result.stderr
    result = call("select", "sums", "--explain", "--with", "majorty")
    assert result.exit_code == 2 and "did you mean 'majority'?" in result.stderr


def test_hostile_text_is_shown_and_does_nothing(call: Call, landed: str, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    rows = archive.sql("SELECT * EXCLUDE (job_id) FROM traces").to_pylist()
    for row in rows:
        if row["answer"]:
            row["answer"] = f"\x1b]0;owned\x07[red]\u202e{row['answer']}\n" + "w" * 3_000
    (part,) = archive.parts(TRACES.name, landed)
    kept = [{name: row.get(name) for name in TRACES.arrow.names} for row in rows]
    archive.replace_part(
        TRACES, landed, part.stem.removeprefix("part-"), pa.Table.from_pylist(kept, schema=TRACES.arrow)
    )
    shown = call("select", "sums", "a", "--with", "majority", "--explain").stdout
    assert "\x1b" not in shown and "\x07" not in shown and "\u202e" not in shown
    assert "[U+001B]" in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 100


def test_python_asks_the_archive_without_ray(landed: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_RAY, str(tmp_path / "archive")]
    done = subprocess.run(command, check=False, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_python_selects_and_says_what_it_came_to(landed: str, tmp_path: Path) -> None:
    archive = polythink.open(tmp_path / "archive")
    picked = polythink.select("sums", ["first", {"majority": {"ties": "seeded"}}], archive)
    assert (picked.job_id, picked.selectors, picked.samples) == (landed, ("first", "majority"), 16)
    assert (picked.selections, picked.notes, picked.broken_off) == (8, (), None)
    assert not ray.is_initialized()
    with pytest.raises(ValueError, match="did you mean 'first'"):
        polythink.select("sums", ["frst"], archive)
    with pytest.raises(polythink.PolythinkError, match="nothing"):
        polythink.explain("nothing", archive=archive)
