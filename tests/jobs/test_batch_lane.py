"""The batch lane: paid once at half price, through lost replies, crashes at every step, expiry and cancellation."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from polythink.errors import EndpointError
from polythink.jobs import batch_book, batch_crew, batch_packing
from polythink.jobs.control import Control, request_cancel
from polythink.jobs.load import load_job
from polythink.jobs.run import run_job
from polythink.jobs.verify import verify_job
from polythink.jobs.workload import recall, store
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from polythink.storage.state import JobState
from tests.batch_crash import STEPS
from tests.processes import JumpyClock, wait_for
from tests.running import EXACTLY_ONCE, job_file, meter, one_row, run
from tests.scripted_batches import BatchApi
from tests.scripted_server import Reply, ScriptedServer, refusal

ROOT = Path(__file__).parents[2]
BOTH = [
    {"id": "plain", "model": "claude-haiku-4-5", "reasoning": "none"},
    {"id": "other", "model": "claude-sonnet-4-6", "reasoning": {"budget_tokens": 1024}},
]


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that is not listed after a second was never made: the simulator is quicker than the API."""
    monkeypatch.setattr(batch_book, "GRACE_S", 1.0)


def simulator(*options: str) -> SimulatorProcess:
    return SimulatorProcess.start(["--batch-seconds", "1", "--refusals", "0", *options])


def plan(folder: Path, *faults: dict[str, Any]) -> str:
    path = folder / "faults.yaml"
    path.write_text(yaml.safe_dump({"faults": list(faults)}))
    return str(path)


def billed_once(archive: Archive, base_url: str, samples: int) -> None:
    """Every sample has one trace, and the simulator served and billed each exactly once."""
    assert one_row(archive, EXACTLY_ONCE) == {"rows": samples, "samples": samples, "failed": 0}
    assert one_row(archive, "SELECT count(*) AS n FROM batches WHERE state IN ('intended', 'created')") == {"n": 0}
    assert [audit.differences for audit in verify_job(archive, archive.job_ids()[-1])] == [()]
    served = meter(base_url)
    assert served["requests"] == samples
    assert {tally["requests"] for tally in served["samples"].values()} == {1}
    kept = one_row(
        archive, "SELECT sum(cost_usd) AS usd, count(DISTINCT sample_id) AS n FROM attempts WHERE cost_usd > 0"
    )
    assert kept["n"] == samples
    assert kept["usd"] == pytest.approx(served["cost_usd"], abs=1e-9)


def test_a_batch_job_is_whole_labelled_and_half_price(tmp_path: Path) -> None:
    with simulator() as server:
        archive = Archive(tmp_path / "archive")
        state, _ = run(archive, job_file(tmp_path, server.base_url, lane="batch", arms=BOTH))
        assert (state.status, state.done, state.failed, state.in_flight) == ("done", 60, 0, 0)
        billed_once(archive, server.base_url, 60)
    lanes = archive.sql("SELECT DISTINCT lane, simulated, attempts FROM traces")
    assert lanes.to_pylist() == [{"lane": "batch", "simulated": True, "attempts": 1}]
    prices = archive.sql(
        "SELECT DISTINCT arm_id, round(cost_usd / (input_tokens * i + output_tokens * o) * 1e6, 6) AS share FROM traces"
        " JOIN (VALUES ('plain', 1, 5), ('other', 3, 15)) AS p(arm_id, i, o) USING (arm_id)"
    ).to_pylist()
    assert {row["share"] for row in prices} == {0.5}
    batches = archive.sql("SELECT model, state, requests, succeeded, cost_usd <= reserved_usd AS covered FROM batches")
    assert sorted(map(tuple, (row.values() for row in batches.to_pylist()))) == [
        ("claude-haiku-4-5", "settled", 30, 30, True),
        ("claude-sonnet-4-6", "settled", 30, 30, True),
    ]


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_a_resume_pays_nothing_twice(tmp_path: Path, step: str) -> None:
    with simulator() as server:
        path = job_file(tmp_path, server.base_url, lane="batch")
        command = [sys.executable, "-m", "tests.batch_crash", str(tmp_path / "archive"), str(path), step]
        killed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        archive = Archive(tmp_path / "archive")
        state, _ = run(archive, path)
        assert (state.status, state.done) == ("done", 30)
        billed_once(archive, server.base_url, 30)


