"""What an API for batches may do wrong: nothing is paid twice, lost without a word, or tried for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from polythink.errors import EndpointError, LeaseLostError
from polythink.jobs import batch_book
from polythink.jobs.batch_book import BatchRecord, Entry
from polythink.jobs.batch_ledger import BatchLedger
from polythink.jobs.control import Control, request_cancel
from polythink.jobs.load import load_job
from polythink.jobs.run import run_job
from polythink.jobs.verify import verify_job
from polythink.jobs.workload import recall, store
from polythink.records import SampleKey
from polythink.simulator.process import SimulatorProcess
from polythink.storage import lease
from polythink.storage.archive import Archive
from polythink.storage.local_store import LocalStore
from polythink.storage.state import JobState
from tests.running import EXACTLY_ONCE, job_file, meter, one_row, run
from tests.scripted_batches import BatchApi, answer, has_no_batches
from tests.scripted_server import Reply, ScriptedServer, refusal

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that is not listed after a second was never made."""
    monkeypatch.setattr(batch_book, "GRACE_S", 1.0)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


@contextmanager
def serving(api: BatchApi) -> Iterator[str]:
    with ScriptedServer(api) as server:
        api.base_url = server.base_url
        yield server.base_url


def killed(archive: Archive, path: Path, step: str) -> None:
    command = [sys.executable, "-m", "tests.batch_crash", archive.root, str(path), step]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == -signal.SIGKILL


def asked_to(archive: Archive, path: Path, ask: Callable[[Control, str], None], when: Callable[[], bool]) -> JobState:
    """A run that is asked something at the first report at which it is time."""
    work = store(archive, load_job(path))
    control = Control(archive, work.job_id)
    waiting = [ask]

    def watch(state: JobState) -> None:
        if waiting and when():
            waiting.pop()(control, work.job_id)

    return run_job(archive, work, watch=watch, control=control)


def pilot(archive: Archive, samples: int) -> JobState:
    work = recall(archive, archive.job_ids()[-1])
    control = Control(archive, work.job_id)
    return run_job(archive, work, watch=lambda state: None, control=control, pilot=samples)


def is_sound(archive: Archive) -> bool:
    return [audit.differences for audit in verify_job(archive, archive.job_ids()[-1])] == [()]


# A pilot beside batches of an earlier run


def test_a_pilot_collects_all_that_open_batches_hold(tmp_path: Path, archive: Archive) -> None:
    with SimulatorProcess.start(["--batch-seconds", "4", "--refusals", "0"]) as server:
        path = job_file(tmp_path, server.base_url, lane="batch")
        state = asked_to(archive, path, lambda control, _: control.stop(), lambda: has_id(archive))
        assert (state.status, state.done) == ("interrupted", 0)
        state = pilot(archive, 3)
        assert (state.status, state.done) == ("done", 30)
        assert meter(server.base_url)["requests"] == 30
    assert one_row(archive, EXACTLY_ONCE) == {"rows": 30, "samples": 30, "failed": 0}
    assert is_sound(archive)


def test_a_pilot_does_not_send_again_what_is_beyond_it(tmp_path: Path, archive: Archive) -> None:
    with SimulatorProcess.start(["--batch-seconds", "1", "--refusals", "0"]) as server:
        path = job_file(tmp_path, server.base_url, lane="batch")
        killed(archive, path, "before create")
        state = pilot(archive, 3)
        assert (state.status, state.reason) == ("stopped", "the pilot is in; resume the job to go on")
        assert (state.done, meter(server.base_url)["requests"]) == (3, 3)
    assert archive.sql("SELECT state, requests FROM batches ORDER BY number").to_pylist() == [
        {"state": "released", "requests": 30},
        {"state": "settled", "requests": 3},
    ]


def has_id(archive: Archive) -> bool:
    return bool(one_row(archive, "SELECT count(batch_id) AS n FROM batches")["n"])


# A server without batches


@pytest.mark.parametrize("lane", ["batch", "auto"])
def test_a_server_without_batches_is_named_with_what_to_set(tmp_path: Path, archive: Archive, lane: str) -> None:
    with ScriptedServer(has_no_batches) as server:
        with pytest.raises(EndpointError, match=r"endpoint default takes no message batches .*set `lane: live`"):
            run(archive, job_file(tmp_path, server.base_url, lane=lane))
        asked = [request.path for request in server.requests if request.method == "POST"]
    assert asked == ["/v1/messages/batches"]
    state = archive.state(archive.job_ids()[-1])
    assert state is not None and state.status == "stopped" and "lane: live" in str(state.reason)
    assert archive.sql("SELECT state FROM batches")["state"].to_pylist() == ["released"]


