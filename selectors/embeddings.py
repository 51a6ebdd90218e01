"""Embeddings by a Python function of the user's: what of its replies counts, what is kept of them, and reading that.

`jobs` calls the function for samples that it was not asked about yet; selection reads what is kept.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from polythink.errors import SandboxError
from polythink.selectors.panel import Flags, Reals
from polythink.selectors.rewards import Replies
from polythink.selectors.samples import Samples
from polythink.selectors.sources import aligned
from polythink.storage.archive import Archive

MOST_NUMBERS = 16  # kept of a vector: 64 bytes a sample, where 384 numbers would be 1.5 KB
EMBEDDED = "embedding:"  # before the number of a feature
_LARGEST = 1e30  # of a number; sums of larger ones leave the range of 32 bits
_LAST_CHARACTERS = 2_000
SHOWN = f"right(concat_ws('\n\n', nullif(thinking, ''), text), {_LAST_CHARACTERS})"  # SQL over a row of traces
_KEPT = f"""
    SELECT problem_id, arm_id, sample_index, 1.0 AS known,
        {", ".join(f"vector[{i}] AS number_{i}" for i in range(1, MOST_NUMBERS + 1))}
    FROM embeddings WHERE job_id = ? AND source = ?
"""


def kept_embeddings(archive: Archive, job_id: str, samples: Samples, source: str) -> tuple[dict[str, Reals], Flags]:
    """[S] features by what the function of that name gave, NaN where it gave none, and [S] whether it was asked.

    Features that no sample has are left out. Whichever selector asked it: the same function gives the same vector.
    """
    with archive.connect("embeddings") as connection:
        found = aligned(connection, samples, _KEPT, [job_id, source])
    asked = ~np.isnan(found.pop("known"))
    numbered = {f"{EMBEDDED}{i}": column for i, column in enumerate(found.values(), 1)}
    return {name: column for name, column in numbered.items() if not np.isnan(column).all()}, asked


class Vectors(Replies):
    """Reads the vectors that a function gave; counts, by message, the samples that have none.

    Args:
        length: of vectors that are kept already; None: the commonest of those read first decides.
    """

    def __init__(self, length: int | None) -> None:
        super().__init__()
        self.length = length

    def read(self, values: Sequence[Any]) -> list[list[float] | None]:
        """What is kept of each vector; None for anything but finite numbers in the same length."""
        if self.length is None:
            lengths = Counter(len(value) for value in values if _is_vector(value))
            self.length = lengths.most_common(1)[0][0] if lengths else None
        return [self._read(value) for value in values]

    def _read(self, value: Any) -> list[float] | None:
        if not _is_vector(value):
            self.refuse(value, "a vector of finite numbers")
        elif len(value) != self.length:
            self.refuse(
                SandboxError(f"returned {len(value):,} numbers; wanted {self.length:,}, as for other samples"), ""
            )
        else:
            return projected(value)
        return None


def _is_vector(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(_is_number(number) for number in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def projected(vector: Sequence[float]) -> list[float]:
    """The vector if it has at most MOST_NUMBERS numbers; else its projections on as many directions.

    These are fixed beforehand by the length alone: signs drawn by a hash (Achlioptas 2003), which keep distances on
    average. Nothing is fitted, so nothing of a problem is in the features of another.
    """
    if len(vector) <= MOST_NUMBERS:
        return [float(number) for number in vector]
    return [float(number) for number in np.asarray(vector, dtype=np.float64) @ _directions(len(vector))]


@cache
def _directions(length: int) -> Reals:
    """[length, MOST_NUMBERS] of plus and minus 1/sqrt(MOST_NUMBERS)."""
    drawn = hashlib.shake_256(f"embedding of {length}".encode()).digest(length * MOST_NUMBERS // 8)
    bits = np.unpackbits(np.frombuffer(drawn, dtype=np.uint8)).reshape(length, MOST_NUMBERS)
    return np.asarray((2.0 * bits - 1.0) / math.sqrt(MOST_NUMBERS))
