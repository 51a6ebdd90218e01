"""A job is cancelled from outside also in the moment in which its driver has said its last word and not yet ended."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from polythink.jobs.control import Control
from polythink.jobs.follow import cancel
from polythink.storage.archive import Archive
from polythink.storage.state import JobState


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@contextmanager
def held_until_asked(archive: Archive, job_id: str) -> Iterator[None]:
    """The job's lease is held until its holder is asked to stop."""
    held, over = Event(), Event()

    def hold() -> None:
        control = Control(archive, job_id)
        with archive.lock(job_id):
            held.set()
            while control.asked() is None and not over.wait(0.05):
                pass

    holder = Thread(target=hold)
    holder.start()
    held.wait()
    try:
        yield
    finally:
        over.set()
        holder.join()


def test_who_cancels_waits_for_the_driver_to_let_go(tmp_path: Path) -> None:
    archive, now = Archive(tmp_path), time.time()
    gone = JobState(
        job_id="j-1",
        name="j",
        status="running",
        in_flight=3,
        created_at=now,
        started_at=now,
        updated_at=now,
        host=socket.gethostname(),
        pid=ended_process(),
    )
    archive.write_state(gone)
    with held_until_asked(archive, "j-1"):
        last = cancel(archive, "j-1", grace_s=60, say=lambda _: None)
    assert (last.status, last.in_flight) == ("cancelled", 0)
    assert archive.state("j-1") == last