def test_a_batch_that_was_meant_for_a_server_without_any_was_never_made(tmp_path: Path, archive: Archive) -> None:
    with ScriptedServer(has_no_batches) as server:
        path = job_file(tmp_path, server.base_url, lane="batch")
        killed(archive, path, "before create")
        with pytest.raises(EndpointError, match="takes no message batches"):
            run(archive, path)
    assert archive.sql("SELECT state FROM batches")["state"].to_pylist() == ["released", "released"]


def test_what_other_endpoints_have_under_way_is_collected_first(tmp_path: Path, archive: Archive) -> None:
    states: list[JobState] = []

    class Waiting(BatchApi):
        """Its batch ends once the run has said what is wrong elsewhere."""

        def look(self, batch: str) -> Reply:
            said = [words for state in states for words in state.warnings]
            is_told = any("endpoint lacks takes no message batches" in words for words in said)
            return super().look(batch) if is_told else self.shown(batch)

    api = Waiting()
    arms = [
        {"id": "here", "model": "claude-haiku-4-5", "reasoning": "none", "endpoint": "has"},
        {"id": "there", "model": "claude-haiku-4-5", "reasoning": "none", "endpoint": "lacks"},
    ]
    with serving(api) as base_url, ScriptedServer(has_no_batches) as lacking:
        places = {"has": {"base_url": base_url}, "lacks": {"base_url": lacking.base_url}}
        path = job_file(tmp_path, base_url, lane="batch", arms=arms, endpoint=places)
        with pytest.raises(EndpointError, match="endpoint lacks takes no message batches"):
            run(archive, path, states=states)
    assert sorted(archive.sql("SELECT endpoint, state FROM batches").to_pylist(), key=str) == [
        {"endpoint": "has", "state": "settled"},
        {"endpoint": "lacks", "state": "released"},
    ]
    assert one_row(archive, EXACTLY_ONCE) == {"rows": 30, "samples": 30, "failed": 0}


# Cancelling


class Cancelling(BatchApi):
    """It ends a batch only when it is cancelled, and does that only after some refusals."""

    def __init__(self, *refusals: Reply, ends: bool = False) -> None:
        super().__init__()
        self.refusals = list(refusals)
        self.cancels = 0
        self._ends = ends  # a batch ends as it refuses

    def look(self, batch: str) -> Reply:
        return self.shown(batch)

    def cancel(self, batch: str) -> Reply:
        self.cancels += 1
        if not self.refusals:
            return super().cancel(batch)
        if self._ends:
            self.ended.add(batch)
        return self.refusals.pop(0)

    def results(self, batch: str) -> bytes:
        return b"".join(
            b'{"custom_id": "%s", "result": {"type": "canceled"}}\n' % each.encode() for each in self.batches[batch]
        )


def cancelled(archive: Archive, path: Path, when: Callable[[], bool]) -> JobState:
    return asked_to(archive, path, lambda _, job_id: request_cancel(archive, job_id), when)


def test_a_cancel_that_fails_is_tried_again(tmp_path: Path, archive: Archive) -> None:
    api = Cancelling(refusal(500, "api_error"), refusal(429, "rate_limit_error", headers={"retry-after": "0"}))
    with serving(api) as base_url:
        state = cancelled(archive, job_file(tmp_path, base_url, lane="batch"), lambda: has_id(archive))
    assert (state.status, state.done, api.cancels, api.creations) == ("cancelled", 0, 3, 1)
    assert archive.sql("SELECT state, canceled FROM batches").to_pylist() == [{"state": "settled", "canceled": 30}]


def test_a_batch_that_ended_before_it_could_be_cancelled_is_collected(tmp_path: Path, archive: Archive) -> None:
    api = Cancelling(refusal(400, "invalid_request_error", "has already ended and cannot be canceled"), ends=True)
    with serving(api) as base_url:
        state = cancelled(archive, job_file(tmp_path, base_url, lane="batch"), lambda: has_id(archive))
    assert (state.status, api.cancels, api.creations) == ("cancelled", 1, 1)
    assert archive.sql("SELECT state FROM batches")["state"].to_pylist() == ["settled"]


