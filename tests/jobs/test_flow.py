"""Where tasks wait when several pools serve the same arms."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from polythink.jobs.flow import Flow

POOLS = ("a", "b", "c")
TOGETHER = {"a": frozenset({"b"}), "b": frozenset({"a"}), "c": frozenset[str]()}
NONE = frozenset[str]()


def test_a_pool_out_of_service_keeps_no_more_than_a_probe_for_each_worker() -> None:
    flow, out = Flow(TOGETHER, 2), frozenset({"a"})
    assert flow.misplaced(Counter(a=30, b=5), out) == {"a"}
    assert list(flow.offer({"a": 30, "b": 20}, Counter(b=5), out).items()) == [("b", 20), ("a", 2)]
    assert flow.offer({"a": 30, "b": 20}, Counter(a=2, b=5), out)["a"] == 0


def test_where_all_are_out_of_service_nothing_moves() -> None:
    assert Flow(TOGETHER, 1).misplaced(Counter(a=30, b=30), frozenset({"a", "b"})) == set()


def test_a_pool_with_nothing_left_to_start_gets_half_of_what_waits_at_another() -> None:
    flow, waiting = Flow(TOGETHER, 1), Counter(a=20)
    flow.offer({"a": 0, "b": 16}, waiting, NONE)
    assert flow.misplaced(waiting, NONE) == {"a"}
    assert list(flow.offer({"a": 20, "b": 16}, Counter(), NONE).items()) == [("a", 10), ("b", 16)]


def test_a_pool_that_got_tasks_is_not_starved() -> None:
    flow, waiting = Flow(TOGETHER, 1), Counter(a=20)
    flow.offer({"a": 0, "b": 16}, waiting, NONE)
    flow.sent("b")
    assert flow.misplaced(waiting, NONE) == set()


@given(
    st.dictionaries(st.sampled_from(POOLS), st.integers(0, 40)),
    st.dictionaries(st.sampled_from(POOLS), st.integers(0, 40)),
    st.frozensets(st.sampled_from(POOLS)),
)
def test_no_pool_is_offered_more_than_it_has_room_for_and_one_that_shares_nothing_all_of_it(
    room: dict[str, int], waiting: dict[str, int], out: frozenset[str]
) -> None:
    flow = Flow(TOGETHER, 2)
    flow.misplaced(Counter(waiting), out)
    offered = flow.offer(room, Counter(waiting), out)
    assert offered.keys() == room.keys()
    assert all(0 <= offered[pool] <= room[pool] for pool in room)
    assert offered.get("c") == room.get("c")


def test_nothing_moves_between_pools_that_share_no_arm() -> None:
    flow, waiting = Flow({"a": NONE, "b": NONE}, 1), Counter(a=20)
    flow.offer({"a": 0, "b": 16}, waiting, NONE)
    assert flow.misplaced(waiting, NONE) == set()
