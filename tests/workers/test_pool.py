"""What a pool grants holds under any order of asking; nobody starves, and nobody is forgotten while it lives."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from polythink.workers.leases import Ask, Ended, Lease, Permit, Reading, Refusal, Report
from polythink.workers.pool import BURST_S, LEASE_S, PACE, SILENCE_S, Membership, Pool, Rules

HOLDERS = ("a", "b", "c", "d")
holders = st.sampled_from(HOLDERS)


def ask(count: int, *, kind: str = "job/arm", tokens: float = 10.0) -> Ask:
    return Ask(kind=kind, count=count, input_tokens=tokens, output_tokens=100.0)


class AnyOrder(RuleBasedStateMachine):
    """Holders ask, start, finish, give permits back, get refused and die, in any order, on virtual time."""

    @initialize(per_minute=st.floats(30, 60_000), ceiling=st.integers(1, 200), now=st.floats(0, 1e6))
    def begin(self, per_minute: float, ceiling: int, now: float) -> None:
        self.per_second, self.ceiling, self.now = per_minute / 60, ceiling, now
        self.pool = Pool(Rules(limits={"requests": per_minute}), now)
        self.member = Membership(job="job", in_flight=ceiling)
        self.held: dict[str, list[Permit]] = {name: [] for name in HOLDERS}
        self.heard = dict.fromkeys(HOLDERS, now)
        self.ended: dict[str, list[Ended]] = {name: [] for name in HOLDERS}
        self.granted: list[tuple[float, int]] = []
        self.frozen_until = now

    @rule(seconds=st.floats(0, 3))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(holder=holders, want=st.integers(0, 400), room=st.integers(0, 400))
    def ask(self, holder: str, want: int, room: int) -> None:
        lease = self._lease(holder, Report(asks=(ask(want),) if want else (), room=room))
        assert len(lease.permits) <= min(want, room)
        assert lease.again_s > 0
        if self.now < self.frozen_until:
            assert not lease.permits

    def _lease(self, holder: str, report: Report) -> Lease:
        running = {"job/arm": len(self.held[holder])} if self.held[holder] else {}
        ended, self.ended[holder] = self.ended[holder], []
        full = Report(asks=report.asks, room=report.room, running=running, ended=tuple(ended), refusals=report.refusals)
        self.heard[holder] = self.now
        lease = self.pool.lease(holder, self.member, full, self.now)
        self.held[holder] += lease.permits
        self.granted.append((self.now, len(lease.permits)))
        alive = [name for name in HOLDERS if self.now - self.heard[name] <= SILENCE_S]
        if lease.permits:
            assert sum(len(self.held[name]) for name in alive) <= self.ceiling
        return lease

    @rule(holder=holders, count=st.integers(1, 50), told=st.booleans())
    def finish(self, holder: str, count: int, told: bool) -> None:
        over, self.held[holder] = self.held[holder][:count], self.held[holder][count:]
        self.ended[holder] += [Ended(permit=each, input_tokens=10, output_tokens=90 if told else None) for each in over]

    @rule(holder=holders, seconds=st.floats(0, 5), is_ramp=st.booleans())
    def be_refused(self, holder: str, seconds: float, is_ramp: bool) -> None:
        self._lease(holder, Report(refusals=(Refusal(retry_after_s=seconds, is_ramp=is_ramp),)))
        self.frozen_until = max(self.frozen_until, self.now + seconds)

    @rule(holder=holders)
    def die(self, holder: str) -> None:
        self.pool.forget(holder)
        self.held[holder], self.ended[holder] = [], []

    def teardown(self) -> None:
        """In no window was more granted than a burst and what came back in it."""
        if not hasattr(self, "granted"):
            return
        for first, (start, _) in enumerate(self.granted):
            total = 0
            for end, count in self.granted[first:]:
                total += count
                most = self.per_second * PACE * (BURST_S + LEASE_S + end - start)
                assert total <= max(1.0, most) + 1e-6 * self.per_second + 1


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAnyOrder = AnyOrder.TestCase


@given(st.integers(2, 8), st.floats(60, 6000))
def test_every_holder_that_asks_gets_its_part(count: int, per_minute: float) -> None:
    """They ask in no order: in step with the tokens that come back, one could be early each time."""
    turns = random.Random(count)
    pool, member = Pool(Rules(limits={"requests": per_minute}), 0.0), Membership(job="job")
    got = dict.fromkeys(range(count), 0)
    for step in range(600):
        holder = turns.randrange(count)
        lease = pool.lease(str(holder), member, Report(asks=(ask(1000),), room=1000, answered=1), step * 0.1)
        got[holder] += len(lease.permits)
    assert min(got.values()) >= 0.25 * max(got.values())


def test_jobs_share_by_weight() -> None:
    pool = Pool(Rules(limits={"requests": 6000.0}), 0.0)
    got = {"heavy": 0, "light": 0}
    for step in range(2000):
        for job, weight in (("heavy", 3.0), ("light", 1.0)):
            lease = pool.lease(
                job, Membership(job=job, weight=weight), Report(asks=(ask(1000),), room=1000), step * 0.1
            )
            got[job] += len(lease.permits)
    assert 2.4 <= got["heavy"] / got["light"] <= 3.6


def test_the_strictest_of_several_jobs_rules_hold() -> None:
    pool = Pool(Rules(limits={"requests": 100.0}), 0.0)
    pool.obey(Rules(limits={"requests": 200.0, "output_tokens": 5000.0}, leave=0.5), 0.0)
    assert pool.limits == {"requests": 50.0, "output_tokens": 2500.0}


def test_the_lower_of_header_and_own_state_counts() -> None:
    pool, member = Pool(Rules(), 0.0), Membership(job="job")
    full = Reading(limits={"requests": 600.0}, used={"requests": 0.0})
    assert pool.lease("one", member, Report(asks=(ask(100),), room=100, reading=full, answered=1), 10.0).permits
    drained = Reading(limits={"requests": 600.0}, used={"requests": 300.0})
    for step in range(20):
        lease = pool.lease("one", member, Report(asks=(ask(100),), room=100, reading=drained), 12.0 + step)
        assert not lease.permits, "somebody else has used the limit up"


def test_a_lost_governor_is_as_careful_as_a_cold_start() -> None:
    pool, member = Pool(Rules(), 100.0), Membership(job="job")
    lease = pool.lease("one", member, Report(asks=(ask(1000),), room=1000, running={"job/arm": 2}), 100.0)
    assert len(lease.permits) <= 2
