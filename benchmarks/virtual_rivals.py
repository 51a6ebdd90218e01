"""What others do at a rate limit, on virtual time: so many requests in flight, or a window that feels its way.

They use the same made-up network and the same server as the product's own holders (`tests.workers.virtual_api`).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

from polythink.simulator.limits import LimitRules
from polythink.workers.leases import Reading, Refusal
from tests.workers.virtual_api import Load, World

SDK_RETRIES = 2  # the SDK's default
SDK_FIRST_PAUSE_S, SDK_LONGEST_PAUSE_S = 0.5, 8.0  # its pauses where the server names none


@dataclass
class Rival:
    """Clients that start a request whenever their window has room. What a request carries is of no matter here."""

    world: World
    window: float  # requests that may be in flight
    is_fixed: bool
    rng: random.Random
    in_flight: int = 0
    pausing: int = 0  # between a refusal and the SDK's next try, which holds its place
    lost: int = 0  # requests the SDK gave up on, sent again by whoever called it
    _cut_at: float = -math.inf
    _refusal: Refusal | None = field(default=None)

    def fill(self) -> None:
        """Start what there is room for."""
        while self.in_flight < int(self.window):
            self.in_flight += 1
            self._send(_Try(1))

    def _send(self, attempt: _Try) -> None:
        wait = self.rng.uniform(0.005, 0.03)
        self.world.at(self.world.now + wait, lambda: self.world.arrive(self, attempt))

    def answered(self, reading: Reading | None, now: float) -> None:
        """A head came: nothing to learn from it for these."""

    def refused(self, refusal: Refusal) -> None:
        self._refusal = refusal
        if not self.is_fixed and self.world.now - self._cut_at > 1.0:
            self.window, self._cut_at = max(1.0, self.window / 2), self.world.now

    def overloaded(self) -> None:
        """Only outages bring these, and there is none."""

    def ended(self, start: Any, *, input_tokens: int | None, output_tokens: int | None) -> None:
        """A request is over: answered, or refused just now."""
        refusal, self._refusal = self._refusal, None
        if refusal is None:
            if not self.is_fixed:
                self.window += 1 / self.window
            self._go_on()
        elif start.number > SDK_RETRIES:
            self.lost += 1
            self._go_on()
        else:
            pause = self._pause(start, refusal)
            self.world.at(self.world.now + pause, lambda: self._send(_Try(start.number + 1)))

    def _pause(self, start: _Try, refusal: Refusal) -> float:
        """As the SDK waits: for what the server says, up to a minute, else longer each time, with jitter."""
        if 0 < refusal.retry_after_s <= 60:
            return refusal.retry_after_s
        pause = min(SDK_FIRST_PAUSE_S * 2 ** (start.number - 1), SDK_LONGEST_PAUSE_S)
        return float(pause * (1 - 0.25 * self.rng.random()))

    def _go_on(self) -> None:
        self.in_flight -= 1
        self.fill()


@dataclass(frozen=True, slots=True)
class _Try:
    number: int


def rival_world(limits: LimitRules, load: Load, *, clients: int, window: float, is_fixed: bool) -> World:
    """A world whose clients are rivals, each with its part of `window`."""
    world = World(limits, load, workers=0)
    for number in range(clients):
        rival = Rival(world, window / clients, is_fixed, random.Random(number))
        world.at(0.01 * number, rival.fill)
    return world


def needed_in_flight(limits: LimitRules, load: Load) -> float:
    """Requests in flight that just use the binding limit up: its rate times their mean duration (Little's law)."""
    seconds = load.first_byte_s + load.output_mean / load.tokens_per_s
    sizes = {"requests": 1.0, "input_tokens": float(load.input_tokens), "output_tokens": load.output_mean}
    return min(limit / 60 / sizes[name] for name, limit in limits.per_minute("class").items()) * seconds
