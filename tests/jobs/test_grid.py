"""Ordinals and samples are one to one, and any prefix of the work is balanced."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polythink.jobs.grid import DoneSet, Grid
from polythink.records import SampleKey

names = st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True)
grids = st.builds(Grid, names, names, st.integers(1, 5))


@given(grids)
def test_ordinals_and_keys_are_one_to_one(grid: Grid) -> None:
    keys = [grid.key(ordinal) for ordinal in range(len(grid))]
    assert len(set(keys)) == len(grid)
    assert [grid.ordinal(key) for key in keys] == list(range(len(grid)))
    assert [grid.arm_id(ordinal) for ordinal in range(len(grid))] == [key.arm_id for key in keys]
    assert Counter(key.arm_id for key in keys).keys() and set(Counter(key.arm_id for key in keys).values()) == {
        grid.per_arm
    }


@given(grids, st.data())
def test_any_prefix_is_balanced_over_problems_and_arms(grid: Grid, data: st.DataObject) -> None:
    taken = data.draw(st.integers(0, len(grid)))
    cells = Counter((key.problem_id, key.arm_id) for key in map(grid.key, range(len(grid))))
    cells.update({cell: -count for cell, count in cells.items()})
    cells.update((key.problem_id, key.arm_id) for key in map(grid.key, range(taken)))
    assert max(cells.values()) - min(cells.values()) <= 1


@given(grids, st.text(), st.text(), st.integers(-3, 10))
def test_a_stranger_has_no_ordinal(grid: Grid, problem_id: str, arm_id: str, index: int) -> None:
    key = SampleKey(problem_id=problem_id, arm_id=arm_id, sample_index=index)
    members = {grid.key(ordinal) for ordinal in range(len(grid))}
    assert (grid.ordinal(key) is not None) == (key in members)


@given(st.integers(0, 100), st.data())
def test_a_done_set_is_a_set(size: int, data: st.DataObject) -> None:
    added = data.draw(st.lists(st.integers(0, size - 1)) if size else st.just([]))
    done, model = DoneSet(size), set[int]()
    for ordinal in added:
        assert done.add(ordinal) == (ordinal not in model)
        model.add(ordinal)
    assert len(done) == len(model)
    assert [n for n in range(size) if n in done] == sorted(model)
    assert list(done.missing()) == [n for n in range(size) if n not in model]


@given(st.integers(1, 100), st.data())
def test_many_are_added_as_one_by_one(size: int, data: st.DataObject) -> None:
    ordinals = st.lists(st.integers(0, size - 1))
    first, then = data.draw(ordinals), data.draw(ordinals)
    done, model = DoneSet(size), DoneSet(size)
    assert done.add_all(np.array(first, dtype=np.int64)).tolist() == sorted({n for n in first if model.add(n)})
    assert done.add_all(np.array(then, dtype=np.int64)).tolist() == sorted({n for n in then if model.add(n)})
    assert (len(done), list(done.missing())) == (len(model), list(model.missing()))
