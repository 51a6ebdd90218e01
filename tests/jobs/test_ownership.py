"""One process runs a job: two that race for it, and one that was frozen while another took its place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from polythink.jobs.load import load_job
from polythink.jobs.workload import store
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from tests.processes import wait_for
from tests.running import EXACTLY_ONCE, job_file, meter, one_row

TOTAL = 3 * 8
SOAK = (pytest.mark.soak, pytest.mark.timeout(3600))


def started(archive: Archive, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "polythink", *arguments, "--archive", archive.root]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=SOAK)])
def test_of_two_resumes_at_once_one_runs_and_the_other_says_which(tmp_path: Path, rounds: int) -> None:
    with SimulatorProcess.start(["--latency", "1"]) as simulator:
        archive = Archive(tmp_path / "archive")
        for turn in range(1, rounds + 1):
            work = store(archive, load_job(job_file(tmp_path, simulator.base_url, name=f"race-{turn}", samples=8)))
            racers = [started(archive, "resume", work.job_id) for _ in range(2)]
            words = [racer.communicate()[1] for racer in racers]
            assert sorted(racer.returncode for racer in racers) == [0, 2], words
            winner, loser = sorted((0, 1), key=lambda each: racers[each].returncode)
            assert f"job {work.job_id} is being run by process {racers[winner].pid} on" in words[loser]
            assert one_row(archive, f"{EXACTLY_ONCE} WHERE job_id = '{work.job_id}'")["rows"] == TOTAL
            assert meter(simulator.base_url)["requests"] == turn * TOTAL, "nothing was sent twice"


def test_a_frozen_driver_whose_job_was_taken_sends_nothing_more_and_harms_nothing(tmp_path: Path) -> None:
    in_flight, total = 8, 3 * 30
    with SimulatorProcess.start(["--latency", "0.5"]) as simulator:
        archive = Archive(tmp_path / "archive")
        path = job_file(tmp_path, simulator.base_url, samples=30)
        frozen = started(archive, "run", str(path), "--yes")
        wait_for(lambda: meter(simulator.base_url)["completed"] >= 2 * in_flight, "replies")
        os.killpg(frozen.pid, signal.SIGSTOP)
        assert one_row(archive, "SELECT count(*) AS n FROM jobs WHERE status = 'running'") == {"n": 1}

        refused = started(archive, "resume", "sums")
        words = refused.communicate()[1]
        assert refused.returncode == 2 and f"process {frozen.pid} on" in words and "resume --force" in words

        owner = started(archive, "resume", "sums", "--force")
        words = owner.communicate()[1]
        assert owner.returncode == 0, words
        sent = meter(simulator.base_url)["requests"]
        os.killpg(frozen.pid, signal.SIGCONT)
        words = frozen.communicate()[1]
        assert frozen.returncode == 3 and "was taken over" in words, words
        assert total <= sent <= total + 4 * in_flight, "what the frozen one had taken on"
        assert meter(simulator.base_url)["requests"] <= sent + 2 * in_flight
    assert one_row(archive, EXACTLY_ONCE) == {"rows": total, "samples": total, "failed": 0}
    assert one_row(archive, "SELECT status, done FROM jobs") == {"status": "done", "done": total}
