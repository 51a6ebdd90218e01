"""The shared limit holds under any order of asking, and nobody starves."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from polythink.workers.pace import BURST_S, LEASE_S, Pace

HOLDERS = ("a", "b", "c", "d")
holders = st.sampled_from(HOLDERS)


class AnyOrder(RuleBasedStateMachine):
    """Holders ask, start, finish, give permits back, die and get frozen out, in any order, on virtual time."""

    @initialize(per_minute=st.none() | st.floats(1, 60_000), ceiling=st.integers(1, 40), now=st.floats(0, 1e6))
    def begin(self, per_minute: float | None, ceiling: int, now: float) -> None:
        self.per_second = None if per_minute is None else per_minute / 60
        self.ceiling, self.now = ceiling, now
        self.pace = Pace(requests_per_minute=per_minute, in_flight=ceiling, now=now)
        self.running = dict.fromkeys(HOLDERS, 0)
        self.unused = dict.fromkeys(HOLDERS, 0)
        self.used: list[tuple[float, int]] = []  # (when permitted, how many of them started)
        self.frozen_until = now

    @rule(seconds=st.floats(0, 3))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(holder=holders, want=st.integers(0, 60), left=st.integers(0, 3))
    def ask(self, holder: str, want: int, left: int) -> None:
        lease = self.pace.lease(
            holder, want=want, in_flight=self.running[holder], unused=self.unused[holder], now=self.now
        )
        assert 0 <= lease.starts <= want
        assert 0 < lease.seconds <= LEASE_S
        if self.now < self.frozen_until:
            assert lease.starts == 0
        self.unused[holder] = min(left, lease.starts)
        started = lease.starts - self.unused[holder]
        self.running[holder] += started
        self.used.append((self.now, started))

    @rule(holder=holders, count=st.integers(1, 20))
    def finish(self, holder: str, count: int) -> None:
        self.running[holder] = max(0, self.running[holder] - count)

    @rule(seconds=st.floats(0, 5))
    def freeze(self, seconds: float) -> None:
        self.pace.freeze(seconds, self.now)
        self.frozen_until = max(self.frozen_until, self.now + seconds)

    @rule(holder=holders)
    def die(self, holder: str) -> None:
        self.pace.forget(holder)
        self.running[holder] = self.unused[holder] = 0

    @invariant()
    def the_ceiling_holds(self) -> None:
        assert sum(self.running.values()) <= self.ceiling

    @precondition(lambda self: self.per_second is not None)
    @invariant()
    def no_window_holds_more_than_burst_and_refill(self) -> None:
        assert self.per_second is not None
        burst = max(1.0, self.per_second * BURST_S)
        total = 0
        for begin, count in reversed(self.used):
            total += count
            assert total <= burst + self.per_second * (self.now - begin) + 1e-6


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase


@settings(deadline=None)
@given(
    per_minute=st.none() | st.floats(30, 6000),
    ceiling=st.integers(1, 6),
    greedy=st.integers(1, 10),
    order=st.randoms(use_true_random=False),
)
def test_who_keeps_asking_gets_through_however_greedy_the_others(
    per_minute: float | None, ceiling: int, greedy: int, order: object
) -> None:
    pace, now = Pace(requests_per_minute=per_minute, in_flight=ceiling, now=0.0), 0.0
    running = {f"greedy-{n}": 0 for n in range(greedy)}
    per_start = 0.0 if per_minute is None else 60 / per_minute
    deadline = 2.0 + (greedy + 1 + ceiling) * max(0.1, per_start) * 2
    while now < deadline:
        names = list(running)
        order.shuffle(names)  # type: ignore[attr-defined]
        for name in names:  # every request ends within the step, and its holder asks again first
            running[name] = pace.lease(name, want=100, in_flight=0, unused=0, now=now).starts
        if pace.lease("patient", want=1, in_flight=0, unused=0, now=now).starts:
            return
        now += 0.05
    raise AssertionError(f"nothing in {now:.2f} s")


@given(st.floats(60, 6000), st.integers(1, 200))
def test_one_holder_that_asks_as_told_gets_the_whole_rate(per_minute: float, ceiling: int) -> None:
    pace, now, starts = Pace(requests_per_minute=per_minute, in_flight=ceiling, now=0.0), 0.0, 0
    while now < 30:
        lease = pace.lease("a", want=ceiling, in_flight=0, unused=0, now=now)
        starts += lease.starts
        now += 0.02 if lease.starts else lease.seconds
    assert starts >= min(0.99 * (30 * per_minute / 60 - 1), ceiling * 30 / LEASE_S)


def test_without_a_rate_only_the_ceiling_binds_and_a_freeze_stops_all() -> None:
    pace = Pace(requests_per_minute=None, in_flight=10, now=0.0)
    assert pace.lease("a", want=50, in_flight=0, unused=0, now=0.0).starts == 10
    pace.freeze(2.0, now=0.0)
    frozen = pace.lease("a", want=5, in_flight=0, unused=0, now=1.5)
    assert (frozen.starts, math.isclose(frozen.seconds, 0.5)) == (0, True)
    assert pace.lease("a", want=5, in_flight=0, unused=0, now=2.0).starts == 5


def test_permits_given_back_go_to_others_without_waiting_for_refill() -> None:
    pace = Pace(requests_per_minute=60, in_flight=10, now=0.0)
    assert pace.lease("a", want=1, in_flight=0, unused=0, now=1.0).starts == 1
    assert pace.lease("b", want=1, in_flight=0, unused=0, now=1.0).starts == 0
    pace.lease("a", want=0, in_flight=0, unused=1, now=1.0)
    assert pace.lease("b", want=1, in_flight=0, unused=0, now=1.0).starts == 1


def test_one_that_died_in_the_queue_holds_nobody_up_for_long() -> None:
    pace = Pace(requests_per_minute=None, in_flight=1, now=0.0)
    pace.lease("a", want=1, in_flight=0, unused=0, now=0.0)
    pace.lease("dead", want=1, in_flight=0, unused=0, now=0.0)
    assert pace.lease("a", want=1, in_flight=0, unused=0, now=1.0).starts == 0
    assert pace.lease("a", want=1, in_flight=0, unused=0, now=3.0).starts == 1