class NeverMade(BatchApi):
    """It drops the connection instead of creating a batch."""

    def create(self, custom_ids: list[str]) -> Reply:
        return Reply(ending="reset")


def test_a_cancelled_job_sends_no_batch_whose_creation_failed(
    tmp_path: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_book, "GRACE_S", 3.0)
    api = NeverMade()
    with serving(api) as base_url:
        state = cancelled(archive, job_file(tmp_path, base_url, lane="batch"), lambda: api.creations > 0)
    assert (state.status, api.creations) == ("cancelled", 1)
    assert archive.sql("SELECT state FROM batches")["state"].to_pylist() == ["released"]


# Results that cannot be read


class Garbled(BatchApi):
    """What it makes of the lines of its first batch, download by download; later ones are as they should be."""

    def __init__(self, *garblers: Callable[[list[bytes]], bytes]) -> None:
        super().__init__()
        self.garblers = list(garblers)

    def results(self, batch: str) -> bytes:
        lines = [answer(each) for each in self.batches[batch]]
        return self.garblers.pop(0)(lines) if self.garblers else b"".join(lines)


BAD_LINES = [
    b"torn\n",
    b"\xff\xfe\n",
    b"[]\n",
    b'{"custom_id": "x"}\n',
    b'{"result": {"type": "expired"}}\n',
    b'{"custom_id": "x", "result": {}}\n',
    b'{"custom_id": "x", "result": {"type": "succeeded"}}\n',
    b'{"custom_id": "x", "result": {"type": "succeeded", "message": {"usage": 3}}}\n',
    b'{"custom_id": "x", "result": {"type": "errored", "error": "no"}}\n',
]


def test_bad_lines_lose_their_own_samples_and_no_other(tmp_path: Path, archive: Archive) -> None:
    api = Garbled(lambda lines: b"".join([*BAD_LINES, *lines[len(BAD_LINES) :]]))
    with serving(api) as base_url:
        state, _ = run(archive, job_file(tmp_path, base_url, lane="batch", cap={"usd": 5}))
    assert (state.status, state.done, api.creations) == ("done", 30, 2)
    assert [len(custom_ids) for custom_ids in api.batches.values()] == [30, 9]
    lost = "SELECT count(*) AS n, min(reserved_usd) > 0 AS held FROM attempts WHERE status = 'lost'"
    assert one_row(archive, lost) == {"n": 9, "held": True}
    assert one_row(archive, "SELECT state, reason, succeeded, errored FROM batches WHERE number = 1") == {
        "state": "settled",
        "reason": "9 lines of its results could not be read",
        "succeeded": 21,
        "errored": 9,
    }
    (warning,) = state.warnings
    assert warning == (
        "batch 1 (msgbatch_0): 9 lines of its results could not be read; "
        "9 of its samples are recorded as lost, and sent again"
    )
    assert is_sound(archive)


def test_a_bad_line_beside_all_results_is_told_and_costs_nothing(tmp_path: Path, archive: Archive) -> None:
    api = Garbled(lambda lines: b"".join([*lines, b"torn\n"]))
    with serving(api) as base_url:
        state, _ = run(archive, job_file(tmp_path, base_url, lane="batch"))
    assert (state.status, state.done, api.creations) == ("done", 30, 1)
    assert state.warnings == ("batch 1 (msgbatch_0): 1 line of its results could not be read",)
    assert one_row(archive, "SELECT count(*) AS n FROM attempts") == {"n": 30}
    assert is_sound(archive)


def test_samples_without_a_line_are_owed_again(tmp_path: Path, archive: Archive) -> None:
    api = Garbled(lambda lines: b"".join(lines[2:]))
    with serving(api) as base_url:
        state, _ = run(archive, job_file(tmp_path, base_url, lane="batch"))
    assert (state.status, state.done, state.warnings) == ("done", 30, ())
    assert [len(custom_ids) for custom_ids in api.batches.values()] == [30, 2]
    assert one_row(archive, "SELECT count(*) AS n FROM attempts") == {"n": 30}


