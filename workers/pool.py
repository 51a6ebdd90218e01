"""The governor's arithmetic for one limit pool. No I/O, no clock: time is passed in, in seconds.

A pool is what the API limits as one: requests, input tokens and output tokens a minute of an endpoint and model class.

Requests and input are known when a request starts, so they are paced: what is granted counts at once, comes back at
the limit's rate, and no more than a short burst may be outstanding. Output is generated over the life of a stream, so
the number of streams is controlled instead (output_limit.py). Headers correct both: whichever is lower, our state or
theirs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from polythink.workers.allowance import Allowance
from polythink.workers.breaker import Breaker, Circuit
from polythink.workers.leases import DIMENSIONS, Ask, Dimension, Ended, Lease, Permit, Reading, Refusal, Report
from polythink.workers.limit_headers import ROUNDED_TO
from polythink.workers.output_limit import OutputLimit
from polythink.workers.ramp import Ramp
from polythink.workers.window import Window

PACE = 0.998  # of a limit: what is left over absorbs the jitter of the network
SLOWED = 0.99  # times the pace, after a refusal
SLOWEST = 0.90
RECOVERY = 0.0005  # of a limit a second
LEASE_S = 0.4  # seconds that permits are spread over
BURST_S = 0.5  # seconds of a limit that may start late, all at once
SOONEST_S = 0.02  # seconds until anybody asks again
UNKNOWN = 4  # requests in flight until a reply has told limits, or that there are none
SILENCE_S = 10.0  # seconds after which a holder that does not report is gone
FREEZE_JITTER_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the user wants of a pool."""

    limits: Mapping[Dimension, float] = field(default_factory=dict)  # per minute; the server's may be lower
    leave: float = 0.0  # share of every limit that is left to others


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Whose permits a holder asks for."""

    job: str
    weight: float = 1.0  # relative to other jobs
    in_flight: int = 1_000_000  # requests the job may have running, over all its holders


@dataclass(slots=True)
class _Holder:
    """One worker, as last heard of."""

    member: Membership
    heard_at: float
    running: dict[str, int] = field(default_factory=dict)
    wants: bool = False
    hungry_since: float = math.inf  # asked and got nothing since
    owed: float = 0.0  # of a permit, by which its parts have been rounded down

    @property
    def in_flight(self) -> int:
        return sum(self.running.values())


class Pool:
    """What all holders share."""

    def __init__(self, rules: Rules, now: float) -> None:
        self._rules = rules
        self._now = now
        self._told: dict[Dimension, float] = {}  # limits per minute as the server says
        self._allowances: dict[Dimension, Allowance] = {}
        self._output: OutputLimit | None = None
        self._pace = PACE
        self._slowed_at = -math.inf
        self._frozen_until = now
        self._ramp = Ramp(now)
        self._breaker = Breaker()
        self._window: Window | None = None  # for endpoints that tell no limits
        self._holders: dict[str, _Holder] = {}
        self._served: dict[str, float] = {}  # job -> permits it got, by its weight
        self._set_rates()

    @property
    def limits(self) -> dict[Dimension, float]:
        """Per minute, as obeyed: what the server says or the user wants, whichever is lower, less what is left."""
        wanted, told = self._rules.limits, self._told
        lower = {name: min(told.get(name, math.inf), wanted.get(name, math.inf)) for name in DIMENSIONS}
        return {name: limit * (1 - self._rules.leave) for name, limit in lower.items() if limit < math.inf}

    def obey(self, rules: Rules, now: float) -> None:
        """Take a job's rules in. Of several jobs' the strictest hold: lowest limits, largest share left."""
        ours = self._rules
        named = ours.limits.keys() | rules.limits.keys()
        lowest = {name: min(ours.limits.get(name, math.inf), rules.limits.get(name, math.inf)) for name in named}
        stricter = Rules(limits=lowest, leave=max(ours.leave, rules.leave))
        if stricter != ours:
            self._rules = stricter
            self._advance(now)
            self._set_rates()

    def lease(self, name: str, member: Membership, report: Report, now: float) -> Lease:
        """Take a report in, and grant what may start."""
        self._advance(now)
        holder = self._update(name, member, report)
        self._hear(report)
        circuit = self._breaker.state(now)
        can_start = circuit is not Circuit.OPEN and now >= self._frozen_until
        permits = self._grant(holder, report, is_probe=circuit is Circuit.PROBING) if can_start else []
        got_nothing = holder.wants and not permits
        holder.hungry_since = min(holder.hungry_since, now) if got_nothing else math.inf
        paces = bool(self._allowances or self._output)
        is_full = len(permits) == report.room or self._job_room(holder) == 0
        return Lease(
            permits=tuple(permits),
            spread_s=LEASE_S if paces else 0.0,
            again_s=self._wait() if got_nothing else LEASE_S,
            is_held_by_running=not paces or is_full,
            is_probe=circuit is not Circuit.CLOSED,
        )

    def forget(self, name: str) -> None:
        """A holder is gone, and its requests with it."""
        holder = self._holders.pop(name, None)
        if holder and self._output:
            self._output.change(holder.running, -1)

    def _update(self, name: str, member: Membership, report: Report) -> _Holder:
        earlier = self._holders.get(name)
        self.forget(name)
        holder = self._holders[name] = _Holder(member, self._now, dict(report.running), bool(report.asks))
        if self._output:
            self._output.change(holder.running, 1)
        if earlier:
            holder.hungry_since, holder.owed = earlier.hungry_since, earlier.owed
        if holder.wants and not (earlier and earlier.wants):
            self._join(holder)
        return holder

    def _join(self, holder: _Holder) -> None:
        """A job that has been away gets no credit for it."""
        rivals = [other.member.job for other in self._holders.values() if other is not holder and other.wants]
        if rivals and (job := holder.member.job) not in rivals:
            least = min(self._served.get(rival, 0.0) for rival in rivals)
            self._served[job] = max(self._served.get(job, 0.0), least)

    # What is heard

    def _hear(self, report: Report) -> None:
        if self._window:
            self._window.answered(report.answered, running=self._in_flight() + len(report.ended))
        for permit in report.returned:
            self._use("requests", -1)
            self._settle(Ended(permit=permit))
        for ended in report.ended:
            self._settle(ended)
        if report.reading:
            self._correct(report.reading)
        elif report.limitless and not self.limits and self._window is None:
            self._window = Window(self._now)
        for refusal in report.refusals:
            self._refused(refusal)
        if self._breaker.hear(answered=report.answered, overloads=report.overloads, now=self._now):
            self._ramp.restart(self._now)

    def _settle(self, ended: Ended) -> None:
        permit = ended.permit
        self._use("input_tokens", (ended.input_tokens or 0) - permit.input_tokens)
        if self._window and ended.output_tokens is not None:
            self._window.ended(permit.kind, tokens=ended.output_tokens, began_at=permit.granted_at, now=self._now)
        if self._output:
            self._output.ended(permit.kind, tokens=ended.output_tokens, seconds=self._now - permit.granted_at)

    def _correct(self, reading: Reading) -> None:
        self._window = None
        if dict(reading.limits) != self._told:
            self._told = dict(reading.limits)
            self._set_rates()
        for name, used in reading.used.items():
            if name == "output_tokens":
                self._measure_output(reading, used)
            elif allowance := self._allowances.get(name):
                since = self._told[name] / 60 * reading.age_s
                allowance.at_least(used - ROUNDED_TO[name] / 2 - since, self._now)

    def _measure_output(self, reading: Reading, used: float) -> None:
        if self._output:
            self._output.measure(
                used,
                rounding=ROUNDED_TO["output_tokens"],
                age_s=reading.age_s,
                is_all_ours=self.limits["output_tokens"] == self._told["output_tokens"],
            )

    def _refused(self, refusal: Refusal) -> None:
        freeze = refusal.retry_after_s + FREEZE_JITTER_S
        self._frozen_until = max(self._frozen_until, self._now + freeze)
        for allowance in self._allowances.values():  # afterwards at pace, not all at once
            allowance.at_least((BURST_S + LEASE_S + freeze) * allowance.rate, self._now)
        if self._window:
            self._window.refused(self._now)
        if self._output and refusal.reading:
            self._output.refused(refusal.reading.used.get("output_tokens", 0.0))
        if refusal.is_ramp:
            requests = self._allowances.get("requests")
            self._ramp.slow(self._now, at_most=requests.rate if requests else math.inf)
        elif self._now - self._slowed_at >= 1:
            self._pace, self._slowed_at = max(SLOWEST, self._pace * SLOWED), self._now
            self._set_rates()

    # What is granted

    def _grant(self, holder: _Holder, report: Report, *, is_probe: bool) -> list[Permit]:
        """Permits in turn to every kind that is asked for, so that a job's arms go on side by side."""
        most = min(report.room, 1 if is_probe else self._share(holder, report.asks))
        left = {ask: ask.count for ask in report.asks}
        permits: list[Permit] = []
        while left and len(permits) < most:
            for ask in list(left):
                if len(permits) == most:
                    break
                if left[ask] == 0 or self._room(ask) < 1:
                    del left[ask]
                    continue
                left[ask] -= 1
                permits.append(self._permit(holder, ask))
        job = holder.member.job
        self._served[job] = self._served.get(job, 0.0) + len(permits) / holder.member.weight
        if is_probe and permits:
            self._breaker.probe(self._now)
        return permits

    def _share(self, holder: _Holder, asks: tuple[Ask, ...]) -> int:
        """How many requests are a holder's part of the room there is; at least one when it is its turn."""
        if not asks:
            return 0
        room = min(self._room(asks[0]), self._job_room(holder))
        others = [other for other in self._holders.values() if other is not holder and other.wants]
        mine = holder.member.weight
        total = mine + sum(other.member.weight for other in others)
        exact = holder.owed + min(room * mine / total, self._owed(holder, others, room / total))
        part = max(0, math.floor(exact))
        holder.owed = min(1.0, max(0.0, exact - part))
        ahead = sum(1 for other in others if other.hungry_since < min(holder.hungry_since, self._now))
        return max(part, 1 if room >= ahead + 1 else 0)

    def _owed(self, holder: _Holder, others: list[_Holder], slack: float) -> float:
        """What a job may have before it leads the others by more than `slack`, each counted by its weight."""
        job = holder.member.job
        rivals = [self._served.get(other.member.job, 0.0) for other in others if other.member.job != job]
        if not rivals:
            return math.inf
        return (min(rivals) + slack - self._served.get(job, 0.0)) * holder.member.weight

    def _room(self, ask: Ask) -> float:
        """How many requests of a kind may start now."""
        rooms = [self._ramp.room(self._now)]
        if self._window:
            rooms.append(self._window.size - self._in_flight())
        elif not self.limits:
            rooms.append(UNKNOWN - self._in_flight())
        sizes: tuple[tuple[Dimension, float], ...] = (("requests", 1.0), ("input_tokens", ask.input_tokens))
        for name, each in sizes:
            if (allowance := self._allowances.get(name)) and each > 0:
                rooms.append(_fit((BURST_S + LEASE_S) * allowance.rate, allowance.used_at(self._now), each))
        if self._output:
            rooms.append(self._output.room(ask.kind, ask.output_tokens))
        return min(rooms)

    def _permit(self, holder: _Holder, ask: Ask) -> Permit:
        self._ramp.start(1, self._now)
        self._use("requests", 1)
        self._use("input_tokens", ask.input_tokens)
        holder.running[ask.kind] = holder.running.get(ask.kind, 0) + 1
        if self._output:
            self._output.change({ask.kind: 1}, 1)
        return Permit(kind=ask.kind, granted_at=self._now, input_tokens=ask.input_tokens)

    def _job_room(self, holder: _Holder) -> int:
        job = holder.member.job
        running = sum(other.in_flight for other in self._holders.values() if other.member.job == job)
        return max(0, holder.member.in_flight - running)

    # The state of things

    def _advance(self, now: float) -> None:
        seconds = max(0.0, now - self._now)
        self._now = max(self._now, now)
        if self._output:
            self._output.advance(self._now)
        if self._pace < PACE:
            self._pace = min(PACE, self._pace + RECOVERY * seconds)
            self._set_rates()
        for name in [name for name, holder in self._holders.items() if now - holder.heard_at > SILENCE_S]:
            self.forget(name)

    def _in_flight(self) -> int:
        return sum(holder.in_flight for holder in self._holders.values())

    def _use(self, name: Dimension, amount: float) -> None:
        if amount and (allowance := self._allowances.get(name)):
            allowance.use(amount, self._now)

    def _set_rates(self) -> None:
        paced = {name: limit * self._pace for name, limit in self.limits.items()}
        self._set_output_rate(paced.pop("output_tokens", None))
        for name, per_minute in paced.items():
            if name in self._allowances:
                self._allowances[name].resize(per_minute, self._now)
            else:
                self._allowances[name] = Allowance(per_minute=per_minute, now=self._now)
        for name in set(self._allowances) - set(paced):
            del self._allowances[name]

    def _set_output_rate(self, per_minute: float | None) -> None:
        if per_minute is None:
            self._output = None
        elif self._output:
            self._output.resize(per_minute)
        else:
            self._output = OutputLimit(per_minute=per_minute, now=self._now)
            for holder in self._holders.values():
                self._output.change(holder.running, 1)

    def _wait(self) -> float:
        """Seconds until it may be worth asking again."""
        closed = max(self._frozen_until - self._now, self._breaker.seconds_to_probe(self._now))
        if closed > 0:
            return min(1.0, max(SOONEST_S, closed))
        requests = self._allowances.get("requests")
        one_more = 1 / requests.rate if requests else 0.0
        return min(LEASE_S, max(SOONEST_S * max(1, len(self._holders)), one_more / 2))


def _fit(ceiling: float, used: float, each: float) -> float:
    """How many of a size fit; one that is larger than the whole fits when nothing is used."""
    if each > ceiling:
        return 1.0 if used <= 1e-6 * ceiling else 0.0
    return (ceiling - used) / each
