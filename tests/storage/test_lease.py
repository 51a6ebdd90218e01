"""One owner at a time, whichever machine it is on and whatever its clock says."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.errors import ArchiveError, JobBusyError, LeaseLostError
from polythink.storage import lease as leases
from polythink.storage.archive import Archive
from polythink.storage.lease import TIMEOUT_S, Lease, LeaseRecord, Watcher
from polythink.storage.process import Process, this_process
from polythink.storage.segments import Journal
from tests.storage.test_archive import attempt

ROOT = Path(__file__).parents[2]
ELSEWHERE = Process(host="far", machine="another boot", pid=1, started="1")
NAME = "jobs/j1/lease.json"


def record(mark: str, owner: Process | None = ELSEWHERE) -> LeaseRecord:
    return LeaseRecord(epoch=1, mark=mark, owner=owner)


def test_the_lease_is_one_owners_and_free_again_when_given_back(archive: Archive) -> None:
    with archive.lock("j1") as lease, pytest.raises(JobBusyError, match=rf"process {this_process().pid} on"):
        assert (lease.epoch, lease.is_takeover) == (1, False)
        with archive.lock("j1"):
            pass
    with archive.lock("j1") as lease:
        assert (lease.epoch, lease.is_takeover) == (2, False)
        assert archive.is_locked("j1")
    assert not archive.is_locked("j1")


def test_of_many_who_want_it_at_once_one_gets_it(archive: Archive) -> None:
    start, won, busy = threading.Barrier(5), list[int](), list[str]()

    def want() -> None:
        start.wait()
        try:
            with archive.lock("j1") as lease:
                won.append(lease.epoch)
                lost.wait(20)
        except JobBusyError as error:
            busy.append(str(error))
            if len(busy) == 4:
                lost.set()

    lost = threading.Event()
    threads = [threading.Thread(target=want) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (won, len(busy)) == ([1], 4)


def test_a_dead_owner_of_this_machine_is_replaced_at_once(archive: Archive) -> None:
    hold = "import os, sys; from polythink.storage.archive import Archive\n"
    hold += "with Archive(sys.argv[1]).lock('j1'): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", hold, archive.root], cwd=ROOT, check=False).returncode == -9
    with archive.lock("j1") as lease:
        assert (lease.epoch, lease.is_takeover) == (2, True)


def test_a_takeover_that_fails_is_one_for_the_next_owner_too(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    hold = "import os, sys; from polythink.storage.archive import Archive\n"
    hold += "with Archive(sys.argv[1]).lock('j1'): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", hold, archive.root], cwd=ROOT, check=False).returncode == -9
    in_the_way = tmp_path / "jobs" / "j1" / "journal"
    in_the_way.write_text("no folder")
    with pytest.raises(ArchiveError), archive.lock("j1"):
        pytest.fail("the former owner was not shut out")
    in_the_way.unlink()
    with archive.lock("j1", force=True) as lease:
        assert lease.is_takeover


def test_what_still_works_under_a_lease_that_was_given_back_stops(archive: Archive) -> None:
    with archive.lock("j1") as lease:
        lease.check()
    with pytest.raises(LeaseLostError, match="was given back"):
        lease.check()


def test_a_process_id_that_is_anothers_by_now_is_no_owner() -> None:
    assert not this_process().is_gone
    assert replace(this_process(), started="0").is_gone
    assert not replace(this_process(), started="0", machine="another boot").is_gone, "it cannot be seen from here"


def test_taken_by_force_the_former_owner_learns_it_and_gives_nothing_back(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEW_S", 0.05)
    with archive.lock("j1") as former, archive.lock("j1", force=True) as owner:
        assert (owner.epoch, owner.is_takeover) == (2, True)
        until_lost(former)
        with pytest.raises(LeaseLostError, match="job j1 was taken over by process"):
            former.check()
        owner.check()
        former.give_back()
        owner.check()
        with pytest.raises(JobBusyError), archive.lock("j1"):
            pass


def until_lost(lease: Lease) -> None:
    """Its thread ends once it has lost."""
    lease._thread.join(20)


def test_an_owner_that_cannot_renew_stops_before_another_may_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert leases.GRACE_S + leases.RENEW_S < TIMEOUT_S
    with Archive(tmp_path).lock("j1") as lease:
        lease.check()
        start, looks = leases.elapsed(), itertools.count(1)
        monkeypatch.setattr(leases, "elapsed", lambda: start + (leases.GRACE_S + 1) * next(looks))  # all takes too long
        for _ in range(2):
            with pytest.raises(LeaseLostError, match=rf"{NAME} could not be renewed for 4\d s.*resume"):
                lease.check()


def test_an_owner_that_slept_finds_out_before_it_goes_on(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    start = leases.elapsed()
    with archive.lock("j1") as asleep, archive.lock("j2") as unharmed:
        with archive.lock("j1", force=True):
            pass
        monkeypatch.setattr(leases, "elapsed", lambda: start + 3600.0)
        unharmed.check()
        with pytest.raises(LeaseLostError, match="job j1 was taken over"):
            asleep.check()


def test_whoever_takes_a_job_over_shuts_the_former_owner_out_whatever_it_does_then(archive: Archive) -> None:
    with archive.lock("j1"):
        former = Journal(archive, "j1")
        with archive.lock("j1", force=True):
            pass  # as storing or cancelling a job does
        with archive.lock("j1") as lease:
            assert not lease.is_takeover
            with pytest.raises(LeaseLostError):
                former.begin().append([attempt(0)])


def test_a_renewal_that_was_thought_to_have_failed_is_gone_on_from(archive: Archive) -> None:
    with archive.lock("j1") as lease:
        found = archive.store.read(NAME)
        assert found is not None
        unheard = json.loads(found.data) | {"mark": "a renewal whose reply never came"}
        archive.store.put(NAME, json.dumps(unheard).encode())
        for _ in range(2):
            lease._renew()
            lease.check()
        assert json.loads(archive.store.get(NAME) or b"")["mark"] not in (
            unheard["mark"],
            json.loads(found.data)["mark"],
        )


looks = st.lists(st.tuples(st.floats(0, 50), st.integers(0, 2)), min_size=1, max_size=12)


@given(looks, st.floats(-1e9, 1e9))
def test_an_owner_elsewhere_is_replaced_only_after_its_silence_whatever_the_clock_shows(
    steps: list[tuple[float, int]], start: float
) -> None:
    watcher, now, changed_at, last = Watcher(), start, start, -1
    for pause_s, mark in steps:
        now += pause_s
        if mark != last:
            changed_at, last = now, mark
        watcher.look(record(str(mark)), now)
        assert watcher.is_free(now) == (now - changed_at > TIMEOUT_S)


def test_a_change_seen_is_a_sign_of_life_and_a_new_owner_is_none() -> None:
    watcher = Watcher()
    watcher.look(record("a"), 0.0)
    assert not watcher.is_alive
    watcher.look(record("b"), 1.0)
    assert watcher.is_alive
    watcher.look(record("c", replace(ELSEWHERE, pid=2)), 2.0)
    assert not watcher.is_alive
    watcher.look(record("d", None), 3.0)
    assert watcher.is_free(3.0)
