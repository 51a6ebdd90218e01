"""The whole path over a bucket: a run that is killed, a server that fails and dawdles, and every reading command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from polythink.storage.segments import segments
from tests.running import EXACTLY_ONCE, job_file, meter, one_row
from tests.s3 import FINE, Bucket, Fault

TOTAL = 3 * 40
IN_FLIGHT = 8
DEADLINE_S = 90.0


def command(bucket: Bucket, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "polythink", *arguments, "--archive", bucket.root]


def ask(bucket: Bucket, *arguments: str) -> str:
    """What a command prints."""
    done = subprocess.run(command(bucket, *arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def troubled(method: str, path: str, before: int) -> Fault:
    """Every fourth request fails, half of them after they were done; writes take their time."""
    if before % 4 == 3:
        return Fault(status=500, reaches_server=before % 8 == 3)
    return Fault(delay_s=0.05) if method == "PUT" else FINE


@pytest.mark.timeout(600)
def test_a_run_on_a_bucket_is_killed_resumed_through_failures_and_read(tmp_path: Path, bucket: Bucket) -> None:
    with SimulatorProcess.start(["--latency", "0.3"]) as simulator:
        path = job_file(tmp_path, simulator.base_url, samples=40, select=["majority"])
        driver = subprocess.Popen(command(bucket, "run", str(path), "--yes"), start_new_session=True)
        deadline = time.monotonic() + DEADLINE_S
        while meter(simulator.base_url)["completed"] < 30:
            assert time.monotonic() < deadline and driver.poll() is None
            time.sleep(0.1)
        told = json.loads(ask(bucket, "status", "sums", "--json"))
        os.killpg(driver.pid, 9)
        driver.wait()

        bucket.plan = troubled
        resumed = json.loads(ask(bucket, "resume", "sums", "--json"))
        bucket.plan = lambda _method, _path, _before: FINE
        paid = meter(simulator.base_url)["requests"]

    archive = Archive(bucket.root)
    assert bucket.faults > 10
    assert told["done"] <= resumed["done"] == resumed["total"] == TOTAL
    assert one_row(archive, EXACTLY_ONCE) == {"rows": TOTAL, "samples": TOTAL, "failed": 0}
    at_the_kill = IN_FLIGHT * 1.25 + 1.5 * IN_FLIGHT / 0.3  # in flight, and of a window not yet written
    assert TOTAL <= paid <= TOTAL + at_the_kill
    assert segments(archive, resumed["job_id"]) == []

    kept = json.loads(ask(bucket, "query", "--format", "json", "SELECT count(*) AS n FROM traces"))
    assert kept == [{"n": TOTAL}]
    assert json.loads(ask(bucket, "select", "sums", "--with", "first", "--json"))["samples"] == TOTAL
    assert json.loads(ask(bucket, "show", "a/plain/7", "--json"))["sample_index"] == 7
    assert [job["status"] for job in json.loads(ask(bucket, "list", "--json"))] == ["done"]
    ask(bucket, "report", "sums", "-o", str(tmp_path / "report.html"))
    assert resumed["job_id"] in (tmp_path / "report.html").read_text()
    assert ask(bucket, "resume", "sums", "--json"), "of a finished job, which sends nothing"


def test_a_bucket_without_an_archive_is_no_archive(bucket: Bucket) -> None:
    done = subprocess.run(command(bucket, "query", "SELECT 1"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"no archive in {bucket.root}" in done.stderr