@pytest.mark.parametrize("cut", [-1, -40, -200])
def test_a_download_that_was_cut_is_made_again(tmp_path: Path, archive: Archive, cut: int) -> None:
    api = Garbled(lambda lines: b"".join(lines)[:cut])
    with serving(api) as base_url:
        state, _ = run(archive, job_file(tmp_path, base_url, lane="batch"))
    assert (state.status, state.done, state.warnings, api.creations) == ("done", 30, (), 1)
    assert one_row(archive, "SELECT count(*) AS n FROM attempts WHERE status = 'complete'") == {"n": 30}
    assert is_sound(archive)


def test_line_ends_of_unicode_end_no_line(tmp_path: Path, archive: Archive) -> None:
    text = "so\u2028it\x85is\u2029: \\boxed{4}"

    class Odd(BatchApi):
        def results(self, batch: str) -> bytes:
            return b"".join(answer(each, text) for each in self.batches[batch])

    api = Odd()
    with serving(api) as base_url:
        state, _ = run(archive, job_file(tmp_path, base_url, lane="batch"))
    assert (state.status, state.done, state.warnings, api.creations) == ("done", 30, (), 1)
    assert archive.sql("SELECT DISTINCT text FROM traces")["text"].to_pylist() == [text]


# Replies that leave open what was done


@pytest.mark.parametrize("status", [408, 499])
def test_a_batch_may_exist_though_a_proxy_waited_no_longer(tmp_path: Path, archive: Archive, status: int) -> None:
    class Impatient(BatchApi):
        def create(self, custom_ids: list[str]) -> Reply:
            batch = f"msgbatch_{len(self.batches)}"
            super().create(custom_ids)
            self.ended.add(batch)
            return refusal(status, "timeout_error", "waited no longer")

    api = Impatient()
    with serving(api) as base_url:
        state, _ = run(archive, job_file(tmp_path, base_url, lane="batch"))
    assert (state.status, state.done, api.creations) == ("done", 30, 1)
    assert archive.sql("SELECT state, batch_id FROM batches").to_pylist() == [
        {"state": "settled", "batch_id": "msgbatch_0"}
    ]


# Two owners


def intended(number: int, **changes: Any) -> BatchRecord:
    entry = Entry(key=SampleKey(problem_id="a", arm_id="plain", sample_index=0), number=1)
    fields = {"endpoint": "e", "model": "m", "requests": 1, "entries": (entry,), "reserved_usd": 1.0}
    return BatchRecord(number=number, **{**fields, "intended_at": 1e9, **changes})


def test_a_former_owner_takes_no_number_that_the_new_one_took(archive: Archive) -> None:
    with archive.lock("sums-1") as old:
        former = BatchLedger(archive, "sums-1", old)
        with archive.lock("sums-1", force=True) as new:
            BatchLedger(archive, "sums-1", new).keep(intended(1, model="theirs"))
            with pytest.raises(LeaseLostError, match=r"000001\.json is another's"):
                former.keep(intended(former.next_number()))
            ledger = BatchLedger(archive, "sums-1", new)
    assert ([record.model for record in ledger.open], ledger.next_number()) == (["theirs"], 2)


def test_two_owners_never_write_alike(archive: Archive) -> None:
    texts = []
    for _ in range(2):
        with archive.lock("sums-1") as held:
            BatchLedger(archive, "sums-1", held).keep(intended(1))
        texts.append(archive.read_text("sums-1", "batches/000001.json"))
        archive.remove("sums-1", "batches/000001.json")
    assert texts[0] != texts[1]


def test_an_owner_that_was_replaced_while_it_wrote_creates_nothing(
    tmp_path: Path, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "STALE_S", -1.0)  # every check asks the store

    class Slow(LocalStore):
        """Somebody else takes the job over while a record is written."""

        def put_if_absent(self, name: str, data: bytes) -> str | None:
            version = super().put_if_absent(name, data)
            if "/batches/" in name:
                with Archive(tmp_path / "archive").lock("sums-1", force=True):
                    pass
            return version

    archive.store = Slow(tmp_path / "archive")
    with archive.lock("sums-1") as held:
        ledger = BatchLedger(archive, "sums-1", held)
        with pytest.raises(LeaseLostError, match="taken over"):
            ledger.keep(intended(1))
    assert BatchLedger(archive, "sums-1", held).next_number() == 2
