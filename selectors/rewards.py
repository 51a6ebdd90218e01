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
from polythink.storage.schema import EMBEDDINGS, SCORES

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


def forget_asked(archive: Archive, job_id: str) -> None:
    """Durably remove all scores and embeddings of a job, for its samples are to be read otherwise."""
    for table in (SCORES, EMBEDDINGS):
        for part in archive.parts(table.name, job_id):
            archive.forget_part(part)


class Replies:
    """Counts, by message, what a function gave that cannot be used."""

    def __init__(self) -> None:
        self.errors: Counter[str] = Counter()

    def refuse(self, value: Any, wanted: str) -> None:
        """Count what stands in place of what was wanted; an error speaks for itself."""
        error = str(value) if isinstance(value, SandboxError) else f"returned {_shown(value)}; wanted {wanted}"
        if error in self.errors or len(self.errors) < _MOST_MESSAGES:
            self.errors[error] += 1


def _shown(value: Any) -> str:
    try:
        return f"{value!r:.80}"
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a whole number of thousands of digits"


class Scores(Replies):
    """Reads the scores that a function gave."""

    def read(self, value: Any) -> float | None:
        """A finite number as a score; None for no score, and for anything else."""
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                score = float(value)
            except OverflowError:  # of a huge whole number
                score = math.inf
            if math.isfinite(score):
                return score
        self.refuse(value, "float or None")
        return None
