"""What the names of parts say. Pure.

A part of a journal segment bears its number, `part-000012.parquet`; a compacted one the first and last number that it
holds, `part-000001_000057.parquet`. It stands for every part of a number within: the moment it appears they no longer
count, whether they are already removed or not, and whoever writes one late.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

_NAME = re.compile(r"part-(\d{6,})(?:_(\d{6,})|-[0-9a-f]+)?")


def span(part: PurePosixPath) -> tuple[int, int] | None:
    """The numbers of the first and last segment in a part; None for a part that is not of the journal.

    >>> span(PurePosixPath("part-000012.parquet")), span(PurePosixPath("part-000001_000057.parquet"))
    ((12, 12), (1, 57))
    """
    found = _NAME.fullmatch(part.stem)
    return (int(found[1]), int(found[2] or found[1])) if found else None


def compacted_name(first: int, last: int) -> str:
    return f"{first:06d}_{last:06d}"


def counted(parts: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """The parts that no compacted part of the same folder stands for.

    >>> [part.stem for part in counted([*map(PurePosixPath, ("part-000003", "part-000001_000005", "part-000007"))])]
    ['part-000001_000005', 'part-000007']
    """
    wide = [(part.parent, found) for part in parts if (found := span(part)) and found[0] < found[1]]
    return [part for part in parts if not any(_covers(folder, found, part) for folder, found in wide)]


def _covers(folder: PurePosixPath, wide: tuple[int, int], part: PurePosixPath) -> bool:
    own = span(part)
    return part.parent == folder and own is not None and own != wide and wide[0] <= own[0] and own[1] <= wide[1]
