"""A disk that fills up and an archive that cannot be written: said with path and fix, and all that was kept stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from polythink.jobs.load import load_job
from polythink.jobs.workload import store
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from tests.running import EXACTLY_ONCE, job_file, meter, one_row, run

pytestmark = pytest.mark.usefixtures("one_ray")

DISK = 4 << 20  # bytes


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A mount for the test's time; skips where none may be made."""
    folder.mkdir(exist_ok=True)
    made = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"cannot mount here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def command(archive: Archive, *arguments: str) -> subprocess.CompletedProcess[str]:
    asked = [sys.executable, "-m", "polythink", *arguments, "--archive", archive.root]
    return subprocess.run(asked, capture_output=True, text=True, check=False)


def test_a_disk_that_fills_up_stops_the_run_and_costs_no_kept_sample(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with (
        SimulatorProcess.start(["--latency", "0.3"]) as simulator,
        mounted(disk, "-t", "tmpfs", "-o", f"size={DISK}", "t"),
    ):
        archive = Archive(disk / "archive")
        work = store(archive, load_job(job_file(tmp_path, simulator.base_url, samples=40)))
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(DISK - used(disk) - 48_000))
        stopped = command(archive, "resume", work.job_id)
        assert stopped.returncode == 3, stopped.stderr
        assert (
            f"{disk}/archive" in stopped.stderr and "No space left on device; free some space there" in stopped.stderr
        )
        ballast.unlink()
        sent = meter(simulator.base_url)["completed"]
        assert sent < 120, "it stopped"
        state, _ = run(archive, tmp_path / "job.yaml")
        assert (state.status, state.done) == ("done", 120)
        assert one_row(archive, EXACTLY_ONCE) == {"rows": 120, "samples": 120, "failed": 0}
        assert meter(simulator.base_url)["requests"] <= 120 + sent


def used(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


def test_a_read_only_archive_can_be_asked_and_says_why_it_cannot_be_run(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    archive = Archive(folder)
    work = store(archive, load_job(job_file(tmp_path, "http://127.0.0.1:9")))
    with mounted(folder, "--bind", "-o", "ro", str(folder)):
        refused = command(archive, "resume", work.job_id)
        assert refused.returncode == 3
        assert f"{folder}/jobs/{work.job_id}/" in refused.stderr and "mounted read-only" in refused.stderr
        assert "Traceback" not in refused.stderr
        unselected = command(archive, "select", work.job_id, "--with", "longest")
        assert unselected.returncode == 3
        assert str(folder) in unselected.stderr and "mounted read-only" in unselected.stderr
        asked = command(archive, "query", "--format", "json", "SELECT job_id FROM jobs")
        assert (asked.returncode, work.job_id in asked.stdout) == (0, True)
        assert command(archive, "status", work.job_id).returncode == 0
