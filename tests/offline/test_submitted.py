"""Submitted jobs on a real local head: they outlive their submitter, and any shell can follow and end them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from polythink.simulator.process import SimulatorProcess

pytestmark = pytest.mark.timeout(300)

DUMP_GCS = """
import sys
from ray._raylet import GcsClient
gcs = GcsClient(address=sys.argv[1])
for namespace in (None, b"job", b"fun", b"session", b"dashboard", b"_ray_internal_job_info"):
    for key in gcs.internal_kv_keys(b"", namespace):
        sys.stdout.buffer.write(key + b"=" + (gcs.internal_kv_get(key, namespace) or b"") + b"\\n")
print(gcs.get_all_job_info(skip_submission_job_info_field=False, skip_is_running_tasks_field=True))
"""


def served(simulator: SimulatorProcess) -> dict[str, Any]:
    with urllib.request.urlopen(f"{simulator.base_url}/_simulator/meter") as reply:
        meter: dict[str, Any] = json.load(reply)
        return meter


def head(shell: Any) -> dict[str, Any]:
    path = Path(shell.environment["POLYTHINK_HOME"]) / "head.json"
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return known


def every_sample(samples: int) -> list[tuple[str, str, int]]:
    return sorted((f"p{n}", arm, index) for n in range(4) for arm in ("none", "thinking") for index in range(samples))


def test_a_submitted_job_finishes_after_its_submitter_has_ended(shell: Any) -> None:
    submitted = shell("submit", "job.yaml")  # a process, and it is over
    assert submitted.returncode == 0, submitted.stderr
    assert re.fullmatch(r"tiny-[0-9a-f]{6}\n", submitted.stdout)

    waited = shell("wait", "tiny")
    assert (waited.returncode, waited.stdout, waited.stderr) == (0, "", "")
    assert shell.traces() == every_sample(2)

    job_id = submitted.stdout.strip()
    status = json.loads(shell("status", "tiny", "--json").stdout)
    assert (status["status"], status["liveness"], status["done"], status["go_on"]) == ("done", "ended", 16, None)
    assert status["submission_id"].startswith(f"{job_id}.")
    assert status["address"] == head(shell)["address"]
    logs = shell.with_variables(RAY_ADDRESS="http://127.0.0.1:1")("logs", "tiny")  # the archive knows better
    assert f"{job_id}  done  16/16 samples" in logs.stdout


def test_watch_follows_to_the_end_and_the_head_is_found_again(shell: Any) -> None:
    shell.write_job(samples=10)  # long enough to be seen running by a command that takes seconds to start
    job_id = shell.submit()
    first = head(shell)
    shell.until_done(job_id, 1)
    screen = shell("status", job_id).stdout
    assert re.search(r"^state +running$", screen, re.MULTILINE)
    watched = shell("watch", job_id)
    assert watched.returncode == 0, watched.stderr
    assert f"{job_id}  done  80/80 samples" in watched.stderr

    shell.write_job(samples=11)
    more = json.loads(shell("submit", "job.yaml", "--json").stdout)
    assert (more["job_id"], more["address"]) == (job_id, first["address"])
    assert head(shell) == first
    assert shell("wait", job_id).returncode == 0
    assert shell.traces() == every_sample(11)
    listed = json.loads(shell("list", "--json").stdout)
    assert [(job["job_id"], job["status"], job["done"]) for job in listed] == [(job_id, "done", 88)]


def test_a_job_that_runs_is_not_submitted_twice(shell: Any) -> None:
    shell.write_job(samples=8)
    job_id = shell.submit()
    again = shell("submit", "job.yaml")
    assert again.returncode == 2
    assert re.search(f"job {job_id} is (waiting|running) already", again.stderr)
    assert f"polythink cancel {job_id}" in again.stderr
    assert shell("cancel", job_id, "--now").returncode == 0


def test_cancel_keeps_all_that_was_paid_for(shell: Any, simulator: SimulatorProcess) -> None:
    shell.write_job(samples=20)
    job_id = shell.submit()
    shell.until_done(job_id, 3)
    cancelled = shell("cancel", job_id)
    assert cancelled.returncode == 0, cancelled.stderr

    state = shell.look(job_id).state
    assert (state.status, state.in_flight) == ("cancelled", 0)
    assert 3 <= state.done < 160
    assert served(simulator)["requests"] == served(simulator)["completed"] == state.done == len(shell.traces())
    waited = shell("wait", job_id)
    assert waited.returncode == 3
    assert f"polythink resume {job_id}" in waited.stderr


def test_cancel_now_does_not_wait_for_what_is_in_flight(shell: Any) -> None:
    shell.write_job(samples=20)
    with SimulatorProcess.start(["--latency", "600"]) as slow:
        job_id = shell.submit("--base-url", slow.base_url)
        shell.until_done(job_id, 0)
        cancelled = shell("cancel", job_id, "--now")
    assert cancelled.returncode == 0, cancelled.stderr
    state = shell.look(job_id).state
    assert (state.status, state.done) == ("cancelled", 0)


def test_a_killed_driver_is_noticed_and_the_job_resumed(shell: Any) -> None:
    shell.write_job(samples=6)
    job_id = shell.submit()
    os.kill(shell.until_done(job_id, 2).pid, signal.SIGKILL)

    waited = shell("wait", job_id)
    assert waited.returncode == 4
    assert "has ended" in waited.stderr and f"polythink resume {job_id}" in waited.stderr
    screen = shell("status", job_id).stdout
    assert "running, but gone" in screen and f"polythink resume {job_id}" in screen

    resumed = shell("resume", job_id)
    assert resumed.returncode == 0, resumed.stderr
    assert shell.traces() == every_sample(6)
    assert shell.look(job_id).verdict.liveness == "ended"


def test_keys_reach_drivers_and_are_nowhere_else(shell: Any) -> None:
    key = shell.environment["ANTHROPIC_API_KEY"].encode()
    shell.write_job(samples=6)
    job_id = shell.submit()
    state = shell.until_done(job_id, 1)
    known = head(shell)
    assert key in Path(f"/proc/{state.pid}/environ").read_bytes()  # how the driver has it
    token = (Path(shell.environment["POLYTHINK_HOME"]) / "token").read_text(encoding="ascii")

    request = urllib.request.Request(f"{known['address']}/api/jobs/", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as reply:
        jobs_api = reply.read()
    gcs_address = Path(known["folder"], "ray", "ray_current_cluster").read_text(encoding="utf-8")
    gcs = subprocess.run(
        [sys.executable, "-c", DUMP_GCS, gcs_address],
        env=shell.environment | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token},
        capture_output=True,
        timeout=60,
        check=True,
    ).stdout
    assert shell("wait", job_id).returncode == 0
    for told in (jobs_api, gcs):
        assert state.submission_id.encode() in told  # it does speak of this job
        assert key not in told
    places = [known["folder"], shell.environment["POLYTHINK_HOME"], str(shell.archive.root)]
    assert files_with(b"resume " + job_id.encode(), places)
    assert not files_with(key, places)


def files_with(value: bytes, folders: list[str]) -> list[Path]:
    files = (path for folder in folders for path in Path(folder).rglob("*") if path.is_file())
    return [path for path in files if value in path.read_bytes()]


def test_the_jobs_api_is_closed_to_those_without_the_token(shell: Any) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{head(shell)['address']}/api/jobs/")


def test_a_head_without_a_key_that_the_shell_has_is_refused(shell: Any) -> None:
    with (shell.folder / "job.yaml").open("a", encoding="utf-8") as job_file:
        job_file.write("endpoint: {api_key_env: OTHER_KEY}\n")
    refused = shell.with_variables(OTHER_KEY="x")("submit", "job.yaml")
    assert refused.returncode == 3
    assert f"without OTHER_KEY; once its jobs are done, stop it with `kill {head(shell)['pid']}`" in refused.stderr
    assert shell.archive.job_ids() == []


def test_an_address_that_nobody_answers_leaves_no_job_behind(shell: Any) -> None:
    refused = shell("submit", "job.yaml", "--address", "http://127.0.0.1:1")
    assert refused.returncode == 3
    assert "http://127.0.0.1:1" in refused.stderr
    assert shell.archive.job_ids() == []


def test_a_stopped_head_takes_its_drivers_along_and_is_replaced(shell: Any) -> None:
    shell.write_job(samples=20)
    job_id = shell.submit()
    shell.until_done(job_id, 1)
    dead = head(shell)
    os.kill(dead["pid"], signal.SIGTERM)
    assert shell("wait", job_id).returncode == 4

    shell.write_job(samples=21)
    submitted = shell("submit", "job.yaml")
    assert submitted.stdout == f"{job_id}\n", submitted.stderr
    assert "starting Ray on this machine" in submitted.stderr
    assert head(shell)["pid"] != dead["pid"]
    assert not Path(dead["folder"]).exists()
    assert shell("cancel", job_id, "--now").returncode == 0
