"""Jobs that stop a problem's samples when its vote is decided: live, batched, killed, resumed, extended."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from polythink.jobs import batch_book
from polythink.jobs.load import load_job
from polythink.jobs.verify import verify_job
from polythink.jobs.workload import recall, store
from polythink.selectors.bands import standard_error
from polythink.selectors.classes import answer_classes
from polythink.selectors.panel import ABSTAINS
from polythink.selectors.samples import load_samples
from polythink.selectors.stopping import Beta, stops_at
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from tests.processes import wait_for
from tests.running import EXACTLY_ONCE, meter, one_row, run

pytestmark = pytest.mark.usefixtures("one_ray")

ROOT = Path(__file__).parents[2]
PROBLEMS = ROOT / "examples" / "competition.jsonl"
ARMS = [
    {"id": "plain", "model": "claude-haiku-4-5", "reasoning": "none"},
    {"id": "deep", "model": "claude-haiku-4-5", "reasoning": {"budget_tokens": 4096}},
]
RULE = Beta(confidence=0.9)


def simulator(*options: str) -> SimulatorProcess:
    return SimulatorProcess.start(["--problems", str(PROBLEMS), "--batch-seconds", "0.5", *options])


def adaptive_job(folder: Path, base_url: str, **changes: Any) -> Path:
    job = {
        "name": "adaptive",
        "problems": {"path": str(PROBLEMS), "gold": "answer", "limit": 12},
        "prompt": {"template": "{{ problem }}\n\nPut the final answer in \\boxed{}."},
        "arms": ARMS,
        "samples": 20,
        "answer": {"extract": "boxed", "equivalence": "math"},
        "select": ["majority", "first"],
        "stop": {"beta": 0.9},
        "endpoint": {"base_url": base_url},
        "concurrency": 8,
        "workers": 2,
        **changes,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job))
    return path


def asked_as_the_rule_says(archive: Archive) -> int:
    """Every problem has the samples that its answers call for, the simulator served no other, and `verify` is clean."""
    (job_id,) = archive.job_ids()
    samples = load_samples(archive, job_id)
    classes = answer_classes(archive, job_id, samples, "math").names
    numbers: dict[str | None, int] = {None: ABSTAINS}
    for span in samples.ballots():
        labels = [numbers.setdefault(name, len(numbers)) for name in classes[span]]
        n = span.stop - span.start
        assert samples.sample_index[span] == list(range(n))
        assert stops_at(RULE, [*labels, *itertools.repeat(ABSTAINS, 20 - n)]) == n
    assert [audit.differences for audit in verify_job(archive, job_id)] == [()]
    return len(samples)


def test_a_problem_gets_no_more_samples_than_its_vote_calls_for(tmp_path: Path) -> None:
    with simulator() as server:
        archive = Archive(tmp_path / "archive")
        path = adaptive_job(tmp_path, server.base_url)
        state, _ = run(archive, path)
        taken = asked_as_the_rule_says(archive)
        assert (state.status, state.done, state.spared, state.total) == ("done", taken, 480 - taken, 480)
        assert 96 < taken < 480, "some problems are decided, some are not"
        assert meter(server.base_url)["requests"] == taken
        assert run(archive, path)[0].status == "done"
        assert meter(server.base_url)["requests"] == taken, "nothing more is owed"


def test_what_was_stopped_is_marked_and_no_curve_takes_it_for_a_fixed_number(tmp_path: Path) -> None:
    with simulator() as server:
        archive = Archive(tmp_path / "archive")
        run(archive, adaptive_job(tmp_path, server.base_url))
        assert one_row(archive, "SELECT max(n) AS n, min(problems) AS problems FROM curves") == {"n": 4, "problems": 12}
        assert one_row(archive, "SELECT max(n) AS n FROM comparisons") == {"n": 4}
        marked = (
            "SELECT count(*) AS n FROM selections s JOIN stops t USING (job_id, problem_id, arm_id) WHERE s.stopped"
        )
        assert one_row(archive, marked)["n"] == 2 * one_row(archive, "SELECT count(*) AS n FROM stops")["n"] > 0
        unmarked = "SELECT min(n) AS n FROM selections WHERE NOT stopped"
        assert one_row(archive, unmarked) == {"n": 20}
        by_hand = """
            SELECT arm_id, selector, avg(n) AS n, avg(correct::INT) AS accuracy, count(*) FILTER (stopped) AS stopped
            FROM selections GROUP BY ALL EXCEPT
            SELECT arm_id, selector, n, accuracy, stopped FROM adaptive
        """
        assert archive.sql(by_hand).num_rows == 0
        assert (
            one_row(archive, "SELECT count(*) AS n FROM adaptive WHERE low <= accuracy AND accuracy <= high")["n"] == 4
        )

        whole = adaptive_job(tmp_path, server.base_url, stop=None)
        assert run(archive, whole)[0].status == "done"
        assert one_row(archive, EXACTLY_ONCE) == {"rows": 480, "samples": 480, "failed": 0}
        assert one_row(archive, "SELECT max(n) AS n, min(problems) AS problems FROM curves") == {
            "n": 20,
            "problems": 12,
        }
        assert one_row(archive, "SELECT (SELECT count(*) FROM stops) + (SELECT count(*) FROM adaptive) AS n")["n"] == 0


def test_by_default_a_third_of_forty_samples_reaches_the_accuracy_of_all(tmp_path: Path) -> None:
    """In the batch lane the simulator's draws go by index, so both jobs have the same samples on every machine."""
    wanted = {"lane": "batch", "arms": ARMS[1:], "samples": 40, "stop": {"beta": 0.95}, "select": ["majority"]}
    wanted["problems"] = {"path": str(PROBLEMS), "gold": "answer", "limit": 80}
    picks = "SELECT n, correct IS TRUE AS correct FROM selections ORDER BY problem_id"
    with simulator() as server:
        archive = Archive(tmp_path / "archive")
        run(archive, adaptive_job(tmp_path, server.base_url, **wanted))
        early = archive.sql(picks).to_pylist()
        run(archive, adaptive_job(tmp_path, server.base_url, **wanted | {"stop": None}))
        whole = archive.sql(picks).to_pylist()
    assert {row["n"] for row in whole} == {40} and len(early) == len(whole) == 80
    assert sum(row["n"] for row in early) <= 80 * 40 / 3
    apart = np.array([a["correct"] - b["correct"] for a, b in zip(early, whole, strict=True)], dtype=np.float64)
    assert apart.mean() >= -standard_error(apart)


