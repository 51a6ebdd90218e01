"""What the state of a job says of the run it is in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from polythink.jobs.liveness import SUBMISSION_VARIABLE
from polythink.storage.archive import Archive
from polythink.storage.state import JobState
from tests.running import job_file, run
from tests.scripted_server import ScriptedServer, message_events, streamed


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
