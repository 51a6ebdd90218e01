"""No sample is lost, sent twice at once or finished twice, whatever comes back in whatever order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from polythink.jobs.backoff import CEILING_S, backoff_s
from polythink.jobs.grid import DoneSet, Grid
from polythink.jobs.scheduler import Scheduler
from polythink.records import Attempt, SampleKey
from polythink.workers.tasks import Failure, Result

STRIKES = 3
LIMITED = Failure(
    disposition="retry", error_type="rate_limit_error", message="no", limited=True, retry_after_s=2.0, http_status=429
)
OVERLOAD = Failure(disposition="retry", error_type="overloaded_error", message="no", http_status=529)
BAD = Failure(disposition="give_up", error_type="invalid_request_error", message="no", http_status=400)
NO_KEY = Failure(disposition="stop_job", error_type="authentication_error", message="no", http_status=401)


def result(key: SampleKey, number: int, failure: Failure | None) -> Result:
    status = "complete" if failure is None else "failed" if failure.disposition == "give_up" else "retry"
    attempt = Attempt(
        key=key,
        number=number,
        status=status,  # type: ignore[arg-type]
        lane="live",
        endpoint="e",
        queued_at=0.0,
        started_at=0.0,
        finished_at=0.0,
    )
    return Result(attempt=attempt, failure=failure)


class AnyRun(RuleBasedStateMachine):
    """A model of what each sample should be, beside the scheduler."""

    @initialize(
        problems=st.integers(1, 4),
        samples=st.integers(1, 4),
        done=st.sets(st.integers(0, 15)),
        earlier=st.dictionaries(st.integers(0, 15), st.integers(1, 9)),
    )
    def begin(self, problems: int, samples: int, done: set[int], earlier: dict[int, int]) -> None:
        self.grid = Grid([f"p{n}" for n in range(problems)], ["a"], samples)
        self.finished = {ordinal for ordinal in done if ordinal < len(self.grid)}
        done_set = DoneSet(len(self.grid))
        for ordinal in self.finished:
            done_set.add(ordinal)
        self.tried = {n: count for n, count in earlier.items() if n not in self.finished}
        self.scheduler = Scheduler(self.grid, done_set, earlier_attempts=self.tried, max_strikes=STRIKES, seed=1)
        self.out: dict[int, int] = {}  # ordinal -> number of the attempt it is out for
        self.strikes: dict[int, int] = {}
        self.deaths: dict[int, int] = {}  # ordinal -> workers that died with it
        self.alone: dict[int, int] = {}  # of these, with no other
        self.now = 0.0

    @rule(seconds=st.floats(0, 70))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(count=st.integers(1, 6))
    def send(self, count: int) -> None:
        for _ in range(count):
            due = self.scheduler.next_due(self.now, ["a"])
            if due is None:
                return
            assert due.ordinal not in self.out, "with a worker already"
            assert self.deaths.get(due.ordinal, 0) < 2, "among others"
            assert due.ordinal not in self.finished
            assert due.number == self.tried.get(due.ordinal, 0) + 1
            self.out[due.ordinal] = due.number

    @rule(data=st.data(), failure=st.sampled_from([None, LIMITED, OVERLOAD, BAD, NO_KEY]))
    def settle(self, data: st.DataObject, failure: Failure | None) -> None:
        if not self.out:
            return
        ordinal = data.draw(st.sampled_from(sorted(self.out)))
        number = self.out.pop(ordinal)
        attempt = self.scheduler.settle(result(self.grid.key(ordinal), number, failure), self.now)
        assert attempt is not None and attempt.number == number
        self.tried[ordinal] = number
        if failure is OVERLOAD:
            self.strikes[ordinal] = self.strikes.get(ordinal, 0) + 1
        last_strike = failure is OVERLOAD and self.strikes[ordinal] == STRIKES
        assert attempt.is_final == (failure in (None, BAD) or last_strike)
        assert (attempt.status == "failed") == (failure is BAD or last_strike)
        if attempt.is_final:
            self.finished.add(ordinal)
            self.deaths.pop(ordinal, None)
            self.alone.pop(ordinal, None)

    @rule()
    def send_suspects(self) -> None:
        for due in self.scheduler.next_suspects(self.now):
            assert self.deaths[due.ordinal] >= 2 and due.ordinal not in self.out
            assert due.number == self.tried.get(due.ordinal, 0) + 1
            self.out[due.ordinal] = due.number

    @rule(data=st.data())
    def lose_a_worker(self, data: st.DataObject) -> None:
        if not self.out:
            return
        lost = data.draw(st.sets(st.sampled_from(sorted(self.out)), min_size=1))
        deaths = self.scheduler.lose([self.grid.key(ordinal) for ordinal in lost], "again")
        for ordinal in lost:
            self.deaths[ordinal] = self.deaths.get(ordinal, 0) + 1
        first = min(lost)
        if len(lost) == 1:
            self.alone[first] = self.alone.get(first, 0) + 1
        is_to_blame = len(lost) == 1 and self.alone[first] > 1
        assert deaths == (("again",) * self.deaths[first] if is_to_blame else ())
        for ordinal in lost if not deaths else ():
            self.tried[ordinal] = self.out.pop(ordinal)

    @rule(data=st.data())
    def hear_of_a_finished_sample_again(self, data: st.DataObject) -> None:
        if self.finished:
            key = self.grid.key(data.draw(st.sampled_from(sorted(self.finished))))
            assert self.scheduler.settle(result(key, 1, None), self.now) is None

    @invariant()
    def the_counts_agree(self) -> None:
        assert self.scheduler.out == len(self.out)
        assert len(self.scheduler.done) == len(self.finished)
        assert self.scheduler.is_finished == (len(self.finished) == len(self.grid))

    def teardown(self) -> None:
        """Whatever has happened, what is left can all be sent and finished."""
        if not hasattr(self, "grid"):
            return
        for ordinal in list(self.out):
            self.scheduler.put_back(ordinal)
        self.now += CEILING_S + 1
        left = set()
        while due := self.scheduler.next_due(self.now, ["a"]):
            left.add(due.ordinal)
        while group := self.scheduler.next_suspects(self.now):
            left.update(due.ordinal for due in group)
        assert left == set(range(len(self.grid))) - self.finished


AnyRun.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestAnyRun = AnyRun.TestCase


def one_sample() -> Scheduler:
    return Scheduler(Grid(["p"], ["a"], 1), DoneSet(1), earlier_attempts={}, max_strikes=STRIKES, seed=0)


def test_a_429_is_no_strike_and_waits_as_long_as_it_was_told() -> None:
    scheduler = one_sample()
    for number in range(1, 10 * STRIKES):
        now = number * 10.0
        due = scheduler.next_due(now, ["a"])
        assert due is not None and due.number == number
        attempt = scheduler.settle(result(scheduler.grid.key(0), number, LIMITED), now)
        assert attempt is not None and attempt.status == "retry"
        assert scheduler.next_due(now + 1.99, ["a"]) is None
    assert not scheduler.is_finished


def test_a_failure_that_is_not_the_samples_fault_never_gives_it_up() -> None:
    scheduler = one_sample()
    for number in range(1, 3 * STRIKES):
        now = number * 2 * CEILING_S
        assert scheduler.next_due(now, ["a"])
        attempt = scheduler.settle(result(scheduler.grid.key(0), number, OVERLOAD), now, may_give_up=False)
        assert attempt is not None and attempt.status == "retry"
    assert not scheduler.is_finished


def test_a_refused_job_costs_no_sample_its_life() -> None:
    scheduler = one_sample()
    assert scheduler.next_due(0.0, ["a"])
    attempt = scheduler.settle(result(scheduler.grid.key(0), 1, NO_KEY), 0.0)
    assert attempt is not None and attempt.status == "retry"
    assert not scheduler.is_finished


def test_a_sample_that_is_no_longer_asked_for_is_passed_over() -> None:
    stranger = SampleKey(problem_id="gone", arm_id="a", sample_index=0)
    assert one_sample().settle(result(stranger, 1, None), 0.0) is None


@given(st.integers(1, 1000), st.integers())
def test_backoff_is_bounded(strikes: int, seed: int) -> None:
    assert 0 <= backoff_s(strikes, random.Random(seed)) <= CEILING_S


@pytest.mark.parametrize("strikes", [1, 2, 5])
def test_backoff_doubles_until_its_ceiling(strikes: int) -> None:
    rng = random.Random(0)
    mean = sum(backoff_s(strikes, rng) for _ in range(4000)) / 4000
    assert mean == pytest.approx(0.5 * 2**strikes / 2, rel=0.1)
