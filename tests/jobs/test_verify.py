"""The audit finds every way in which an archive can say something that its raw traces do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from polythink.cli.main import app
from polythink.jobs.verify import verify_job
from polythink.simulator.process import SimulatorProcess
from polythink.storage import schema
from polythink.storage.archive import Archive
from polythink.storage.compaction import compact
from tests.running import job_file, run
from tests.s3 import Bucket

PROBLEMS = ("a", "b", "c")
ARMS = [
    {"id": "plain", "model": "claude-haiku-4-5", "reasoning": "none"},
    {"id": "deep", "model": "claude-haiku-4-5", "reasoning": {"budget_tokens": 1024}},
]
PROMPT = {"template": "{{ problem }} Put the answer in \\boxed{}."}
QUIET = ["--batch-seconds", "0.5", "--refusals", "0"]
JUDGED = ["majority", {"judge": {"model": "claude-haiku-4-5"}}]
Change = Callable[[pa.Table], pa.Table]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    folder = tmp_path_factory.mktemp("simulator")
    job_file(folder, "http://127.0.0.1:1", problems=PROBLEMS)  # for its problems
    plan = folder / "faults.yaml"
    faults = [{"kind": "overloaded", "probability": 0.1}, {"kind": "cut", "probability": 0.1}]
    plan.write_text(yaml.safe_dump({"faults": faults}))
    with SimulatorProcess.start(
        [*QUIET, "--faults", str(plan), "--problems", str(folder / "problems.jsonl")]
    ) as server:
        yield server


def verify(archive: Archive, job: str = "sums") -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings of the command."""
    result = CliRunner().invoke(app, ["verify", job, "--json", "--archive", archive.root])
    return result.exit_code, json.loads(result.stdout)


def checks(archive: Archive) -> set[str]:
    code, audits = verify(archive)
    found = {check for audit in audits for check in audit["differing"]}
    assert code == (5 if found else 0)
    return found


