"""A verdict holds for what the judge was shown: other samples, or another reading of them, are judged anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from polythink.jobs.importing import import_samples
from polythink.jobs.judging import judging_rounds
from polythink.jobs.selection import select, select_anew
from polythink.jobs.workload import recall
from polythink.selectors.registry import parse_selector
from polythink.storage import schema
from polythink.storage.archive import Archive

MODEL = "claude-haiku-4-5"
KINDS = ("judge", "pairwise", "knockout", "swiss", "genselect", "consistency")
PICKED = "SELECT problem_id, winner_index, answer FROM selections WHERE selector = ? ORDER BY problem_id"
FIRST = ["4 it is: \\boxed{4}, or 5", "\\boxed{6}, or 7", "\\boxed{8}, or 9"]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def brought(archive: Archive, texts: list[str], *, extract: str = "boxed", question: str = "2 + 2?") -> str:
    path = Path(archive.root).parent / "samples.jsonl"
    rows = [
        {"question_id": problem, "question": f"({problem}) {question}", "gold": "4", "completion": text}
        for problem in ("a", "b")
        for text in texts
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rule = {"extract": extract, "equivalence": "number"}
    return import_samples(archive, "theirs", [path], names={}, answer=rule).job_id


def heard_out(archive: Archive, job_id: str, kind: str) -> int:
    """Answer all that the judge asks, always for the candidate shown first; returns how much that was."""
    asked = 0
    for derived in judging_rounds(archive, recall(archive, job_id), parse_selector({kind: {"model": MODEL}})):
        kept = archive.sql("SELECT problem_id FROM traces WHERE job_id = ?", [derived.job_id])["problem_id"].to_pylist()
        new = {problem.problem_id for problem in derived.problems} - set(kept)
        assert new, "a round that asks nothing new never ends"
        reply = {"arm_id": "judge", "sample_index": 0, "outcome": "answered", "answer": "1"}
        rows = [{"sample_id": problem_id, "problem_id": problem_id, **reply} for problem_id in sorted(new)]
        part = f"heard-{len(archive.parts(schema.TRACES.name, derived.job_id))}"
        archive.replace_part(
            schema.TRACES, derived.job_id, part, pa.Table.from_pylist(rows, schema=schema.TRACES.arrow)
        )
        asked += len(new)
    return asked


def picked(archive: Archive, job_id: str, kind: str) -> list[dict[str, Any]]:
    select(archive, recall(archive, job_id), [{kind: {"model": MODEL}}])
    return list(archive.sql(PICKED, [kind]).to_pylist())


@pytest.mark.parametrize("kind", KINDS)
def test_other_samples_of_the_same_problems_are_asked_about_and_the_first_are_still_known(
    archive: Archive, kind: str
) -> None:
    job_id = brought(archive, FIRST)
    asked = heard_out(archive, job_id, kind)
    assert asked > 0
    before = picked(archive, job_id, kind)
    assert len(before) == 2
    assert brought(archive, ["\\boxed{1}", "\\boxed{2}", "\\boxed{3}"]) == job_id
    assert picked(archive, job_id, kind) == [], "nobody has judged these"
    assert heard_out(archive, job_id, kind) > 0
    assert len(picked(archive, job_id, kind)) == 2
    brought(archive, FIRST)
    assert picked(archive, job_id, kind) == before
    assert heard_out(archive, job_id, kind) == 0, "a prompt that was answered is not sent again"


@pytest.mark.parametrize("changes", [{"extract": "last_number"}, {"question": "2 * 2?"}])
def test_a_verdict_on_another_answer_or_question_does_not_hold(archive: Archive, changes: dict[str, str]) -> None:
    job_id = brought(archive, FIRST)
    heard_out(archive, job_id, "judge")
    assert len(picked(archive, job_id, "judge")) == 2
    brought(archive, FIRST, **changes)
    select_anew(archive, recall(archive, job_id))
    assert archive.sql(PICKED, ["judge"]).to_pylist() == []


def test_of_more_samples_only_the_new_ones_are_asked_about(archive: Archive) -> None:
    job_id = brought(archive, FIRST)
    assert heard_out(archive, job_id, "judge") == 2 * 3
    brought(archive, [*FIRST, "\\boxed{3}"])
    assert heard_out(archive, job_id, "judge") == 2


def test_verdicts_by_the_ids_of_an_earlier_version_are_passed_over(archive: Archive) -> None:
    job_id = brought(archive, FIRST)
    heard_out(archive, job_id, "judge")
    (derived,) = archive.sql("SELECT job_id FROM jobs WHERE parent_job_id = ?", [job_id])["job_id"].to_pylist()
    for table in (schema.TRACES, schema.PROBLEMS):
        rows = archive.sql(f"SELECT * EXCLUDE (job_id) FROM {table.name} WHERE job_id = ?", [derived])
        older = [row | {"problem_id": row["problem_id"].partition("~")[0]} for row in rows.to_pylist()]
        for part in archive.parts(table.name, derived):
            archive.forget_part(part)
        archive.replace_part(table, derived, "all", pa.Table.from_pylist(older, schema=table.arrow))
    assert picked(archive, job_id, "judge") == []
    assert heard_out(archive, job_id, "judge") == 2 * 3
    assert len(picked(archive, job_id, "judge")) == 2