def test_a_lost_reply_to_create_is_found_again(tmp_path: Path) -> None:
    faults = plan(tmp_path, {"kind": "lost_batch_reply", "times": 2}, {"kind": "batch_not_found", "times": 2})
    with simulator("--faults", faults) as server:
        archive = Archive(tmp_path / "archive")
        state, _ = run(archive, job_file(tmp_path, server.base_url, lane="batch", arms=BOTH))
        assert (state.status, state.done) == ("done", 60)
        billed_once(archive, server.base_url, 60)


def test_a_lost_reply_is_found_again_whatever_the_wall_clock_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", JumpyClock(calls=5))
    faults = plan(tmp_path, {"kind": "lost_batch_reply", "times": 2}, {"kind": "batch_not_found", "times": 2})
    with simulator("--faults", faults) as server:
        archive = Archive(tmp_path / "archive")
        state, _ = run(archive, job_file(tmp_path, server.base_url, lane="batch", arms=BOTH))
        assert (state.status, state.done) == ("done", 60)
        billed_once(archive, server.base_url, 60)


def test_somebody_elses_batch_of_the_same_size_is_not_taken_for_ours(tmp_path: Path) -> None:
    with simulator() as server:
        others = tmp_path / "others"
        others.mkdir()
        run(Archive(tmp_path / "theirs"), job_file(others, server.base_url, lane="batch"))
        path = job_file(tmp_path, server.base_url, lane="batch")
        command = [sys.executable, "-m", "tests.batch_crash", str(tmp_path / "archive"), str(path), "before create"]
        assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == -signal.SIGKILL
        archive = Archive(tmp_path / "archive")
        state, _ = run(archive, path)
        assert (state.status, state.done) == ("done", 30)
        assert meter(server.base_url)["requests"] == 60
        states = archive.sql("SELECT state FROM batches ORDER BY number")["state"].to_pylist()
        assert states == ["released", "settled"]


def test_a_refused_entry_fails_alone_and_what_expired_is_sent_again(tmp_path: Path) -> None:
    # A day of the API in two seconds: a batch would take nearly two, and may take one.
    with simulator("--time-scale", "43200", "--batch-seconds", "150000") as server:
        archive = Archive(tmp_path / "archive")
        path = job_file(tmp_path, server.base_url, lane="batch")
        rows = [json.loads(line) for line in (tmp_path / "problems.jsonl").read_text().splitlines()]
        rows[1]["problem"] = "word " * 300_000  # beyond the model's context
        (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        state, _ = run(archive, path)
    assert (state.status, state.done, state.failed) == ("done", 30, 10)
    failed = one_row(archive, "SELECT DISTINCT problem_id, outcome, error_type FROM traces WHERE outcome = 'failed'")
    assert failed == {"problem_id": "b", "outcome": "failed", "error_type": "invalid_request_error"}
    expired = one_row(archive, "SELECT coalesce(sum(expired), 0) AS n FROM batches")["n"]
    again = one_row(archive, "SELECT count(*) AS n FROM attempts WHERE error_type = 'batch_expired'")["n"]
    assert expired == again > 0


class Asking:
    """A watcher that does something once, when a batch is at the API."""

    def __init__(self, archive: Archive, action: Any) -> None:
        self._archive, self._action, self._was_done = archive, action, False

    def __call__(self, state: JobState) -> None:
        if not self._was_done and one_row(self._archive, "SELECT count(batch_id) AS n FROM batches")["n"]:
            self._was_done = True
            self._action()


def test_an_interrupted_job_leaves_its_batch_at_work_and_a_resume_collects_it(tmp_path: Path) -> None:
    with simulator("--batch-seconds", "5") as server:
        archive = Archive(tmp_path / "archive")
        work = store(archive, load_job(job_file(tmp_path, server.base_url, lane="batch")))
        control = Control(archive, work.job_id)
        state = run_job(archive, work, watch=Asking(archive, control.stop), control=control)
        assert (state.status, state.done) == ("interrupted", 0)
        work = recall(archive, work.job_id)
        state = run_job(archive, work, watch=lambda state: None, control=Control(archive, work.job_id))
        assert (state.status, state.done) == ("done", 30)
        billed_once(archive, server.base_url, 30)


def test_a_cancelled_job_keeps_what_its_batch_had_done(tmp_path: Path) -> None:
    with simulator("--batch-seconds", "6") as server:
        archive = Archive(tmp_path / "archive")
        work = store(archive, load_job(job_file(tmp_path, server.base_url, lane="batch", samples=100)))
        ask = Asking(archive, lambda: request_cancel(archive, work.job_id))
        state = run_job(archive, work, watch=ask, control=Control(archive, work.job_id))
        assert state.status == "cancelled"
        served = meter(server.base_url)["requests"]
    (batch,) = archive.sql("SELECT state, succeeded, canceled FROM batches").to_pylist()
    assert batch["state"] == "settled" and batch["canceled"] > 0
    assert state.done == (batch["succeeded"] or 0) == served == 300 - batch["canceled"]


def test_batches_hold_no_more_than_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_crew, "MOST_REQUESTS", 7)
    monkeypatch.setattr(batch_packing, "MOST_REQUESTS", 7)
    with simulator() as server:
        archive = Archive(tmp_path / "archive")
        state, _ = run(archive, job_file(tmp_path, server.base_url, lane="batch"))
        assert (state.status, state.done) == ("done", 30)
        billed_once(archive, server.base_url, 30)
    assert archive.sql("SELECT requests FROM batches ORDER BY number")["requests"].to_pylist() == [7, 7, 7, 7, 2]


