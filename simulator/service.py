"""One simulator's state, and the path of a Messages request through it: admit, draw, generate, bill."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from polythink.records import Lane, Usage
from polythink.simulator.bodies import BodyReader
from polythink.simulator.clock import Clock
from polythink.simulator.draws import Draws
from polythink.simulator.faults import REFUSALS, Fault, FaultPlan
from polythink.simulator.ids import seeded
from polythink.simulator.limit_headers import rate_limit_headers
from polythink.simulator.limits import Gate, Pool
from polythink.simulator.local import LocalMind
from polythink.simulator.meter import Account, Meter
from polythink.simulator.minds import Composition, Delta, Ending, Mind, deltas
from polythink.simulator.problems import ProblemIndex, load_problems
from polythink.simulator.prompt_cache import PromptCache, Visit
from polythink.simulator.replay import load_replay
from polythink.simulator.request import MessageRequest
from polythink.simulator.settings import Settings
from polythink.simulator.synthetic import SyntheticMind

BURST_PIECES = 20  # deltas of a reply sent at once
PACED_SECONDS = 0.25  # between deltas of a paced reply, where its text is long enough
LATENCY_SPREAD = 0.4  # standard deviation of log latency


def make_mind(settings: Settings) -> Mind:
    """The mind that the settings ask for.

    Raises ProblemFileError for files that cannot be used, and LocalMindError where the model is not installed.
    """
    match settings.mind:
        case "synthetic":
            return SyntheticMind(
                ProblemIndex(load_problems(settings.problems, settings.question_field)),
                seed=settings.seed,
                refusals=settings.refusals,
                unreadable=settings.unreadable,
                redacted=settings.redacted,
                judge=settings.judge,
            )
        case "replay":
            return load_replay(settings.recordings, order=settings.order, seed=settings.seed)
        case "local":
            return LocalMind(slots=settings.slots, seed=settings.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A request that was let in: who pays, and from which pool. Batches use no pool."""

    organization: str
    sample: str | None  # what the meter books it under
    lane: Lane = "live"
    pool: Pool | None = None


@dataclass(slots=True)
class Generation:
    """One reply under way: its pieces, its bill, and how it ended once it has."""

    request: MessageRequest
    admission: Admission
    account: Account
    visit: Visit
    usage: Usage  # of the input
    latency: float  # seconds of the simulator's clock before the first byte
    source: Composition | AsyncIterator[Delta | Ending]
    ending: Ending | None = None


