"""A run that ended at a cap says which command goes on; typed in, it does."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from polythink.cli.going_on import command_to_go_on
from polythink.jobs.purse import LATER_DEADLINE, RAISE_TOKENS, RAISE_USD
from polythink.jobs.workload import stored_job
from polythink.storage.archive import Archive
from tests.cli.conftest import Call

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize(
    ("reason", "option", "cap"),
    [
        (RAISE_USD, "--cap-usd 10.00", {"usd": 10.0}),
        (RAISE_TOKENS, "--cap-output-tokens 1400", {"output_tokens": 1400}),
        (LATER_DEADLINE, "--deadline 2027-01-16T08:00:00Z", {"deadline_at": NOW + 86_400}),
        ("no endpoint answers", "", {"usd": 5.0, "output_tokens": 700}),
    ],
    ids=["usd", "output_tokens", "deadline", "other"],
)
def test_it_raises_the_cap_that_was_reached(
    call: Call, job_id: str, tmp_path: Path, reason: str, option: str, cap: dict[str, float]
) -> None:
    assert call("resume", job_id, "--cap-output-tokens", "700").exit_code == 1, "a sample was given up"
    archive = Archive(tmp_path / "archive")
    state = archive.state(job_id)
    assert state is not None
    command = command_to_go_on(archive, replace(state, status="stopped", reason=f"no room; {reason}"), NOW)
    assert command == f"polythink resume {job_id} --archive {archive.root} {option}".rstrip()
    assert call(*shlex.split(command)[1:]).exit_code == 1, "a sample was given up"
    kept = stored_job(archive, job_id).cap
    assert {name: getattr(kept, name) for name in cap} == cap


def test_there_is_none_for_what_sends_nothing(job_id: str, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    state = archive.state(job_id)
    assert state is not None
    assert command_to_go_on(archive, replace(state, status="done"), NOW) is None
    assert command_to_go_on(archive, replace(state, status="imported"), NOW) is None