@pytest.mark.parametrize("at_once", [10, 30])
def test_a_batch_whose_last_results_fill_a_part_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(batch_crew, "HANDED_OVER", at_once)
    with simulator() as server:
        archive = Archive(tmp_path / "archive")
        run(archive, job_file(tmp_path, server.base_url, lane="batch"))
        billed_once(archive, server.base_url, 30)


def test_results_that_the_api_no_longer_keeps_are_lost_held_under_the_cap_and_sent_again(tmp_path: Path) -> None:
    # 29 days of the API in ten seconds.
    with simulator("--time-scale", "250000", "--batch-seconds", "43200") as server:
        path = job_file(tmp_path, server.base_url, lane="batch", cap={"usd": 5})
        command = [sys.executable, "-m", "tests.batch_crash", str(tmp_path / "archive"), str(path), "after the id"]
        assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == -signal.SIGKILL
        wait_for(lambda: listed(server.base_url)[0]["archived_at"] is not None, "29 days")
        archive = Archive(tmp_path / "archive")
        state, _ = run(archive, path)
        assert (state.status, state.done) == ("done", 30)
        assert meter(server.base_url)["requests"] == 60
    lost = one_row(
        archive,
        "SELECT count(*) AS rows, sum(a.reserved_usd) = any_value(b.reserved_usd) AS held FROM attempts a, batches b"
        " WHERE a.status = 'lost' AND a.error_type = 'batch_lost' AND b.number = 1",
    )
    assert lost == {"rows": 30, "held": True}
    first, second = archive.sql("SELECT state, reason, succeeded, errored FROM batches ORDER BY number").to_pylist()
    assert (first["state"], first["errored"], "29 days" in first["reason"]) == ("settled", 30, True)
    assert (second["state"], second["succeeded"], second["reason"]) == ("settled", 30, None)
    assert [audit.differences for audit in verify_job(archive, archive.job_ids()[-1])] == [()]


def listed(base_url: str) -> list[dict[str, Any]]:
    """The batches as the API lists them."""
    headers = {"authorization": f"Bearer {os.environ['ANTHROPIC_API_KEY']}", "anthropic-version": "2026-10-21"}
    found: list[dict[str, Any]] = httpx2.get(f"{base_url}/v1/messages/batches", headers=headers).json()["data"]
    return found


