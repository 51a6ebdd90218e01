"""One simulator's state, and the path of a Messages request through it: admit, draw, generate, bill."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

from polythink.records import Usage
from polythink.simulator.api_errors import ApiError
from polythink.simulator.buckets import Bucket, whole_seconds
from polythink.simulator.clock import Clock
from polythink.simulator.draws import Draws
from polythink.simulator.faults import REFUSALS, Fault, FaultPlan
from polythink.simulator.ids import seeded
from polythink.simulator.local import LocalMind
from polythink.simulator.meter import Account, Meter
from polythink.simulator.minds import Composition, Delta, Ending, Mind, deltas
from polythink.simulator.problems import ProblemIndex, load_problems
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
            index = ProblemIndex(load_problems(settings.problems, settings.question_field))
            return SyntheticMind(
                index,
                seed=settings.seed,
                refusals=settings.refusals,
                unreadable=settings.unreadable,
                redacted=settings.redacted,
            )
        case "replay":
            return load_replay(settings.recordings, order=settings.order, seed=settings.seed)
        case "local":
            return LocalMind(slots=settings.slots, seed=settings.seed)


@dataclass(slots=True)
class Generation:
    """One reply under way: its pieces, its bill, and how it ended once it has."""

    request: MessageRequest
    account: Account
    usage: Usage
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
        self._draws = Draws()
        limit = settings.requests_per_minute
        self._requests = Bucket.full(limit, 1.0, clock.now()) if limit else None

    def strike(self, request: MessageRequest) -> Fault | None:
        """The fault that the plan has for this request. Raises ApiError where it is a refusal."""
        fault = self.faults.strike(
            sample=request.user_id,
            prompt=request.prompt,
            model=request.body["model"],
            elapsed=self.clock.now() - self.started_at,
        )
        if fault and fault.kind in REFUSALS:
            raise fault.error()
        return fault

    def admit(self) -> None:
        """Raises ApiError (429) where the request limit is used up."""
        bucket, now = self._requests, self.clock.now()
        if bucket is None:
            return
        if not bucket.holds(1, now):
            wait = whole_seconds(bucket.seconds_until(1, now) / self.clock.scale)
            raise ApiError(429, "This request would exceed your organization's rate limit.", retry_after=wait)
        bucket.take(1, now)

    def generate(self, request: MessageRequest) -> Generation:
        """Begin the reply to an admitted request. Raises ApiError where the mind cannot answer."""
        draw = self._draws.number(request.draw_key, request.user_id)
        source = self.mind.compose(request, draw)
        account = Account(self.meter, request.user_id, request.facts.prices_for(request.input_tokens))
        recorded = source.input_tokens if isinstance(source, Composition) else None
        usage = Usage(input_tokens=request.input_tokens if recorded is None else recorded)
        account.input(usage)
        return Generation(
            request=request, account=account, usage=usage, latency=self._latency(request, draw), source=source
        )

    async def pieces(self, generation: Generation) -> AsyncIterator[Delta]:
        """The deltas of a reply at the simulator's pace, each billed as it comes."""
        account = generation.account
        source = generation.source
        if isinstance(source, Composition):
            pace = self.settings.pace
            for delta in self.cut(source):
                if pace:
                    await self.clock.sleep(delta.tokens / pace)
                account.output(delta.tokens, thinking=delta.kind != "text")
                yield delta
            generation.ending = source.ending
            return
        async for item in source:
            if isinstance(item, Ending):
                generation.ending = item
            else:
                account.output(item.tokens, thinking=item.kind != "text")
                yield item

    def cut(self, composition: Composition) -> list[Delta]:
        """A composition in as many deltas as its pace calls for, at least 20."""
        if not self.settings.pace:
            return deltas(composition, BURST_PIECES)
        seconds = (composition.thinking_tokens + composition.text_tokens) / self.settings.pace / self.clock.scale
        return deltas(composition, max(BURST_PIECES, round(seconds / PACED_SECONDS)))

    def _latency(self, request: MessageRequest, draw: int) -> float:
        if not self.settings.latency:
            return 0.0
        rng = seeded("latency", str(self.settings.seed), request.draw_key.hex(), str(draw))
        return self.settings.latency * _log_normal(rng)


def _log_normal(rng: random.Random) -> float:
    return rng.lognormvariate(0, LATENCY_SPREAD)