@pytest.fixture(scope="module")
def kept(simulator: SimulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a judged job that met faults."""
    folder = tmp_path_factory.mktemp("kept")
    archive = Archive(folder / "archive")
    path = job_file(folder, simulator.base_url, arms=ARMS, samples=6, problems=PROBLEMS, prompt=PROMPT, select=JUDGED)
    state, _ = run(archive, path)
    assert state.status == "done" and state.retries > 0
    return folder / "archive"


@pytest.fixture
def archive(kept: Path, tmp_path: Path) -> Archive:
    """A copy of it, to be spoiled."""
    for path in kept.rglob("*"):
        if path.is_file():
            target = tmp_path / "archive" / path.relative_to(kept)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return Archive(tmp_path / "archive")


def spoil(archive: Archive, table: schema.Table, change: Change) -> None:
    """Change the first part that has rows."""
    job_id = archive.resolve("sums")
    for part in archive.parts(table.name, job_id):
        rows = pq.read_table(pa.BufferReader(archive.store.get(str(part))))
        if rows.num_rows:
            archive.replace_part(table, job_id, part.stem.removeprefix("part-"), change(rows))
            return
    raise AssertionError(f"{table.name} has no rows")


def put(column: str, value: Any, where: str | None = None, equals: Any = None) -> Change:
    """Set a column in the first row (where another column has a value)."""

    def change(rows: pa.Table) -> pa.Table:
        values = rows[column].to_pylist()
        place = 0 if where is None else rows[where].to_pylist().index(equals)
        values[place] = value(values[place]) if callable(value) else value
        return rows.set_column(rows.schema.get_field_index(column), rows.schema.field(column), [values])

    return change


def test_a_job_that_was_run_whole_agrees_and_its_judging_too(archive: Archive) -> None:
    code, audits = verify(archive)
    assert (code, [audit["differing"] for audit in audits]) == (0, [{}, {}])
    sampled, judged = audits
    assert sampled["looked_at"]["reading"] == 36 and judged["looked_at"]["identity"] > 0
    assert sampled["looked_at"]["attempts"] > 36, "retries were made, and were looked at"
    assert {arm["arm_id"]: arm["samples"] for arm in sampled["arms"]} == {"plain": 18, "deep": 18}
    shown = CliRunner().invoke(app, ["verify", "sums", "--archive", archive.root])
    assert shown.exit_code == 0 and "agree" in shown.stdout and "differ" not in shown.stdout


SPOILED: dict[str, tuple[schema.Table, Change, set[str]]] = {
    "a lost trace": (schema.TRACES, lambda rows: rows.slice(1), {"attempts"}),
    "a doubled trace": (
        schema.TRACES,
        lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]),
        {"one trace per sample"},
    ),
    "another's id": (schema.TRACES, put("sample_id", "x"), {"identity", "attempts"}),
    "a problem that is not there": (schema.TRACES, put("problem_id", "z"), {"identity"}),
    "a changed text": (schema.TRACES, put("text", "no answer here"), {"text"}),
    "a changed thought": (schema.TRACES, put("thinking", "hm"), {"thinking"}),
    "a changed answer": (schema.TRACES, put("answer", "5"), {"answer"}),
    "a changed form": (schema.TRACES, put("canonical_answer", "5"), {"canonical_answer"}),
    "a changed verdict": (schema.TRACES, put("correct", lambda old: not old, "outcome", "answered"), {"correct"}),
    "a changed outcome": (schema.TRACES, put("outcome", "truncated"), {"outcome"}),
    "a changed score": (schema.TRACES, put("score", 0.5), {"score"}),
    "a cheaper trace": (schema.TRACES, put("cost_usd", lambda old: old / 2), {"attempts"}),
    "more tokens": (schema.TRACES, put("output_tokens", lambda old: old + 1), {"attempts"}),
    "a cheaper attempt": (schema.ATTEMPTS, put("cost_usd", 0.0, "status", "complete"), {"cost"}),
    "a lost attempt": (schema.ATTEMPTS, lambda rows: rows.filter(pc.not_equal(rows["status"], "retry")), {"state"}),
    "a doubled attempt": (schema.ATTEMPTS, lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]), {"attempts"}),
    "another winner": (schema.SELECTIONS, put("answer", "5"), {"selections"}),
    "a lost selection": (schema.SELECTIONS, lambda rows: rows.slice(1), {"selections"}),
    "a doubled selection": (
        schema.SELECTIONS,
        lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]),
        {"selections"},
    ),
    "another score": (schema.SCORES, put("score", 0.123), {"scores"}),
    "a lost score": (schema.SCORES, lambda rows: rows.slice(1), {"scores"}),
    "a better curve": (schema.CURVES, put("accuracy", 1.5), {"curves"}),
    "a wider band": (schema.CURVES, put("low", lambda old: old - 0.001), {"curves"}),
    "a wider gap": (schema.COVERAGE, put("gap", 1.5), {"coverage"}),
    "another comparison": (schema.COMPARISONS, put("p_value", 0.001), {"comparisons"}),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_was_spoiled_is_named(archive: Archive, name: str) -> None:
    table, change, expected = SPOILED[name]
    spoil(archive, table, change)
    found = checks(archive)
    assert expected <= found


def test_a_row_is_named_with_what_it_says_and_what_it_should(archive: Archive) -> None:
    spoil(archive, schema.TRACES, put("canonical_answer", "17"))
    _, [audit, _] = verify(archive)
    [difference] = [each for each in audit["differences"] if each["check"] == "canonical_answer"]
    assert difference["found"] == "17" and difference["where"].count("/") == 2 and difference["expected"] != "17"


def test_a_torn_part_and_an_unknown_schema_are_named(archive: Archive) -> None:
    job_id = archive.resolve("sums")
    first = archive.parts("traces", job_id)[0]
    data = archive.store.get(str(first)) or b""
    archive.store.put(str(first), data[: len(data) // 2])
    assert checks(archive) == {"parts"}
    archive.store.put(str(first), data)
    rows = pq.read_table(pa.BufferReader(data))
    sink = pa.BufferOutputStream()
    pq.write_table(rows.replace_schema_metadata({schema.VERSION_KEY: b"99"}), sink)
    archive.store.put(str(first), bytes(sink.getvalue()))
    assert checks(archive) == {"parts"}


def test_a_damaged_journal_line_is_named_and_a_torn_last_one_is_not(archive: Archive) -> None:
    name = archive.file(archive.resolve("sums"), "journal/000099.jsonl")
    archive.store.put(name, b"00000000 {}\n00000000 torn")
    code, [audit, _] = verify(archive)
    assert (code, audit["differing"]) == (5, {"journal": 1})
    archive.store.put(name, b"00000000 torn")
    code, [audit, _] = verify(archive)
    assert code == 0 and any("not in Parquet yet" in warning for warning in audit["warnings"])


def test_a_state_that_says_something_else_is_named(archive: Archive) -> None:
    job_id = archive.resolve("sums")
    state = json.loads(archive.read_text(job_id, "state.json") or "")
    archive.write_text(job_id, "state.json", json.dumps(state | {"done": state["done"] + 1, "spent_usd": 0.0}))
    _, [audit, _] = verify(archive)
    assert audit["differing"] == {"state": 2}


def test_a_compacted_job_agrees(archive: Archive) -> None:
    compact(archive, archive.resolve("sums"))
    assert checks(archive) == set()


def test_a_batch_job_agrees_until_a_batch_says_something_else(simulator: SimulatorProcess, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    run(archive, job_file(tmp_path, simulator.base_url, arms=ARMS, samples=2, lane="batch"))
    assert checks(archive) == set()
    spoil(archive, schema.BATCHES, put("succeeded", lambda old: old - 1))
    assert checks(archive) == {"batches"}
    spoil(archive, schema.BATCHES, put("cost_usd", lambda old: old * 2))
    assert checks(archive) == {"batches"}


def test_many_differences_are_all_counted_and_the_first_shown(archive: Archive) -> None:
    spoil(archive, schema.CURVES, lambda rows: pa.concat_tables([rows.slice(1), *[rows.slice(0, 1)] * 40_000]))
    spoil(archive, schema.COVERAGE, lambda rows: rows.slice(0, 0))
    code, [audit, _] = verify(archive)
    assert code == 5 and audit["differing"]["curves"] == 39_999
    shown = [each for each in audit["differences"] if each["check"] == "curves"]
    assert len(shown) == 20 and {each["found"] for each in shown} == {"a row twice"}
    absent = [each for each in audit["differences"] if each["check"] == "coverage"]
    assert len(absent) == 20 < audit["differing"]["coverage"]
    assert {(each["found"], each["expected"]) for each in absent} == {("none", "a row")}


def test_a_job_in_a_bucket_agrees(simulator: SimulatorProcess, bucket: Bucket, tmp_path: Path) -> None:
    archive = Archive(bucket.root)
    run(archive, job_file(tmp_path, simulator.base_url, samples=2))
    assert checks(archive) == set()


def test_imported_samples_agree_until_a_form_or_a_selection_does_not(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    rows = [
        {"question_id": question, "question": "?", "gold": "4", "sample_index": index, "answer": answer}
        for question in ("a", "b")
        for index, answer in enumerate(("4", "4.0", "5"))
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    imported = CliRunner().invoke(app, ["import", str(path), "--job", "sums", "--archive", archive.root])
    assert imported.exit_code == 0, imported.stderr
    assert checks(archive) == set()
    spoil(archive, schema.TRACES, put("canonical_answer", "9"))
    assert checks(archive) >= {"canonical_answer"}


def test_an_interrupted_job_is_audited_as_far_as_it_came(archive: Archive) -> None:
    job_id = archive.resolve("sums")
    state = json.loads(archive.read_text(job_id, "state.json") or "")
    archive.write_text(job_id, "state.json", json.dumps(state | {"status": "interrupted", "done": 3}))
    audit = verify_job(archive, job_id)[0]
    assert audit.agrees and any("were left out" in warning for warning in audit.warnings)
