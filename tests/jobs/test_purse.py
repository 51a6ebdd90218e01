"""Settled cost and the worst case of everything in flight never exceed the cap, in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from polythink.jobs.purse import Purse

money = st.floats(0, 10)


@given(st.floats(0.001, 50), money, st.lists(st.tuples(st.booleans(), money, st.floats(0, 1)), max_size=60))
def test_the_cap_holds_whatever_is_reserved_and_settled_in_whatever_order(
    cap: float, settled: float, moves: list[tuple[bool, float, float]]
) -> None:
    purse, reserved, spent = Purse(cap=cap, settled=settled), list[float](), settled
    for is_new, worst, share in moves:
        if is_new or not reserved:
            fits = spent + sum(reserved) + worst <= cap
            if purse.reserve(worst):
                reserved.append(worst)
                assert spent + sum(reserved) <= max(cap, settled) + 1e-6
            else:
                assert not fits or spent + sum(reserved) + worst > cap - 1e-6
        else:
            was = reserved.pop(int(share * (len(reserved) - 1)))
            purse.settle(reserved=was, actual=was * share)
            spent += was * share
    assert abs(purse.settled - spent) < 1e-6


@given(st.lists(money, max_size=20))
def test_without_a_cap_everything_is_affordable(costs: list[float]) -> None:
    purse = Purse(cap=None, settled=0.0)
    assert all(purse.reserve(cost) for cost in costs)


def test_what_may_have_been_spent_stays_reserved() -> None:
    purse = Purse(cap=1.0, settled=0.0)
    assert purse.reserve(0.75)
    purse.settle(reserved=0.25, actual=0.25)  # a stream cut after a quarter of its worst case
    assert purse.settled == 0.25
    assert not purse.reserve(0.5)
    assert purse.reserve(0.25)