class Simulator:
    """Everything one simulator remembers."""

    def __init__(self, settings: Settings, mind: Mind, clock: Clock, faults: FaultPlan) -> None:
        self.settings = settings
        self.mind = mind
        self.clock = clock
        self.faults = faults
        self.started_at = clock.now()
        self.meter = Meter()
        self.gate = Gate(settings.limits, settings.time_scale)
        self._bodies = BodyReader()
        self._cache = PromptCache()
        self._draws = Draws()

    def elapsed(self) -> float:
        """Seconds of the simulator's clock since its start."""
        return self.clock.now() - self.started_at

    def read(self, raw: bytes, version: str) -> tuple[MessageRequest, str | None]:
        """What a Messages body asks for, and the sample it names. Raises ApiError for what is not valid."""
        return self._bodies.read(raw, version)

    def strike(self, request: MessageRequest, sample: str | None) -> Fault | None:
        """The fault that the plan has for this request. Raises ApiError where it is a refusal."""
        fault = self.faults.strike(
            sample=sample,
            prompt=request.prompt,
            model=request.body["model"],
            elapsed=self.elapsed(),
        )
        if fault and fault.kind in REFUSALS:
            raise fault.error()
        return fault

    def admit(self, request: MessageRequest, sample: str | None, organization: str) -> Admission:
        """Let a live request in. Raises ApiError (429) where a limit is used up."""
        model = request.facts
        pool = self.gate.admit(organization, model.snapshot, model.model_class, request.input_tokens, self.clock.now())
        return Admission(organization=organization, sample=sample, pool=pool)

    def leave(self, admission: Admission) -> None:
        """A live request is over, however it ended."""
        self.gate.organization(admission.organization).in_flight -= 1

    def limit_headers(self, request: MessageRequest, organization: str) -> dict[str, str]:
        """What the reply says of the limits, as they stand now."""
        now = self.clock.now()
        pool = self.gate.pool(organization, request.facts.model_class, now)
        return rate_limit_headers(pool, now, time.time(), self.clock.scale) if pool.buckets else {}

    def generate(self, request: MessageRequest, admission: Admission) -> Generation:
        """Begin the reply to an admitted request. Raises ApiError where the mind cannot answer."""
        draw = self._draws.number(request.draw_key, admission.sample)
        source = self.mind.compose(request, draw)
        now = self.clock.now()
        visit = self._cache.visit(request, f"{admission.organization} {admission.lane}", now)
        if admission.pool and visit.usage.cache_read_tokens:
            admission.pool.take("input_tokens", -visit.usage.cache_read_tokens, now)
        recorded = source.input_tokens if isinstance(source, Composition) else None
        usage = visit.usage if recorded is None else Usage(input_tokens=recorded)
        prices = request.facts.prices_for(request.input_tokens)
        account = Account(self.meter, admission.sample, prices, admission.lane)
        account.input(usage)
        return Generation(
            request=request,
            admission=admission,
            account=account,
            visit=visit,
            usage=usage,
            latency=self._latency(request, draw),
            source=source,
        )

    def burst(self, generation: Generation) -> Composition:
        """A reply that is known and not paced, billed as one."""
        source = generation.source
        assert isinstance(source, Composition)
        generation.visit.begun()
        generation.ending = source.ending
        generation.account.output(source.thinking_tokens + source.text_tokens, source.thinking_tokens)
        if pool := generation.admission.pool:
            pool.take("output_tokens", source.thinking_tokens + source.text_tokens, self.clock.now())
        return source

    async def pieces(self, generation: Generation) -> AsyncIterator[Delta]:
        """The deltas of a reply at the simulator's pace, each billed as it comes."""
        source = generation.source
        generation.visit.begun()
        if isinstance(source, Composition):
            pace = self.settings.pace if generation.admission.lane == "live" else 0.0
            due = self.clock.now()  # by deadline, so that the time spent on a delta is not added to the pace
            for delta in self._cut(source, pace):
                if pace:
                    due += delta.tokens / pace
                    await self.clock.sleep(due - self.clock.now())
                self._bill(generation, delta)
                yield delta
            generation.ending = source.ending
            return
        async for item in source:
            if isinstance(item, Ending):
                generation.ending = item
            else:
                self._bill(generation, item)
                yield item

    def settle(self, generation: Generation) -> None:
        """Close a reply's bill, however it ended."""
        organization = self.gate.organization(generation.admission.organization)
        organization.spent_usd += generation.account.cost_usd

    def _bill(self, generation: Generation, delta: Delta) -> None:
        generation.account.output(delta.tokens, delta.tokens if delta.kind in ("thinking", "redacted") else 0)
        if pool := generation.admission.pool:
            pool.take("output_tokens", delta.tokens, self.clock.now())

    def _cut(self, composition: Composition, pace: float) -> list[Delta]:
        if not pace:
            return deltas(composition, BURST_PIECES)
        seconds = (composition.thinking_tokens + composition.text_tokens) / pace / self.clock.scale
        return deltas(composition, max(BURST_PIECES, round(seconds / PACED_SECONDS)))

    def _latency(self, request: MessageRequest, draw: int) -> float:
        if not self.settings.latency:
            return 0.0
        rng = seeded("latency", str(self.settings.seed), request.draw_key.hex(), str(draw))
        return self.settings.latency * rng.lognormvariate(0, LATENCY_SPREAD)
