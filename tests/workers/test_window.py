"""How many requests in flight an endpoint without limits gets, on virtual time, by what kind of server it is."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polythink.workers.window import HEADROOM, Window

SEEDS = range(10)
STREAM_S = 80.0  # output tokens a second of a stream that runs freely
FIRST_BYTE_S = 0.3


@dataclass
class Server:
    """Serves requests of log-normal lengths, one after the other as the window lets them in."""

    slots: float = float("inf")  # requests generated at once; the others wait in line
    capacity: float = float("inf")  # output tokens a second, of all streams together
    stream_s: float = STREAM_S
    mean: float = 800.0  # tokens
    sigma: float = 0.8  # of the logarithm
    arms: tuple[float, ...] = (1.0,)  # times the mean, in turn
    reply_s: float | None = None  # seconds that a reply takes, however long it is
    always: int | None = None  # requests in flight, whatever the window
    seed: int = 0
    now: float = 0.0
    level: float = 0.0  # tokens that a stream which has always run would have
    done: list[tuple[float, int]] = field(default_factory=list)  # (when, tokens)
    sizes: list[tuple[float, float]] = field(default_factory=list)

    def run(self, until: Callable[[Server], bool] | float) -> Server:
        rng, order, window = random.Random(self.seed), count(), Window(0.0)
        waiting: deque[tuple[float, int, int]] = deque()
        running: list[tuple[float, int, float, int, int]] = []  # (level at which it ends, ..., began, arm, tokens)
        arms = cycle(range(len(self.arms)))
        end = until if callable(until) else lambda server: server.now >= until
        while not end(self):
            while len(waiting) + len(running) < (self.always or int(window.size)):
                arm = next(arms)
                tokens = rng.lognormvariate(0, self.sigma) * self.arms[arm] * self.median
                waiting.append((self.now, arm, max(1, round(tokens))))
            while waiting and len(running) < self.slots:
                began, arm, tokens = waiting.popleft()
                work = tokens + FIRST_BYTE_S * STREAM_S * rng.uniform(0.7, 1.5)
                if self.reply_s is not None:
                    work = self.reply_s * STREAM_S
                ends = self.level + work * rng.lognormvariate(0, 0.15)
                heapq.heappush(running, (ends, next(order), began, arm, tokens))
            level, _, began, arm, tokens = heapq.heappop(running)
            speed = min(self.stream_s, self.capacity / (len(running) + 1))
            self.now += max(0.0, level - self.level) / speed
            self.level = max(self.level, level)
            self.done.append((self.now, tokens))
            window.answered(1, running=len(waiting) + len(running) + 1)
            window.ended(f"arm {arm}", tokens=tokens, began_at=began, now=self.now)
            self.sizes.append((self.now, window.size))
        return self

    @property
    def median(self) -> float:
        return self.mean / math.exp(self.sigma**2 / 2)

    def rate(self, since: float) -> float:
        """Output tokens a second."""
        return sum(tokens for at, tokens in self.done if at >= since) / (self.now - since)

    def window(self, since: float) -> float:
        """Its size on average over the requests ended."""
        sizes = [size for at, size in self.sizes if at >= since]
        return sum(sizes) / len(sizes)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("streams", [8, 50, 400])
def test_a_server_of_some_capacity_is_used_fully_with_few_streams_more_than_it_takes(streams: int, seed: int) -> None:
    server = Server(capacity=streams * STREAM_S, seed=seed).run(600.0)
    full = Server(capacity=streams * STREAM_S, seed=seed, always=4 * streams).run(600.0)
    assert server.rate(200.0) >= 0.92 * full.rate(200.0)
    assert server.window(200.0) <= 2.0 * streams


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("slots", [4, 32, 200])
def test_slots_are_kept_busy_and_the_line_before_them_short(slots: int, seed: int) -> None:
    server = Server(slots=slots, seed=seed).run(600.0)
    full = Server(slots=slots, seed=seed, always=4 * slots).run(600.0)
    assert server.rate(200.0) >= 0.92 * full.rate(200.0)
    assert server.window(200.0) <= 2.0 * max(slots, 8)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("mean", "sigma"), [(100.0, 0.8), (800.0, 0.8), (4000.0, 1.2)])
def test_a_server_without_limits_is_never_starved(mean: float, sigma: float, seed: int) -> None:
    reply_s = mean / STREAM_S + FIRST_BYTE_S
    server = Server(mean=mean, sigma=sigma, seed=seed).run(lambda at: bool(at.sizes) and at.sizes[-1][1] >= 2000)
    assert server.now <= 20 * reply_s


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.2])
def test_replies_that_take_as_long_however_long_they_are_starve_no_arm(sigma: float, seed: int) -> None:
    arms = (0.03, 1.0, 2.0, 3.0, 4.5, 5.0)
    server = Server(sigma=sigma, arms=arms, reply_s=0.45, seed=seed)
    server.run(lambda at: len(at.done) >= 5000)
    assert server.now <= 10.0
    assert min(size for at, size in server.sizes if at > 3.0) >= 500


@pytest.mark.parametrize("seed", SEEDS)
def test_a_server_that_is_slower_for_everybody_is_given_as_much_as_before(seed: int) -> None:
    server = Server(capacity=200 * STREAM_S, seed=seed)

    def slower(at: Server) -> bool:
        at.stream_s = STREAM_S if at.now < 300 else STREAM_S / 3
        at.capacity = 200 * at.stream_s
        return at.now >= 1200

    server.run(slower)
    assert server.rate(600.0) >= 0.9 * 200 * STREAM_S / 3
    assert server.window(600.0) <= 2.5 * 200


@pytest.mark.parametrize("seed", SEEDS)
def test_a_server_that_grows_is_followed(seed: int) -> None:
    server = Server(capacity=50 * STREAM_S, seed=seed)

    def grown(at: Server) -> bool:
        at.capacity = (50 if at.now < 300 else 200) * STREAM_S
        return at.now >= 900

    server.run(grown)
    assert server.rate(600.0) >= 0.9 * 200 * STREAM_S


STALLED = [(100, 2.0), (100, 3.3), (0, 9.0), (0, 9.0), (0, 9.0)]  # at last without a token
REPLIES = st.tuples(
    st.sampled_from(["one", "other"]), st.integers(0, 200_000), st.floats(0.0, 3_600.0), st.integers(0, 10_000)
)


@given(st.lists(st.tuples(REPLIES, st.integers(1, 60)), max_size=40), st.sets(st.integers(0, 39), max_size=3))
@example(
    [(("one", 100, 1.0, 9_999), 10), (("one", 200, 2.0, 9_999), 10), *[(("one", t, s, 9_999), 60) for t, s in STALLED]],
    set(),
)
def test_whatever_replies_come_there_is_room_for_one_request(looks: list[Any], refused: set[int]) -> None:
    window, now = Window(0.0), 0.0
    for turn, ((kind, tokens, seconds, running), times) in enumerate(looks):
        began, now = now, now + seconds
        if turn in refused:
            window.refused(now)
        for _ in range(times):
            window.answered(1, running=running)
            window.ended(kind, tokens=tokens, began_at=began, now=now)
        assert 1.0 <= window.size < math.inf


def test_headroom_is_small() -> None:
    assert 1 < HEADROOM <= 1.5
