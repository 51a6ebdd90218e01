"""The grid of samples: problems x arms x indexes, by number. Never materialised.

Samples are numbered so that any prefix of the work is balanced: the first sample of every problem in every arm comes
before the second of any.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from polythink.records import SampleKey

Ordinals = NDArray[np.int64]
_AT_ONCE = 1 << 16  # ordinals looked at together: over a million done ones, one by one takes as long as a query


class Grid:
    """Ordinals from 0 to `len(grid) - 1`, and the sample each one is.

    >>> grid = Grid(["p", "q"], ["a"], 2)
    >>> [grid.ordinal(grid.key(n)) for n in range(len(grid))]
    [0, 1, 2, 3]
    >>> grid.key(2)
    SampleKey(problem_id='p', arm_id='a', sample_index=1)
    """

    def __init__(self, problem_ids: Sequence[str], arm_ids: Sequence[str], samples: int) -> None:
        self._problem_ids = problem_ids
        self._arm_ids = arm_ids
        self._samples = samples
        self._problem_ordinals = {problem_id: n for n, problem_id in enumerate(problem_ids)}
        self._arm_ordinals = {arm_id: n for n, arm_id in enumerate(arm_ids)}

    def __len__(self) -> int:
        return len(self._problem_ids) * len(self._arm_ids) * self._samples

    @property
    def prompts(self) -> int:
        """Problems times arms: the samples of one problem in one arm are so many ordinals apart."""
        return len(self._problem_ids) * len(self._arm_ids)

    @property
    def per_arm(self) -> int:
        """Samples in each arm."""
        return len(self._problem_ids) * self._samples

    @property
    def arm_ids(self) -> Sequence[str]:
        """The arms; the sample of number `n` belongs to that at `n % len(arm_ids)`."""
        return self._arm_ids

    def arm_id(self, ordinal: int) -> str:
        return self._arm_ids[ordinal % len(self._arm_ids)]

    def key(self, ordinal: int) -> SampleKey:
        """The sample of that number."""
        row, arm = divmod(ordinal, len(self._arm_ids))
        index, problem = divmod(row, len(self._problem_ids))
        return SampleKey(problem_id=self._problem_ids[problem], arm_id=self._arm_ids[arm], sample_index=index)

    def ordinal(self, key: SampleKey) -> int | None:
        """The number of a sample; None if it is not (or no longer) part of the job."""
        problem, arm = self._problem_ordinals.get(key.problem_id), self._arm_ordinals.get(key.arm_id)
        if problem is None or arm is None or not 0 <= key.sample_index < self._samples:
            return None
        return (key.sample_index * len(self._problem_ids) + problem) * len(self._arm_ids) + arm


class DoneSet:
    """Which samples are finished: one bit each."""

    def __init__(self, size: int) -> None:
        self._bits = bytearray((size + 7) // 8)
        self._size = size
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, ordinal: int) -> bool:
        return bool(self._bits[ordinal >> 3] & 1 << (ordinal & 7))

    def add(self, ordinal: int) -> bool:
        """Whether it was new."""
        if ordinal in self:
            return False
        self._bits[ordinal >> 3] |= 1 << (ordinal & 7)
        self._count += 1
        return True

    def add_all(self, ordinals: Ordinals) -> Ordinals:
        """Those of many that were new, each once."""
        flags = np.zeros(self._size, dtype=np.bool_)
        flags[ordinals] = True
        before = np.frombuffer(self._bits, dtype=np.uint8)
        flags &= ~np.unpackbits(before, count=self._size, bitorder="little").astype(np.bool_)
        self._bits = bytearray(before | np.packbits(flags, bitorder="little"))
        new = np.flatnonzero(flags)
        self._count += len(new)
        return new

    def missing(self, start: int = 0, step: int = 1) -> Iterator[int]:
        """Ordinals not in the set when they are reached, in order: every `step`-th from `start`."""
        for first in range(start, self._size, step * _AT_ONCE):
            ordinals = np.arange(first, min(first + step * _AT_ONCE, self._size), step)
            flags = np.frombuffer(self._bits, dtype=np.uint8)[ordinals >> 3] >> (ordinals & 7) & 1
            yield from (ordinal for ordinal in ordinals[flags == 0].tolist() if ordinal not in self)