def test_a_job_whose_rule_is_taken_away_stays_marked_until_it_is_whole(tmp_path: Path) -> None:
    with simulator() as server:
        archive = Archive(tmp_path / "archive")
        run(archive, adaptive_job(tmp_path, server.base_url))
        (spent,) = archive.sql("SELECT sum(cost_usd) AS usd FROM attempts")["usd"].to_pylist()
        state, _ = run(archive, adaptive_job(tmp_path, server.base_url, stop=None, cap={"usd": spent + 0.2}))
        assert state.status == "stopped"
        assert one_row(archive, "SELECT max(n) AS n FROM curves") == {"n": 4}
        assert one_row(archive, "SELECT count(*) AS n FROM stops")["n"] > 0


def _has_served(base_url: str, replies: int) -> bool:
    return bool(meter(base_url)["completed"] >= replies)


def test_a_killed_run_goes_on_to_the_same_samples(tmp_path: Path) -> None:
    with simulator("--latency", "0.2") as server:
        archive = Archive(tmp_path / "archive")
        path = adaptive_job(tmp_path, server.base_url)
        for done in (40, 120):
            command = [sys.executable, "-m", "tests.running", archive.root, str(path)]
            with subprocess.Popen(command, cwd=ROOT) as driver:
                wait_for(partial(_has_served, server.base_url, done), f"{done} replies")
                driver.send_signal(signal.SIGKILL)
        assert run(archive, path)[0].status == "done"
        taken = asked_as_the_rule_says(archive)
        most = taken + 2 * int(1.25 * 8)
        assert taken <= meter(server.base_url)["requests"] <= most, "what was in flight is paid again"


@pytest.mark.parametrize("stop", [{"beta": 0.9}, {"greedy": 0.5, "wave": 3}])
def test_in_the_batch_lane_every_wave_is_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: dict[str, float]
) -> None:
    monkeypatch.setattr(batch_book, "GRACE_S", 1.0)
    with simulator() as server:
        archive = Archive(tmp_path / "archive")
        state, work = run(archive, adaptive_job(tmp_path, server.base_url, lane="batch", stop=stop))
        assert state.status == "done"
        waves = one_row(archive, "SELECT count(*) AS n, max(requests) AS most FROM batches")
        if "beta" in stop:
            taken = asked_as_the_rule_says(archive)
            assert waves["n"] <= 1 + (20 - 4) / 2 and waves["most"] == 4 * 2 * 12
        else:
            taken = one_row(archive, EXACTLY_ONCE)["samples"]
            assert taken == 2 * 12 * 20 * 0.5 and waves["most"] == 2 * 2 * 12
            assert [audit.differences for audit in verify_job(archive, work.job_id)] == [()]
        served = meter(server.base_url)
        assert (served["requests"], state.done, state.spared) == (taken, taken, 480 - taken)


def test_a_rule_that_comes_while_a_batch_is_at_the_api_loses_nothing_that_is_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_book, "GRACE_S", 1.0)
    with simulator("--batch-seconds", "4", "--refusals", "0") as server:
        archive = Archive(tmp_path / "archive")
        run(archive, adaptive_job(tmp_path, server.base_url, lane="batch", stop=None, samples=8))
        path = adaptive_job(tmp_path, server.base_url, lane="batch", stop=None)
        command = [sys.executable, "-m", "tests.running", archive.root, str(path)]
        with subprocess.Popen(command, cwd=ROOT) as driver:
            wait_for(lambda: _batches(server.base_url) == 2, "the second batch")
            driver.send_signal(signal.SIGKILL)
        state, work = run(archive, adaptive_job(tmp_path, server.base_url, lane="batch"))
        assert (state.status, state.done, state.spared) == ("done", 480, 0), "all of it was paid, all of it is kept"
        assert one_row(archive, "SELECT count(*) AS n FROM batches WHERE state <> 'settled'") == {"n": 0}
        assert [audit.differences for audit in verify_job(archive, work.job_id)] == [()]
        assert meter(server.base_url)["requests"] == 480


def _batches(base_url: str) -> int:
    headers = {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "anthropic-version": "2023-06-01"}
    asked = urllib.request.Request(f"{base_url}/v1/messages/batches", headers=headers)
    with urllib.request.urlopen(asked, timeout=10) as reply:
        return len(json.load(reply)["data"])


def test_the_rule_is_part_of_what_is_kept(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    work = store(archive, load_job(adaptive_job(tmp_path, "http://127.0.0.1:9")))
    stop = recall(archive, work.job_id).job.stop
    assert stop is not None and stop.rule() == RULE
