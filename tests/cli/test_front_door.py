"""The commands as a script sees them: results on stdout, exit codes, errors that name the way out."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from polythink import __version__
from polythink.cli.main import COMMANDS, app
from tests.cli.conftest import Call


def test_version_and_help(call: Call) -> None:
    assert call("--version").stdout == f"polythink {__version__}\n"
    shown = call("--help").stdout
    assert all(f" {command} " in shown for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does(call: Call, command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert f"{command} [OPTIONS]" in result.stdout


@pytest.mark.parametrize(
    ("words", "slow"),
    [(["query", "SELECT 1"], ["ray", "anthropic", "altair", "sympy"]), (["list"], ["anthropic", "altair", "sympy"])],
    ids=["query", "list"],
)
def test_asking_the_archive_imports_nothing_slow(tmp_path: Path, words: list[str], slow: list[str]) -> None:
    (tmp_path / "jobs").mkdir()
    code = (
        "import sys; from typer.testing import CliRunner; from polythink.cli.main import app;"
        f"result = CliRunner().invoke(app, {words}); assert result.exit_code == 0;"
        f"sys.exit(' '.join(set({slow}) & set(sys.modules)) or 0)"
    )
    environment = os.environ | {"POLYTHINK_ARCHIVE": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        ["query", "SELECT 1"],
        ["show", "a/deep/1"],
        *(["list"], ["status", "sums"], ["watch", "sums"], ["wait", "sums"], ["logs", "sums"], ["cancel", "sums"]),
        *(["resume", "sums"], ["select", "sums"], ["report", "sums"]),
    ],
    ids=lambda command: command[0],
)
def test_a_mistyped_archive_is_bad_usage_and_is_not_made(call: Call, tmp_path: Path, command: list[str]) -> None:
    place = tmp_path / "archvie"
    result = call(*command, "--archive", str(place))
    assert result.exit_code == 2
    assert str(place) in result.stderr and "--archive or $POLYTHINK_ARCHIVE" in result.stderr
    assert not place.exists()


@pytest.mark.parametrize("output", ["table", "csv", "json", "markdown", "parquet"])
def test_a_reader_that_leaves_ends_a_command_without_a_word(tmp_path: Path, output: str) -> None:
    (tmp_path / "jobs").mkdir()
    words = ["query", f"SELECT hash(range) AS h FROM range({40_000 if output == 'parquet' else 8_000})"]
    command = [sys.executable, "-m", "polythink", *words, "--format", output, "--archive", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(4)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() in (0, 141), "0 where the system takes the rest of one large write"


def test_a_reader_that_leaves_before_the_first_word_is_no_error_either() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "polythink", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.stderr, done.returncode) == (b"", 141)


def test_plan_prices_without_writing(call: Call, job_file: Path) -> None:
    result = call("plan", str(job_file), "--json")
    plan = json.loads(result.stdout)
    assert (plan["samples"], plan["to_send"], plan["cap_usd"]) == (16, 16, 5)
    for arm in plan["arms"]:
        assert 0 < arm["low_usd"] <= arm["likely_usd"] <= arm["high_usd"]
    deep = next(arm for arm in plan["arms"] if arm["arm_id"] == "deep")
    assert deep["high_usd"] == pytest.approx(8 * (1024 + 4096) * 5e-6, rel=0.12)  # output price, plus a little input
    assert not (job_file.parent / "archive").exists()


def test_plan_counts_what_is_kept(call: Call, job_file: Path, job_id: str) -> None:
    call("resume", job_id)
    plan = json.loads(call("plan", str(job_file), "--json").stdout)
    assert plan["to_send"] == 0
    assert [arm["kept"] for arm in plan["arms"]] == [8, 8]


def test_resume_of_a_finished_journal_sends_nothing(call: Call, job_id: str) -> None:
    result = call("resume", "sums", "--json")
    state = json.loads(result.stdout)
    assert result.exit_code == 1, "a sample was given up"
    assert (state["status"], state["done"], state["failed"]) == ("done", 16, 1)
    assert state["spent_usd"] == pytest.approx(0.016)


def test_the_archive_of_a_job_file_is_found_beside_it_from_wherever_the_job_is_run(
    job_file: Path, job_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_file.write_text(f"{job_file.read_text()}archive: archive\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    result = CliRunner().invoke(app, ["run", f"../{job_file.name}"], env={"POLYTHINK_ARCHIVE": "another"})
    assert result.exit_code == 1, "a sample was given up"
    assert f"polythink report {job_id} --archive {tmp_path / 'archive'}" in result.stdout
    assert list(elsewhere.iterdir()) == []


def test_query_formats_agree(call: Call, job_id: str, tmp_path: Path) -> None:
    call("resume", job_id)
    sql = "SELECT outcome, count(*) AS n FROM traces GROUP BY ALL ORDER BY ALL"
    expected = [{"outcome": "answered", "n": 12}, {"outcome": "failed", "n": 1}, {"outcome": "no_answer", "n": 3}]
    assert json.loads(call("query", sql, "--format", "json").stdout) == expected
    rows = list(csv.DictReader(io.StringIO(call("query", sql, "--format", "csv").stdout)))
    assert [{"outcome": row["outcome"], "n": int(row["n"])} for row in rows] == expected
    parquet = call("query", sql, "--format", "parquet").stdout_bytes
    assert pq.read_table(io.BytesIO(parquet)).to_pylist() == expected
    assert call("query", sql, "--format", "markdown").stdout.splitlines()[2] == "| answered | 12 |"
    assert "answered" in call("query", sql).stdout


def test_a_wrong_query_is_bad_usage(call: Call, job_id: str) -> None:
    result = call("query", "SELECT nothing FROM traces")
    assert result.exit_code == 2
    assert "nothing" in result.stderr


def test_show_reads_a_trace_by_either_name_and_shows_what_cannot_be_seen(call: Call, job_id: str) -> None:
    call("resume", job_id)
    by_place = call("show", "a/deep/2")
    sample_id = json.loads(call("show", "a/deep/2", "--json").stdout)["sample_id"]
    assert call("show", sample_id).stdout == by_place.stdout
    assert "two and[U+001B][31m two" in by_place.stdout
    assert "answered: 5  (wrong; gold 4)" in by_place.stdout
    assert "simulated by the synthetic mind" in by_place.stdout
    assert "messages: too odd" in call("show", "b/deep/3").stdout


def test_show_of_no_trace_is_bad_usage(call: Call, job_id: str) -> None:
    result = call("show", "a/deep/99")
    assert result.exit_code == 2
    assert "no trace" in result.stderr


def test_select_again_from_the_archive_alone(call: Call, job_id: str) -> None:
    call("resume", job_id)
    result = json.loads(call("select", "sums", "--with", "first", "--with", "majority", "--json").stdout)
    assert result == {"job_id": job_id, "selectors": ["first", "majority"], "samples": 16, "selections": 8}
    sql = "SELECT DISTINCT selector, answer, votes, voters, abstained FROM selections ORDER BY ALL"
    chosen = json.loads(call("query", sql, "--format", "json").stdout)
    assert {(row["selector"], row["answer"]) for row in chosen} == {("first", "4"), ("majority", "4")}
    assert {(row["votes"], row["voters"]) for row in chosen if row["selector"] == "majority"} == {(2, 3)}


def test_an_unknown_selector_is_bad_usage_with_a_suggestion(call: Call, job_id: str) -> None:
    call("resume", job_id)
    result = call("select", "sums", "--with", "majorty")
    assert result.exit_code == 2
    assert "majority" in result.stderr


def test_report_writes_one_page(call: Call, job_id: str, tmp_path: Path) -> None:
    call("resume", job_id)
    page = tmp_path / "page.html"
    assert call("report", "sums", "-o", str(page)).stdout.strip() == str(page)
    assert "Simulated" in page.read_text(encoding="utf-8")


def test_every_error_of_a_job_file_at_once(call: Call, job_file: Path) -> None:
    job_file.write_text(job_file.read_text().replace("1024", "12").replace("samples: 4", "sampels: 4"))
    result = call("run", str(job_file), "--yes")
    assert result.exit_code == 2
    assert "arms[1].reasoning.budget_tokens" in result.stderr
    assert "did you mean `samples`" in result.stderr


def test_an_unknown_job_names_those_there_are(call: Call, job_id: str) -> None:
    result = call("resume", "summs")
    assert result.exit_code == 2
    assert job_id in result.stderr


def test_a_changed_job_is_refused_with_what_changed(call: Call, job_file: Path, job_id: str) -> None:
    job_file.write_text(job_file.read_text().replace("last_number", "boxed"))
    result = call("plan", str(job_file))
    assert result.exit_code == 2
    assert "answer: was" in result.stderr


def test_a_job_that_is_being_run_is_busy(call: Call, job_id: str, tmp_path: Path) -> None:
    from polythink.storage.archive import Archive

    with Archive(tmp_path / "archive").lock(job_id):
        result = call("resume", job_id)
    assert result.exit_code == 2
    assert "being run by process" in result.stderr