class FullQueue(BatchApi):
    """A batch API whose queue has room for one batch."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = 0
        self.pressed = 0  # tries between a refusal and the end of a batch
        self._was_refused = False

    def create(self, custom_ids: list[str]) -> Reply:
        if len(self.ended) == len(self.batches):
            return super().create(custom_ids)
        self.refusals += 1
        self.pressed += self._was_refused
        self._was_refused = True
        return refusal(429, "rate_limit_error", "the queue is full", headers={"retry-after": "0"})

    def look(self, batch: str) -> Reply:
        self._was_refused = False
        return super().look(batch)


def test_a_full_queue_is_not_pressed_and_filled_again_when_a_batch_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_crew, "MOST_REQUESTS", 10)
    monkeypatch.setattr(batch_packing, "MOST_REQUESTS", 10)
    api = FullQueue()
    with ScriptedServer(api) as server:
        api.base_url = server.base_url
        archive = Archive(tmp_path / "archive")
        state, _ = run(archive, job_file(tmp_path, server.base_url, lane="batch"))
    assert (state.status, state.done) == ("done", 30)
    assert (len(api.batches), api.refusals > 0, api.pressed) == (3, True, 0)
    assert sorted(map(len, api.batches.values())) == [10, 10, 10]


def test_the_cap_holds_for_batches_too(tmp_path: Path) -> None:
    with simulator("--batch-seconds", "0.1") as server:
        archive = Archive(tmp_path / "archive")
        # The worst case of a request is 2,000 tokens of output at half of USD 5 a million, and its prompt.
        state, _ = run(archive, job_file(tmp_path, server.base_url, lane="batch", cap={"usd": 0.0075}))
        assert state.status == "stopped" and "cap" in str(state.reason)
        assert 0 < state.done < 30
        assert meter(server.base_url)["cost_usd"] <= 0.0075


def test_the_command_that_a_capped_run_prints_goes_on_to_the_end(tmp_path: Path) -> None:
    with simulator("--batch-seconds", "0.1") as server:
        path = job_file(tmp_path, server.base_url, lane="batch", cap={"usd": 0.0056})
        code, words = command_line(f"polythink run {path} --yes --archive {tmp_path / 'archive'}")
        archive = Archive(tmp_path / "archive")
        assert code == 3 and one_row(archive, "SELECT status FROM jobs") == {"status": "stopped"}
        (go_on,) = (line for line in words.splitlines() if line.startswith("go on "))
        assert go_on.endswith("--cap-usd 0.02")
        assert command_line(go_on.removeprefix("go on "))[0] == 0
        assert one_row(archive, "SELECT status, done, cap_usd FROM jobs") == {
            "status": "done",
            "done": 30,
            "cap_usd": 0.02,
        }


def command_line(command: str) -> tuple[int, str]:
    """Its exit code, and what it says on stdout."""
    arguments = [sys.executable, "-m", *shlex.split(command)]
    ended = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout


def test_a_key_that_is_refused_ends_the_run_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "invalid")
    with simulator() as server:
        archive = Archive(tmp_path / "archive")
        with pytest.raises(EndpointError, match="Invalid bearer token"):
            run(archive, job_file(tmp_path, server.base_url, lane="batch"))
    assert archive.sql("SELECT state FROM batches")["state"].to_pylist() == ["released"]


@pytest.fixture
def unreachable() -> Iterator[str]:
    with simulator() as server:
        base_url = server.base_url
    yield base_url


def test_an_endpoint_that_cannot_be_reached_is_told(
    tmp_path: Path, unreachable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_crew, "PATIENCE_S", 2.0)
    archive = Archive(tmp_path / "archive")
    with pytest.raises(EndpointError, match="no endpoint answers"):
        run(archive, job_file(tmp_path, unreachable, lane="batch"))
    (job_id,) = archive.job_ids()
    state = archive.state(job_id)
    assert state is not None and state.status == "stopped" and "no endpoint answers" in str(state.reason)
