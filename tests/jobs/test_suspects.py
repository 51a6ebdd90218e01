"""Whoever kills its worker is found, with few workers lost, and nobody else is blamed."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from polythink.jobs.suspects import PARTS, Suspects


@given(st.integers(2, 600), st.sets(st.integers(0, 599), max_size=3))
def test_only_the_guilty_are_set_aside_and_few_workers_die_for_it(crowd: int, chosen: set[int]) -> None:
    guilty = {ordinal for ordinal in chosen if ordinal < crowd}
    suspects, blamed, ended, deaths = Suspects(), set[int](), set[int](), 2
    assert not suspects.accuse(range(crowd), "the first")
    assert not any(ordinal in suspects for ordinal in range(crowd)), "a first death counts for nothing"
    assert not suspects.next_group(0.0)
    assert not suspects.accuse(range(crowd), "the second")
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
            assert suspects.deaths(ordinal)[:2] == ("the first", "the second") and len(suspects.deaths(ordinal)) >= 4
            suspects.clear(ordinal)
            blamed.add(ordinal)
    assert blamed == guilty
    assert ended == set(range(crowd)) - guilty
    levels = max(1, math.ceil(math.log(crowd, PARTS) - 1e-9))
    assert deaths <= 2 + len(guilty) * (1 + levels)


@given(st.integers(2, 600))
def test_a_crowd_without_a_guilty_one_is_cleared_in_sixteen_rounds(crowd: int) -> None:
    suspects, rounds = Suspects(), 0
    for _ in range(2):
        suspects.accuse(range(crowd), "a machine was taken away")
    while suspects.next_group(0.0):
        rounds += 1
    assert rounds <= PARTS


def test_a_sample_that_was_alone_both_times_needs_no_more_proof() -> None:
    suspects = Suspects()
    assert [suspects.accuse([7], "the first"), suspects.accuse([7], "the second")] == [False, True]


def test_a_suspect_that_came_back_waits_its_time_and_then_goes_alone() -> None:
    suspects = Suspects()
    for death in ("the first", "the second"):
        suspects.accuse([1, 2, 3], death)
    suspects.next_group(0.0)
    suspects.hold(1, 9.0)
    assert [suspects.next_group(8.0), suspects.next_group(8.0), suspects.next_group(8.0)] == [[2], [3], ()]
    assert suspects.next_group(9.0) == (1,)
