"""A submitted job keeps to the server that its submitter meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from polythink.errors import SpecError
from polythink.jobs.load import LoadedJob, load_job_model
from polythink.jobs.spec import Job
from polythink.jobs.submit import pin_base_url

SERVER = "http://127.0.0.1:9"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "problems.jsonl").write_text('{"id": "a", "problem": "2 + 3?", "answer": "5"}\n', encoding="utf-8")
    return tmp_path


def loaded(folder: Path, **endpoints: dict[str, str]) -> LoadedJob:
    """A job over these endpoints; over the one that every job has if there are none."""
    arm = {"model": "claude-haiku-4-5", "reasoning": "none"} | (
        {"endpoint": next(iter(endpoints))} if endpoints else {}
    )
    fields: dict[str, Any] = {"name": "tiny", "problems": {"path": "problems.jsonl"}, "arms": [arm]}
    return load_job_model(Job.model_validate(fields | ({"endpoint": endpoints} if endpoints else {})), folder)


def urls(job: LoadedJob) -> dict[str, str | None]:
    return {name: endpoint.base_url for name, endpoint in job.job.endpoints.items()}


def test_the_submitters_server_is_written_into_endpoints_that_name_none(folder: Path) -> None:
    assert urls(pin_base_url(loaded(folder), {"ANTHROPIC_BASE_URL": SERVER})) == {"default": SERVER}


def test_an_endpoint_with_a_server_of_its_own_keeps_it(folder: Path) -> None:
    job = loaded(folder, own={"base_url": "http://10.0.0.1:1"}, other={})
    assert urls(pin_base_url(job, {"ANTHROPIC_BASE_URL": SERVER})) == {"own": "http://10.0.0.1:1", "other": SERVER}


def test_without_a_server_in_the_environment_nothing_changes(folder: Path) -> None:
    job = loaded(folder)
    assert pin_base_url(job, {}) is job


def test_a_password_in_the_environments_server_is_refused_and_not_shown(folder: Path) -> None:
    with pytest.raises(SpecError) as refusal:
        pin_base_url(loaded(folder), {"ANTHROPIC_BASE_URL": "http://me:hunter2@host"})
    assert "ANTHROPIC_BASE_URL" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
