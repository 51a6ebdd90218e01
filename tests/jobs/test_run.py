"""A whole run against the simulator: every sample once, every number equal, whoever is killed when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from polythink.errors import JobBusyError, JobChangedError
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from polythink.storage.segments import segments
from polythink.storage.state import JobState
from tests.processes import is_alive, wait_for, workers_of
from tests.running import EXACTLY_ONCE, job_file, meter, one_row, run

pytestmark = pytest.mark.usefixtures("one_ray")

ROOT = Path(__file__).parents[2]
ARMS = [
    {"id": "plain", "model": "claude-haiku-4-5", "reasoning": "none"},
    {"id": "thinking", "model": "claude-haiku-4-5", "reasoning": {"budget_tokens": 1024}},
]


@dataclass(frozen=True)
class Ran:
    """A finished job, its last state, and the simulator's account of it."""

    archive: Archive
    path: Path
    state: JobState
    states: list[JobState]
    base_url: str


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("whole")
    with SimulatorProcess.start() as simulator:
        archive, states = Archive(folder / "archive"), list[JobState]()
        path = job_file(folder, simulator.base_url, arms=ARMS, select=["majority", "first"])
        state, _ = run(archive, path, states=states)
        yield Ran(archive, path, state, states, simulator.base_url)


def test_every_sample_has_exactly_one_trace(ran: Ran) -> None:
    assert (ran.state.status, ran.state.reason) == ("done", None)
    assert one_row(ran.archive, EXACTLY_ONCE) == {"rows": 60, "samples": 60, "failed": 0}
    assert (ran.state.done, ran.state.total, ran.state.failed, ran.state.in_flight) == (60, 60, 0, 0)
    assert {arm: (progress.done, progress.total) for arm, progress in ran.state.arms.items()} == {
        "plain": (30, 30),
        "thinking": (30, 30),
    }


def test_the_archive_and_the_simulator_account_for_the_same(ran: Ran) -> None:
    served = meter(ran.base_url)
    query = "SELECT count(*) AS n, sum(input_tokens) AS i, sum(output_tokens) AS o, sum(thinking_tokens) AS t"
    kept = one_row(ran.archive, f"{query}, sum(cost_usd) AS usd FROM attempts")
    assert kept["n"] == served["requests"] == served["completed"]
    assert (kept["i"], kept["o"], kept["t"]) == tuple(
        served[name] for name in ("input_tokens", "output_tokens", "thinking_tokens")
    )
    assert kept["usd"] == pytest.approx(served["cost_usd"], abs=1e-6)
    assert ran.state.spent_usd == pytest.approx(served["cost_usd"], abs=1e-6)
    assert ran.state.output_tokens == kept["o"]
    samples = {row["sample_id"] for row in ran.archive.sql("SELECT sample_id FROM traces").to_pylist()}
    assert samples == set(served["samples"])


def test_the_view_of_jobs_says_what_the_run_said(ran: Ran) -> None:
    row = one_row(ran.archive, "SELECT status, total, done, failed, spent_usd FROM jobs")
    assert row == {
        "status": "done",
        "total": 60,
        "done": 60,
        "failed": 0,
        "spent_usd": ran.state.spent_usd,
    }
    assert [state.status for state in (ran.states[0], ran.states[-1])] == ["running", "done"]


def test_rows_say_that_a_simulator_answered_and_times_are_in_order(ran: Ran) -> None:
    row = one_row(
        ran.archive,
        "SELECT bool_and(simulated) AS labelled, min(simulator) AS mind, "
        "bool_and(queued_at <= started_at AND started_at <= first_token_at AND first_token_at <= finished_at) "
        "AS ordered FROM traces",
    )
    assert row == {"labelled": True, "mind": "synthetic", "ordered": True}


def test_votes_and_curves_come_with_the_end(ran: Ran) -> None:
    selections = one_row(ran.archive, "SELECT count(*) AS n, count(DISTINCT selector) AS selectors FROM selections")
    assert selections == {"n": 3 * 2 * 2, "selectors": 2}
    assert one_row(ran.archive, "SELECT max(n) AS n FROM curves WHERE selector = 'pass'") == {"n": 10}


def test_no_key_is_anywhere_in_the_archive(ran: Ran) -> None:
    key = os.environ["ANTHROPIC_API_KEY"].encode()
    files = [path for path in Path(ran.archive.root).rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if key in path.read_bytes()] == []


def test_running_a_finished_job_again_sends_nothing(ran: Ran) -> None:
    before = meter(ran.base_url)["requests"]
    state, _ = run(ran.archive, ran.path)
    assert state.status == "done"
    assert meter(ran.base_url)["requests"] == before


def test_less_than_was_kept_is_refused_and_nothing_is_lost(ran: Ran, tmp_path: Path) -> None:
    fewer = job_file(tmp_path, ran.base_url, arms=ARMS, samples=9, select=["majority", "first"])
    with pytest.raises(JobChangedError, match="samples: was 10, is 9"):
        run(ran.archive, fewer)
    assert one_row(ran.archive, EXACTLY_ONCE)["rows"] == 60


