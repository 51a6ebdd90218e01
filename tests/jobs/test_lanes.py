"""What may wait goes by batches, what may not goes now, and what is with the API stays there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from polythink.jobs.lanes import lane_of
from polythink.jobs.spec import Job
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from tests.running import job_file, meter, one_row, run

NOON = 1_800_000_000.0  # 2027-01-15T08:00:00Z
VERTEX = {"provider": "vertex", "project": "p", "region": "global"}


def job(**changes: Any) -> Job:
    arms = [{"model": "claude-haiku-4-5", "reasoning": "none"}]
    return Job.model_validate({"name": "j", "problems": {"path": "p.jsonl"}, "arms": arms, "lane": "auto", **changes})


@pytest.mark.parametrize(
    ("changes", "lane"),
    [
        ({}, "batch"),
        ({"cap": {"usd": 1.0}}, "batch"),
        ({"cap": {"usd": 1.0, "deadline": "2027-01-16T08:00:01Z"}}, "batch"),
        ({"cap": {"usd": 1.0, "deadline": "2027-01-16T08:00:00Z"}}, "live"),
        ({"endpoint": VERTEX}, "live"),
        ({"endpoint": {"one": {}, "other": VERTEX}}, "live"),
        ({"lane": "live"}, "live"),
        ({"lane": "batch", "cap": {"usd": 1.0, "deadline": "2027-01-15T09:00:00Z"}}, "batch"),
    ],
)
def test_what_may_wait_goes_by_batches(changes: dict[str, Any], lane: str) -> None:
    assert lane_of(job(**changes), now=NOON, has_open_batches=False) == lane


@pytest.mark.parametrize(("asked", "lane"), [("auto", "live"), ("live", "live"), ("batch", "batch")])
def test_somebody_waits_for_a_pilot(asked: str, lane: str) -> None:
    assert lane_of(job(lane=asked), now=NOON, has_open_batches=False, is_pilot=True) == lane


@pytest.mark.parametrize("lane", ["live", "batch", "auto"])
def test_a_job_with_batches_at_the_api_stays_with_them(lane: str) -> None:
    assert lane_of(job(lane=lane, endpoint=VERTEX), now=NOON, has_open_batches=True) == "batch"


def test_an_auto_job_without_haste_is_sent_at_half_price(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with SimulatorProcess.start(["--batch-seconds", "1", "--refusals", "0"]) as simulator:
        state, _ = run(archive, job_file(tmp_path, simulator.base_url, lane="auto"))
        assert state.status == "done"
        assert one_row(archive, "SELECT DISTINCT lane FROM traces") == {"lane": "batch"}
        assert meter(simulator.base_url)["requests"] == 30
