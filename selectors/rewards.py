"""Scores by a Python function of the user's: what it is asked, what of its replies counts, and what is kept of them.

`jobs` calls the function for samples that it was not asked about yet; selection reads what is kept.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from polythink.errors import SandboxError
from polythink.selectors.panel import Flags, Reals
from polythink.selectors.samples import Samples
from polythink.selectors.sources import aligned
from polythink.storage.archive import Archive
from polythink.storage.schema import SCORES

_KEPT = """
    SELECT problem_id, arm_id, sample_index, max(score) AS score, 1.0 AS known FROM scores
    WHERE job_id = ? AND source = ? GROUP BY ALL
"""
_MOST_MESSAGES = 20  # distinct ones kept
SHOWN = ("text", "thinking", "model", "stop_reason", "output_tokens", "thinking_tokens")  # of a sample


def kept_scores(archive: Archive, job_id: str, samples: Samples, source: str) -> tuple[Reals, Flags]:
    """[S] what the function of that name gave each sample, NaN where it gave none, and [S] whether it was asked.

    Whichever selector asked it: the same function gives the same score.
    """
    with archive.connect("scores") as connection:
        found = aligned(connection, samples, _KEPT, [job_id, source])
    return found["score"], ~np.isnan(found["known"])


def forget_scores(archive: Archive, job_id: str) -> None:
    """Durably remove all scores of a job, for its samples are to be read otherwise."""
    for part in archive.parts(SCORES.name, job_id):
        archive.forget_part(part)


class Replies:
    """Reads what a function gave; counts, by message, the calls that gave nothing usable."""

    def __init__(self) -> None:
        self.errors: Counter[str] = Counter()

    def read(self, value: Any) -> float | None:
        """A finite number as a score; None for no score, and for anything else."""
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        error = str(value) if isinstance(value, SandboxError) else f"returned {value!r:.80}; wanted float or None"
        if error in self.errors or len(self.errors) < _MOST_MESSAGES:
            self.errors[error] += 1
        return None