def test_asking_for_more_sends_only_the_difference(ran: Ran, tmp_path: Path) -> None:
    before = meter(ran.base_url)["requests"]
    more = job_file(tmp_path, ran.base_url, problems=("a", "b", "c", "d"), arms=ARMS, samples=11)
    state, _ = run(ran.archive, more)
    assert state.status == "done"
    assert meter(ran.base_url)["requests"] - before == 4 * 2 * 11 - 60
    assert one_row(ran.archive, EXACTLY_ONCE) == {"rows": 88, "samples": 88, "failed": 0}


def test_a_cap_ends_the_run_within_it_and_raising_it_goes_on(tmp_path: Path) -> None:
    with SimulatorProcess.start() as simulator:
        archive = Archive(tmp_path / "archive")
        capped = job_file(tmp_path, simulator.base_url, cap={"usd": 0.02}, samples=40)
        state, _ = run(archive, capped)
        assert state.status == "stopped" and state.reason is not None and "raise cap.usd" in state.reason
        assert 0 < state.done < state.total
        assert meter(simulator.base_url)["cost_usd"] <= 0.02
        assert one_row(archive, "SELECT count(*) AS n FROM selections")["n"] == 3, "usable as it is"
        state, _ = run(archive, job_file(tmp_path, simulator.base_url, cap={"usd": 5.0}, samples=40))
        assert state.status == "done"
        assert one_row(archive, EXACTLY_ONCE) == {"rows": 120, "samples": 120, "failed": 0}
        assert meter(simulator.base_url)["requests"] == 120


def test_concurrency_follows_by_itself_where_nobody_tells_of_limits(tmp_path: Path) -> None:
    with SimulatorProcess.start(["--latency", "0.5"]) as simulator:
        archive = Archive(tmp_path / "archive")
        path = job_file(tmp_path, simulator.base_url, samples=400, concurrency="auto")
        state, _ = run(archive, path)
    assert state.status == "done"
    assert one_row(archive, EXACTLY_ONCE) == {"rows": 1200, "samples": 1200, "failed": 0}
    at_once = """
        SELECT sum(epoch(finished_at) - epoch(started_at)) / (max(epoch(finished_at)) - min(epoch(started_at))) AS n
        FROM traces WHERE started_at > (SELECT quantile_cont(started_at, 0.5) FROM traces)
    """
    assert one_row(archive, at_once)["n"] > 24, "three times what it began with"


def test_a_worker_killed_in_the_middle_costs_no_sample(tmp_path: Path) -> None:
    with SimulatorProcess.start(["--latency", "0.3"]) as simulator:
        archive = Archive(tmp_path / "archive")
        path = job_file(tmp_path, simulator.base_url, samples=40)
        killed: list[int] = []

        def kill_a_worker() -> None:
            wait_for(lambda: meter(simulator.base_url)["completed"] >= 20, "20 replies")
            killed.extend(workers_of(os.getpid())[:1])
            os.kill(killed[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_a_worker)
        killer.start()
        state, _ = run(archive, path)
        killer.join()
        assert killed
        assert state.status == "done"
        assert one_row(archive, EXACTLY_ONCE) == {"rows": 120, "samples": 120, "failed": 0}
        assert meter(simulator.base_url)["requests"] <= 120 + 8


def started_driver(archive: Archive, path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.running", str(archive.root), str(path)], cwd=ROOT, start_new_session=True
    )


def test_a_driver_killed_twice_pays_only_for_what_was_in_flight(tmp_path: Path) -> None:
    in_flight, total = 8, 3 * 60
    with SimulatorProcess.start(["--latency", "0.3"]) as simulator:
        archive = Archive(tmp_path / "archive")
        path = job_file(tmp_path, simulator.base_url, samples=60)
        for kills in (1, 2):
            driver = started_driver(archive, path)
            wait_for(lambda target=kills * 50: meter(simulator.base_url)["completed"] >= target, "replies")  # type: ignore[misc]
            if kills == 1:
                with pytest.raises(JobBusyError, match=str(driver.pid)):
                    run(archive, path)
            workers = workers_of(driver.pid)
            assert workers
            driver.kill()
            driver.wait()
            killed_at = time.monotonic()
            wait_for(lambda pids=workers: not any(map(is_alive, pids)), "the end of its workers")  # type: ignore[misc]
            assert time.monotonic() - killed_at < 10
        silent = meter(simulator.base_url)["requests"]
        state, _ = run(archive, path)
        assert state.status == "done"
        assert silent < total
        assert one_row(archive, EXACTLY_ONCE) == {"rows": total, "samples": total, "failed": 0}
        served = meter(simulator.base_url)
        assert total <= served["requests"] <= total + 2 * int(in_flight * 1.25)
        kept = one_row(archive, "SELECT count(*) AS n, sum(cost_usd) AS usd FROM attempts WHERE status <> 'lost'")
        assert kept["n"] == total
        assert state.spent_usd == pytest.approx(kept["usd"], abs=1e-9)
        assert segments(archive, state.job_id) == []
