"""No crash forgets what may have been sent: it stays under the cap, and has its row."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from polythink.jobs.intents import intent_of, leftovers, unknown_end
from polythink.jobs.purse import Purse
from polythink.jobs.verify import verify_job
from polythink.records import Attempt, Intent, Recall, SampleKey
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from polythink.storage.journal import Record, Segment, decode, encode, open_intents, read_segment
from polythink.storage.segments import Journal, read_blocks
from polythink.workers.tasks import Task
from tests.processes import wait_for
from tests.running import EXACTLY_ONCE, job_file, meter, one_row, run

WORST = 1.0


def key(n: int) -> SampleKey:
    return SampleKey(problem_id="p", arm_id="a", sample_index=n)


def ended(n: int, number: int, cost: float | None, held: float | None = None) -> Attempt:
    return Attempt(
        key=key(n), number=number, status="retry", lane="live", endpoint="e", queued_at=0.0, started_at=0.0,
        finished_at=1.0, cost_usd=cost, reserved_usd=held,
    )  # fmt: skip


class Ledger(RuleBasedStateMachine):
    """A driver that dies whenever it likes, against an API that bills what it pleases up to the worst case."""

    def __init__(self) -> None:
        super().__init__()
        self.cap = 10.0
        self.lines: list[bytes] = []  # the journal
        self.purse = Purse(cap=self.cap, settled=0.0)
        self.out: dict[tuple[int, int], float | None] = {}  # what this driver has out: billed so far
        self.billed = 0.0
        self.numbers: dict[int, int] = {}

    def write(self, *records: Record) -> None:
        self.lines += map(encode, records)

    @rule(samples=st.lists(st.integers(0, 5), unique=True, min_size=1))
    def send(self, samples: list[int]) -> None:
        tasks = [n for n in samples if all(n != m for m, _ in self.out) and self.purse.reserve(WORST)]
        for n in tasks:
            self.numbers[n] = self.numbers.get(n, 0) + 1
        self.write(
            *(Intent(key=key(n), number=self.numbers[n], endpoint="e", reserved_usd=WORST, at=0.0) for n in tasks)
        )
        self.out |= {(n, self.numbers[n]): None for n in tasks}

    @precondition(lambda self: any(cost is None for cost in self.out.values()))
    @rule(share=st.floats(0, 1), data=st.data())
    def bill(self, share: float, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, cost in self.out.items() if cost is None]))
        self.out[name] = share * WORST
        self.billed += share * WORST

    @precondition(lambda self: any(cost is not None for cost in self.out.values()))
    @rule(data=st.data(), is_cut=st.booleans())
    def hear(self, data: st.DataObject, is_cut: bool) -> None:
        """A reply is in: whole, or cut, and then only a part of its cost is known."""
        name = data.draw(st.sampled_from([name for name, cost in self.out.items() if cost is not None]))
        cost = self.out.pop(name) or 0.0
        known = cost / 2 if is_cut else cost
        self.purse.settle(reserved=known if is_cut else WORST, actual=known)
        self.write(ended(*name, known, WORST - known if is_cut else None))

    @precondition(lambda self: any(cost is None for cost in self.out.values()))
    @rule(data=st.data())
    def recall(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, cost in self.out.items() if cost is None]))
        del self.out[name]
        self.purse.settle(reserved=WORST, actual=0.0)
        self.write(Recall(key=key(name[0]), number=name[1]))

    @rule(is_torn=st.booleans())
    def die(self, is_torn: bool) -> None:
        """Kill -9, and the next driver: what it knows is in the journal."""
        if is_torn:
            self.lines.append(b"0badc0de {torn")
        segment = read_segment([b"".join(self.lines)])
        lost = [unknown_end(intent, "killed", 2.0) for intent in open_intents([segment])]
        self.lines = [line for line in self.lines if decode(line) is not None]
        self.write(*lost)
        kept = read_segment([b"".join(self.lines)]).attempts
        self.purse = Purse(cap=self.cap, settled=sum(attempt.cost_usd or 0.0 for attempt in kept))
        self.purse.hold(sum(attempt.reserved_usd or 0.0 for attempt in kept))
        self.out.clear()

    @invariant()
    def the_bill_is_under_the_cap(self) -> None:
        assert self.billed <= self.cap + 1e-6
        assert self.billed <= self.purse.settled + self.purse.reserved + 1e-6


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_an_end_in_any_segment_ends_an_intent_whatever_the_order() -> None:
    intents = tuple(Intent(key=key(n), number=1, endpoint="e", reserved_usd=1.0, at=0.0) for n in range(4))
    first = Segment(attempts=(), damaged=0, intents=intents)
    second = Segment(
        attempts=(ended(0, 1, 0.5), ended(1, 2, 0.5)),
        damaged=0,
        intents=intents[1:],
        recalls=(Recall(key=key(2), number=1),),
    )
    assert [intent.key for intent in open_intents([first, second])] == [key(1), key(3)]
    assert open_intents([second, first]) == open_intents([first, second])


def test_what_a_killed_run_had_sent_is_on_record_once_however_often_it_is_looked_for(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    task = Task(key=key(0), sample_id="x", number=3, body={}, endpoint="e", queued_at=0.0)
    Journal(archive, "j").begin().append([intent_of(task, 0.25, 5.0), ended(1, 1, 0.1)])
    for _ in range(2):
        refs = leftovers(archive, "j", 9.0)
        assert len(refs) == 2
    (attempt,) = read_segment(read_blocks(archive, refs[1]) or []).attempts
    assert (attempt.status, attempt.number, attempt.reserved_usd, attempt.cost_usd) == ("lost", 3, 0.25, None)


def started(archive: Archive, path: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "polythink", "run", str(path), "--archive", archive.root, "--yes"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def explained(archive: Archive, account: Any) -> None:
    """Every request that the meter served has its row, and everything beyond the traces is a retry or lost."""
    query = "SELECT sample_id, count(*) AS n FROM attempts GROUP BY ALL"
    rows = {row["sample_id"]: row["n"] for row in archive.sql(query).to_pylist()}
    assert all(tally["requests"] <= rows.get(sample, 0) for sample, tally in account["samples"].items())


def test_a_cap_holds_over_a_kill_and_what_was_in_flight_has_its_row(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with SimulatorProcess.start(["--pace", "200", "--latency", "0.2"]) as simulator:
        worst = 0.0101  # of one request: 2,000 tokens at $5 a million, and its prompt
        path = job_file(tmp_path, simulator.base_url, samples=60, cap={"usd": 60 * worst})
        driver = started(archive, path)
        wait_for(lambda: meter(simulator.base_url)["completed"] >= 30, "replies")
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        state, work = run(archive, path)
        account = meter(simulator.base_url)
        held = one_row(archive, "SELECT count(*) AS n, sum(reserved_usd) AS usd FROM attempts WHERE status = 'lost'")
        assert held["n"] > 0 and held["usd"] > 0
        assert account["cost_usd"] <= 60 * worst
        explained(archive, account)
        assert one_row(archive, EXACTLY_ONCE)["failed"] == 0
        if state.status == "stopped":
            assert state.reason is not None and "whose end was not seen" in state.reason
            run(archive, job_file(tmp_path, simulator.base_url, samples=60, cap={"usd": 50}))
        assert one_row(archive, EXACTLY_ONCE) == {"rows": 180, "samples": 180, "failed": 0}
        explained(archive, meter(simulator.base_url))
    assert verify_job(archive, work.job_id)[0].differences == ()


def test_an_attempt_is_never_numbered_twice(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with SimulatorProcess.start(["--pace", "300", "--latency", "0.2"]) as simulator:
        path = job_file(tmp_path, simulator.base_url, samples=30)
        for kill in range(3):
            driver = started(archive, path)
            wait_for(lambda wanted=15 * (kill + 1): meter(simulator.base_url)["completed"] >= wanted, "replies")  # type: ignore[misc]
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        run(archive, path)
    assert archive.sql("SELECT 1 FROM attempts GROUP BY sample_id, attempt HAVING count(*) > 1").num_rows == 0
    assert one_row(archive, EXACTLY_ONCE) == {"rows": 90, "samples": 90, "failed": 0}


def test_a_cap_of_tokens_holds_over_a_kill_and_says_what_to_raise(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    most = 100_000  # fifty requests of at most 2,000 tokens, or many more that are short
    with SimulatorProcess.start(["--pace", "400", "--latency", "0.2"]) as simulator:
        capped = job_file(tmp_path, simulator.base_url, samples=400, cap={"usd": 100, "output_tokens": most})
        driver = started(archive, capped)
        wait_for(lambda: meter(simulator.base_url)["completed"] >= 20, "replies")
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        state, work = run(archive, capped)
        assert state.status == "stopped" and state.reason is not None and "raise cap.output_tokens" in state.reason
        account = one_row(
            archive, "SELECT sum(output_tokens) AS tokens, count(*) FILTER (status = 'lost') AS lost FROM attempts"
        )
        assert account["lost"] > 0 and account["tokens"] <= most
    assert verify_job(archive, work.job_id)[0].differences == ()


def test_after_the_deadline_nothing_is_sent(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with SimulatorProcess.start(["--latency", "0.2"]) as simulator:
        past = job_file(tmp_path, simulator.base_url, samples=4, cap={"usd": 1, "deadline": "2026-01-01T00:00:00Z"})
        state, _ = run(archive, past)
        assert (state.status, state.done) == ("stopped", 0)
        assert state.reason is not None and "cap.deadline" in state.reason
        assert meter(simulator.base_url)["requests"] == 0
        later = job_file(
            tmp_path, simulator.base_url, samples=4, cap={"usd": 1, "deadline": "2999-01-01T00:00:00+02:00"}
        )
        state, _ = run(archive, later)
        assert (state.status, state.done) == ("done", 12)
