"""What is kept of vectors: fixed by their length alone, near what they were, and nothing that is no vector."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.errors import SandboxError
from polythink.selectors.embeddings import MOST_NUMBERS, Vectors, projected

NUMBERS = st.floats(-1e6, 1e6, width=32)


@given(st.lists(NUMBERS, min_size=1, max_size=MOST_NUMBERS))
def test_a_short_vector_is_kept_as_it_is(vector: list[float]) -> None:
    assert projected(vector) == vector


@given(st.integers(MOST_NUMBERS + 1, 60).flatmap(lambda n: st.tuples(*[st.lists(NUMBERS, min_size=n, max_size=n)] * 2)))
def test_a_long_one_is_projected_linearly(pair: tuple[list[float], list[float]]) -> None:
    first, second = (np.array(vector) for vector in pair)
    both = np.array(projected((first + second).tolist()))
    assert both.shape == (MOST_NUMBERS,)
    assert both == pytest.approx(np.array(projected(pair[0])) + np.array(projected(pair[1])), abs=1e-4)


def test_distances_survive_on_average() -> None:
    drawn = np.random.default_rng(0).normal(size=(400, 384))
    lengths = np.array([np.sum(np.square(projected(row))) for row in drawn.tolist()]) / np.sum(drawn**2, axis=1)
    assert abs(lengths.mean() - 1) < 0.06  # each has a standard deviation of sqrt(2 / 16): 0.018 for 400
    assert len(np.unique(np.abs(projected(np.eye(384)[0].tolist())))) == 1, "signs"


@pytest.mark.parametrize(
    "value", [None, [], "text", 1.0, [1.0, None, 1.0], [True, 1.0, 1.0], [float("inf"), 1.0, 1.0], [1e39, 1.0, 1.0]]
)
def test_what_is_no_vector_is_counted_by_message(value: Any) -> None:
    vectors = Vectors(None)
    failed = SandboxError("e.py:vectors: ValueError: bad")
    assert vectors.read([value, [1.0, 2.0, 3.0], failed, failed, [1.0, 2.0]]) == [None, [1.0, 2.0, 3.0], *[None] * 3]
    assert vectors.errors[str(failed)] == 2 and sum(vectors.errors.values()) == 4


def test_the_length_is_that_of_most_and_stays() -> None:
    vectors = Vectors(None)
    assert vectors.read([[1.0], [1.0, 2.0], [3.0, 4.0]])[0] is None and vectors.length == 2
    assert vectors.read([[1.0], [1.0], [1.0]]) == [None] * 3
    assert Vectors(3).read([[1.0, 2.0]]) == [None]
