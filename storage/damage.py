"""Parts and small files that cannot be read: how that is told, and what to do about each."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from polythink.errors import ArchiveError

Read = TypeVar("Read")
WRONG_QUERIES = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.DataError)
_TWINS = {"traces": "attempts", "attempts": "traces"}  # parts of one name are of the same requests
_FIXES = {
    "problems": "bring it back from a copy, or `polythink run` the job's file again",
    "arms": "bring it back from a copy, or `polythink run` the job's file again",
    "batches": "move it out of the archive; `polythink resume {job}` writes it again",
}
_SELECTED = "move it out of the archive; `polythink select {job}` makes it again"


class DamagedPartWarning(UserWarning):
    """A part, or the state of a job, was left out of what is read."""


def why_unreadable(data: bytes) -> str | None:
    """What is wrong with the bytes of a part; None if all of it can be read.

    >>> why_unreadable(b"PAR1 and no more") is None
    False
    """
    try:
        part = pq.ParquetFile(pa.BufferReader(data))
        for group in range(part.num_row_groups):
            part.read_row_group(group)
    except (pa.ArrowException, OSError, ValueError) as error:
        return str(error).partition("\n")[0]
    return None


def parsed(place: str, data: bytes, read: Callable[[bytes], Read], fix: str) -> Read:
    """What a small JSON file holds. Raises ArchiveError, with the fix, if it is damaged."""
    try:
        return read(data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArchiveError(f"{place} is damaged ({str(error) or type(error).__name__}); {fix}") from error


def told(place: str, part: PurePosixPath, why: str) -> str:
    """What to say of a damaged part: where it is, what is wrong, how to mend it."""
    return f"{place} is damaged ({why.rstrip('.')}); {_fix(part)}"


def warn_left_out(words: str) -> None:
    """Say that a part is left out; once in a process."""
    warnings.warn(f"left out: {words}", DamagedPartWarning, stacklevel=4)


def job_of(part: PurePosixPath) -> str:
    """The job a part belongs to.

    >>> job_of(PurePosixPath("tables/traces/job_id=sums-1/part-000001.parquet"))
    'sums-1'
    """
    return part.parent.name.removeprefix("job_id=")


def is_of(part: PurePosixPath, job_id: object) -> bool:
    """Whether a part is a job's, or that of a judge of the job, whose id begins with the job's.

    >>> part = PurePosixPath("tables/traces/job_id=sums-1.judge-7/part-000001.parquet")
    >>> [is_of(part, job_id) for job_id in ("sums-1", "sums-1.judge-7", "sums")]
    [True, True, False]
    """
    return isinstance(job_id, str) and f"{job_of(part)}.".startswith(f"{job_id}.")


def _fix(part: PurePosixPath) -> str:
    table, job = part.parts[-3], job_of(part)
    if twin := _TWINS.get(table):
        return (
            f"bring it back from a copy, or move it and the part of that name in {twin} out of the archive: "
            f"`polythink resume {job}` then sends their samples again"
        )
    return _FIXES.get(table, _SELECTED).format(job=job)
