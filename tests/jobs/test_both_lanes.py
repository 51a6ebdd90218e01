"""Batches beside live requests: what one crew does must not be lost to the other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from threading import Event, Timer
from typing import Any, cast

import pytest

from polythink.errors import EndpointError
from polythink.jobs.both_lanes import BothLanes
from polythink.jobs.crew import News
from polythink.records import Lane

WHOLE: set[Lane] = {"live", "batch"}


class Fake:
    """A crew that plays what it is given."""

    def __init__(self, lane: Lane) -> None:
        self.pools = (lane,)
        self.is_busy = False
        self.sent: list[Any] = []
        self.may_end = Event()
        self.may_end.set()
        self.warning = lane
        self.error: Exception | None = None
        self.closed = self.heard = 0

    def room(self, lanes: Collection[Lane]) -> dict[str, int]:
        return {pool: 7 for pool in self.pools if pool in lanes}

    def send(self, pool: str, tasks: Sequence[Any]) -> None:
        self.sent += tasks

    def news(self) -> News:
        self.may_end.wait(30)
        self.heard += 1
        if self.error is not None:
            raise self.error
        return News([], [], warnings=[self.warning])

    def recall(self) -> list[Any]:
        recalled, self.sent = self.sent, []
        return recalled

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def batches() -> Fake:
    return Fake("batch")


@pytest.fixture
def live() -> Fake:
    return Fake("live")


@pytest.fixture
def both(batches: Fake, live: Fake) -> BothLanes:
    return BothLanes(cast(Any, batches), cast(Any, live))


def heard(both: BothLanes, warning: str) -> News:
    """News until some of it warns so."""
    while warning not in (news := both.news()).warnings:
        pass
    return news


def test_live_results_come_in_while_a_batch_takes_its_time(both: BothLanes, batches: Fake) -> None:
    batches.may_end.clear()
    assert both.room(WHOLE) == {"live": 7, "batch": 7}
    assert [both.news().warnings for _ in range(3)] == [["live"]] * 3
    assert both.room(WHOLE) == {"live": 7}, "the batches' thread is at work"
    batches.may_end.set()
    heard(both, "batch")
    assert both.room(WHOLE) == {"live": 7, "batch": 7}


def test_news_that_nobody_heard_is_not_noted_as_durable(both: BothLanes, batches: Fake) -> None:
    batches.may_end.clear()
    both.news()
    batches.may_end.set()
    both.close()
    assert batches.closed == 0
    heard(both, "batch")
    both.close()
    assert batches.closed == 1


def test_where_batches_cannot_go_on_what_is_in_flight_comes_in_first(
    both: BothLanes, batches: Fake, live: Fake
) -> None:
    unsent, queued = cast(Any, "unsent"), cast(Any, "queued")
    both.send("batch", [unsent])
    both.send("live", [queued])
    live.is_busy, batches.error = True, EndpointError("no batches")
    returned: list[Any] = []
    while not returned:
        returned = both.news().returned
    assert returned == ["unsent", "queued"]
    assert both.room(WHOLE) == {}
    assert both.news().warnings == ["live"]
    live.is_busy = False
    with pytest.raises(EndpointError, match="no batches"):
        both.news()


def test_the_run_ends_only_when_its_batches_are_at_rest(both: BothLanes, batches: Fake) -> None:
    batches.may_end.clear()
    Timer(0.5, batches.may_end.set).start()
    with pytest.raises(OSError, match="disk full"), both:
        both.news()
        raise OSError("disk full")
    assert batches.heard == 1
    assert batches.closed == 0


def test_any_other_error_ends_the_run_at_once(both: BothLanes, batches: Fake, live: Fake) -> None:
    live.is_busy, batches.error = True, OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        heard(both, "batch")
