"""What may wait goes by batches, what may not goes now, and what is with the API stays there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from polythink.errors import EndpointError, JobChangedError
from polythink.jobs.arms import expand
from polythink.jobs.control import Control
from polythink.jobs.lanes import batching_endpoints
from polythink.jobs.load import load_job
from polythink.jobs.run import run_job
from polythink.jobs.spec import Job
from polythink.jobs.verify import verify_job
from polythink.jobs.workload import store
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from polythink.storage.state import JobState
from tests.processes import wait_for
from tests.running import job_file, meter, one_row, run
from tests.scripted_batches import has_no_batches
from tests.scripted_server import Reply, Request, ScriptedServer

pytestmark = pytest.mark.usefixtures("one_ray")

NOON = 1_800_000_000.0  # 2027-01-15T08:00:00Z
VERTEX = {"provider": "vertex", "project": "p", "region": "global"}


def job(**changes: Any) -> Job:
    arms = [{"model": "claude-haiku-4-5", "reasoning": "none"}]
    return Job.model_validate({"name": "j", "problems": {"path": "p.jsonl"}, "arms": arms, "lane": "auto", **changes})


def batching(work: Job, *, is_pilot: bool = False) -> tuple[str, ...]:
    (arm,) = expand(work)
    return batching_endpoints(work, arm, now=NOON, is_pilot=is_pilot)


@pytest.mark.parametrize(
    ("changes", "endpoints"),
    [
        ({}, ("default",)),
        ({"cap": {"usd": 1.0}}, ("default",)),
        ({"cap": {"usd": 1.0, "deadline": "2027-01-16T08:00:01Z"}}, ("default",)),
        ({"cap": {"usd": 1.0, "deadline": "2027-01-16T08:00:00Z"}}, ()),
        ({"endpoint": VERTEX}, ()),
        ({"endpoint": {"one": {}, "other": VERTEX}}, ("one",)),
        ({"lane": "live"}, ()),
        ({"lane": "batch", "cap": {"usd": 1.0, "deadline": "2027-01-15T09:00:00Z"}}, ("default",)),
    ],
)
def test_what_may_wait_goes_by_batches(changes: dict[str, Any], endpoints: tuple[str, ...]) -> None:
    assert batching(job(**changes)) == endpoints


@pytest.mark.parametrize(("asked", "endpoints"), [("auto", ()), ("live", ()), ("batch", ("default",))])
def test_somebody_waits_for_a_pilot(asked: str, endpoints: tuple[str, ...]) -> None:
    assert batching(job(lane=asked), is_pilot=True) == endpoints


def test_an_auto_job_without_haste_is_sent_at_half_price(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with SimulatorProcess.start(["--batch-seconds", "1", "--refusals", "0"]) as simulator:
        state, _ = run(archive, job_file(tmp_path, simulator.base_url, lane="auto"))
        assert state.status == "done"
        assert one_row(archive, "SELECT DISTINCT lane FROM traces") == {"lane": "batch"}
        assert meter(simulator.base_url)["requests"] == 30


TWO_ARMS = [
    {"id": "waits", "model": "claude-haiku-4-5", "reasoning": "none", "endpoint": "default"},
    {"id": "goes", "model": "claude-haiku-4-5", "reasoning": "none", "endpoint": "other"},
]
BY_LANE = "SELECT arm_id, lane, count(*) AS n FROM traces GROUP BY ALL ORDER BY ALL"


def two_endpoints(base_url: str, other_url: str | None = None) -> dict[str, Any]:
    """One that takes batches, and one of a provider that has none."""
    other = {
        "provider": "foundry",
        "base_url": other_url or base_url,
        "api_key_env": "PATH",
    }  # which is set in every process
    return {"default": {"base_url": base_url}, "other": other}


def test_each_arm_of_an_auto_job_goes_on_its_own_lane(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with SimulatorProcess.start(["--batch-seconds", "2", "--refusals", "0"]) as simulator:
        path = job_file(
            tmp_path, simulator.base_url, lane="auto", arms=TWO_ARMS, endpoint=two_endpoints(simulator.base_url)
        )
        state, _ = run(archive, path)
        assert (state.status, state.done) == ("done", 60)
        assert meter(simulator.base_url)["requests"] == 60
    assert archive.sql(BY_LANE).to_pylist() == [
        {"arm_id": "goes", "lane": "live", "n": 30},
        {"arm_id": "waits", "lane": "batch", "n": 30},
    ]
    assert is_sound(archive)


def test_batches_under_way_are_awaited_while_the_rest_goes_live(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with SimulatorProcess.start(["--batch-seconds", "12", "--refusals", "0"]) as simulator:
        state = interrupted(archive, job_file(tmp_path, simulator.base_url, lane="batch"))
        assert (state.status, state.done) == ("interrupted", 0)
        states: list[JobState] = []
        state, _ = run(archive, job_file(tmp_path, simulator.base_url, lane="live", samples=20), states=states)
        assert (state.status, state.done) == ("done", 60)
        assert any(30 <= each.done < 60 and each.in_flight == 30 for each in states)
        assert meter(simulator.base_url)["requests"] == 60
    assert archive.sql(BY_LANE).to_pylist() == [
        {"arm_id": "plain", "lane": "batch", "n": 30},
        {"arm_id": "plain", "lane": "live", "n": 30},
    ]
    assert is_sound(archive)


def test_an_endpoint_that_has_a_batch_is_not_forgotten(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with SimulatorProcess.start(["--batch-seconds", "30", "--refusals", "0"]) as simulator:
        url = simulator.base_url
        assert interrupted(archive, job_file(tmp_path, url, lane="batch")).status == "interrupted"
        for moved in ({"new": {"base_url": url}}, {"default": two_endpoints(url)["other"]}):
            with pytest.raises(
                JobChangedError, match=r"batch 1 \(msgbatch_\w+\) .* endpoint default, .* name it there"
            ):
                run(archive, job_file(tmp_path, url, lane="live", samples=20, endpoint=moved))
        assert meter(url)["requests"] == 0, "nothing was sent"


def test_what_is_in_flight_comes_in_where_batches_cannot_go_on(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")

    def has_none_once_others_are_under_way(request: Request) -> Reply:
        wait_for(lambda: meter(simulator.base_url)["requests"] > 0, "a live request")
        return has_no_batches(request)

    with (
        SimulatorProcess.start(["--refusals", "0", "--latency", "2"]) as simulator,
        ScriptedServer(has_none_once_others_are_under_way) as first,
    ):
        endpoints = two_endpoints(first.base_url, simulator.base_url)
        path = job_file(tmp_path, "", lane="auto", arms=TWO_ARMS, endpoint=endpoints)
        with pytest.raises(EndpointError, match="takes no message batches"):
            run(archive, path)
        served = meter(simulator.base_url)["requests"]
        assert served > 0
        assert archive.sql(BY_LANE).to_pylist() == [{"arm_id": "goes", "lane": "live", "n": served}]


def interrupted(archive: Archive, path: Path) -> JobState:
    """A run that is stopped once its batch has an id."""
    work = store(archive, load_job(path))
    control = Control(archive, work.job_id)

    def watch(state: JobState) -> None:
        if one_row(archive, "SELECT count(batch_id) AS n FROM batches")["n"]:
            control.stop()

    return run_job(archive, work, watch=watch, control=control)


def is_sound(archive: Archive) -> bool:
    return [audit.differences for audit in verify_job(archive, archive.job_ids()[-1])] == [()]
