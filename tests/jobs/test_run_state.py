"""What the state of a job says of the run it is in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from polythink.jobs.liveness import SUBMISSION_VARIABLE
from polythink.jobs.load import load_job
from polythink.jobs.workload import store
from polythink.records import Attempt, SampleKey
from polythink.storage.archive import Archive
from polythink.storage.journal import encode
from polythink.storage.state import JobState
from tests.running import EXACTLY_ONCE, job_file, one_row, run
from tests.scripted_server import ScriptedServer, message_events, streamed

pytestmark = pytest.mark.usefixtures("one_ray")


@pytest.mark.parametrize(("started_as", "kept"), [(None, None), ("sums.old", None), ("sums.1", "sums.1")])
def test_only_the_driver_of_a_submission_is_looked_for_where_it_was_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started_as: str | None, kept: str | None
) -> None:
    archive, states = Archive(tmp_path / "archive"), list[JobState]()
    with ScriptedServer(lambda request: streamed(message_events())) as server:
        path = job_file(tmp_path, server.base_url, problems=("a",), samples=1, workers=1)
        state, _ = run(archive, path)
        archive.write_state(replace(state, status="submitted", address="http://far:8265", submission_id="sums.1"))
        if started_as:
            monkeypatch.setenv(SUBMISSION_VARIABLE, started_as)
        run(archive, path, states=states)
    assert {state.submission_id for state in states} == {kept}
    assert {state.address for state in states} == {"http://far:8265" if kept else None}


def attempt(index: int) -> Attempt:
    return Attempt(
        key=SampleKey(problem_id="a", arm_id="plain", sample_index=index),
        number=1,
        status="complete",
        lane="live",
        endpoint="default",
        queued_at=0.0,
        started_at=1.0,
        finished_at=2.0,
        http_status=200,
    )


def test_damaged_journal_lines_are_told_with_their_file_and_number(tmp_path: Path) -> None:
    archive, states = Archive(tmp_path / "archive"), list[JobState]()
    with ScriptedServer(lambda request: streamed(message_events())) as server:
        work = store(archive, load_job(job_file(tmp_path, server.base_url, problems=("a",), samples=5, workers=1)))
        journal = Path(archive.root) / archive.file(work.job_id, "journal/000001.jsonl")
        journal.parent.mkdir()
        lines = [encode(attempt(index)) for index in range(4)]
        journal.write_bytes(lines[0] + lines[1].replace(b"complete", b"complote") + lines[2] + lines[3][:-9])
        run(archive, tmp_path / "job.yaml", states=states)
        assert len(server.requests) == 3, "what was damaged or torn, and what was never sent"
        told = f"journal {journal}: 2 lines were torn or damaged and skipped; samples they finished are owed again"
        assert [state.warnings for state in states if state.done] == [(told,)] * len(states[1:])
        assert archive.state(work.job_id) == states[-1]
        state, _ = run(archive, tmp_path / "job.yaml")
    assert state.warnings == (), "of this run, not of an earlier one"
    assert one_row(archive, EXACTLY_ONCE) == {"rows": 5, "samples": 5, "failed": 0}
