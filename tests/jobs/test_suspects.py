"""Whoever kills its worker is found, with few workers lost, and nobody else is blamed."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from polythink.jobs.suspects import PARTS, Suspects


@given(st.integers(1, 600), st.sets(st.integers(0, 599), max_size=3))
def test_only_the_guilty_are_set_aside_and_few_workers_die_for_it(crowd: int, chosen: set[int]) -> None:
    guilty = {ordinal for ordinal in chosen if ordinal < crowd}
    suspects, blamed, ended, deaths = Suspects(), set[int](), set[int](), 1
    assert not suspects.accuse(range(crowd), "the first")
    while group := suspects.next_group(0.0):
        assert not ended.intersection(group)
        if not guilty.intersection(group):
            ended.update(group)
            for ordinal in group:
                suspects.clear(ordinal)
            continue
        deaths += 1
        if suspects.accuse(group, f"death {deaths}"):
            (ordinal,) = group
            assert suspects.deaths(ordinal)[0] == "the first" and len(suspects.deaths(ordinal)) >= 2
            suspects.clear(ordinal)
            blamed.add(ordinal)
    assert blamed == guilty
    assert ended == set(range(crowd)) - guilty
    levels = max(1, math.ceil(math.log(crowd, PARTS) - 1e-9))
    assert deaths <= 1 + len(guilty) * levels


@given(st.integers(2, 600))
def test_a_crowd_without_a_guilty_one_is_cleared_in_sixteen_rounds(crowd: int) -> None:
    suspects, rounds = Suspects(), 0
    suspects.accuse(range(crowd), "a machine was taken away")
    while suspects.next_group(0.0):
        rounds += 1
    assert rounds <= PARTS


def test_a_suspect_that_came_back_waits_its_time_and_then_goes_alone() -> None:
    suspects = Suspects()
    suspects.accuse([1, 2, 3], "the first")
    suspects.next_group(0.0)
    suspects.hold(1, 9.0)
    assert [suspects.next_group(8.0), suspects.next_group(8.0), suspects.next_group(8.0)] == [[2], [3], ()]
    assert suspects.next_group(9.0) == (1,)
