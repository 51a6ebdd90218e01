"""One arm over several endpoints: work flows to whichever has room, and away from one that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from polythink.jobs.control import Control
from polythink.jobs.load import load_job
from polythink.jobs.requests import Requests
from polythink.jobs.run import run_job
from polythink.jobs.workload import recall, store
from polythink.records import SampleKey
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from polythink.storage.state import JobState
from tests.running import EXACTLY_ONCE, job_file, meter, one_row, run
from tests.scripted_server import ScriptedServer, message_events, refusal, streamed

pytestmark = pytest.mark.usefixtures("one_ray")

WHOLE = streamed(message_events())
REFUSED = refusal(401, "authentication_error", "invalid bearer token")
SHARES = "SELECT endpoint, count(*) AS n FROM traces GROUP BY ALL ORDER BY ALL"


def over(folder: Path, endpoints: dict[str, str], **changes: Any) -> Path:
    """A job whose one arm may be answered by any of the endpoints."""
    arm = {"id": "plain", "model": "claude-haiku-4-5", "reasoning": "none", "endpoint": list(endpoints)}
    named = {name: {"base_url": base_url} for name, base_url in endpoints.items()}
    return job_file(folder, "", arms=[arm], endpoint=named, **changes)


def shares(archive: Archive) -> dict[str, int]:
    return {row["endpoint"]: row["n"] for row in archive.sql(SHARES).to_pylist()}


def limited(per_minute: int) -> SimulatorProcess:
    return SimulatorProcess.start(["--requests-per-minute", str(per_minute), "--burst-seconds", "1"])


def test_shares_follow_the_limits_and_no_sample_is_asked_for_twice(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with limited(300) as slow, limited(1200) as fast:
        state, _ = run(archive, over(tmp_path, {"slow": slow.base_url, "fast": fast.base_url}, samples=80))
        asked = [meter(each.base_url)["completed"] for each in (slow, fast)]
    assert (state.status, state.done, state.failed) == ("done", 240, 0)
    assert one_row(archive, EXACTLY_ONCE) == {"rows": 240, "samples": 240, "failed": 0}
    assert shares(archive) == {"slow": asked[0], "fast": asked[1]}
    assert sum(asked) == 240
    assert 0.10 <= asked[0] / 240 <= 0.33, "a fifth, by the limits"


def test_when_one_dies_the_rest_flows_to_the_other(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with limited(600) as first, limited(900) as second:
        path = over(tmp_path, {"first": first.base_url, "second": second.base_url}, samples=100)
        work = store(archive, load_job(path))

        def watch(state: JobState) -> None:
            if state.done >= 50:
                first.stop()

        state = run_job(archive, work, watch=watch, control=Control(archive, work.job_id))
    assert (state.status, state.done, state.failed) == ("done", 300, 0)
    assert one_row(archive, EXACTLY_ONCE) == {"rows": 300, "samples": 300, "failed": 0}
    assert shares(archive)["second"] > 150 > shares(archive)["first"] > 0


def test_an_endpoint_that_refuses_is_left_out_as_long_as_another_serves(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with ScriptedServer(lambda request: REFUSED) as closed, ScriptedServer(lambda request: WHOLE) as open_one:
        state, _ = run(archive, over(tmp_path, {"closed": closed.base_url, "open": open_one.base_url}))
        assert len(closed.requests) <= 2 * 8, "only what was in flight or on its way"
    assert (state.status, state.done, state.failed) == ("done", 30, 0)
    assert shares(archive) == {"open": 30}
    assert any("endpoint closed" in warning and "invalid bearer token" in warning for warning in state.warnings)


def test_it_ends_when_every_endpoint_of_an_arm_refuses(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with ScriptedServer(lambda request: REFUSED) as one, ScriptedServer(lambda request: REFUSED) as two:
        state, _ = run(archive, over(tmp_path, {"one": one.base_url, "two": two.base_url}))
    assert (state.status, state.reason) == ("stopped", "the API refuses: invalid bearer token")
    assert state.done == 0


def test_an_endpoint_may_join_a_job_that_has_begun(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with ScriptedServer(lambda request: WHOLE) as one, ScriptedServer(lambda request: WHOLE) as two:
        _, first = run(archive, over(tmp_path, {"one": one.base_url}, samples=2))
        state, second = run(archive, over(tmp_path, {"one": one.base_url, "two": two.base_url}, samples=30))
        assert (state.status, state.done) == ("done", 90)
        assert len(one.requests) + len(two.requests) == 90 and two.requests
    assert (first.job_id, second.arms[0].endpoints) == (second.job_id, ("one", "two"))
    assert recall(archive, second.job_id).arms == second.arms


def test_the_worst_case_is_that_of_the_dearest_endpoint(tmp_path: Path) -> None:
    dear = {"base_url": "http://dear", "prices": {"input": 100.0, "output": 500.0}}
    arm = {"id": "plain", "model": "claude-haiku-4-5", "reasoning": "none"}
    key = SampleKey(problem_id="a", arm_id="plain", sample_index=0)
    worst: dict[str, float] = {}
    for names in (["dear"], ["cheap"], ["cheap", "dear"]):
        endpoint = {"cheap": {"base_url": "http://cheap"}, "dear": dear}
        path = job_file(tmp_path, "", arms=[{**arm, "endpoint": names}], endpoint=endpoint)
        work = store(Archive(tmp_path / "".join(names)), load_job(path))
        worst["".join(names)] = Requests(work).worst_case_usd(key)
    assert worst["cheapdear"] == worst["dear"] > worst["cheap"]
