"""What judges are shown of a job's samples, in digests: a verdict on other words is no verdict on these."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from polythink.records import QUESTIONS
from polythink.selectors.judging import Ask, contest_id
from polythink.storage.archive import Archive

Digests = Mapping[str, Mapping[int, str]]  # by contest_id, then by sample_index

# By md5, which says the same in every version of DuckDB; each part on its own, so that none runs over into the next.
_SAMPLES = """
    SELECT arm_id, problem_id, sample_index, md5(md5(coalesce(text, '')) || md5(coalesce(answer, ''))) AS digest
    FROM traces WHERE job_id = ? AND outcome = 'answered'
"""
_PROBLEMS = "SELECT problem_id, fields FROM problems WHERE job_id = ?"


def shown_digests(archive: Archive, job_id: str) -> Digests:
    """Of every sample with an answer: of its text, of the answer as it was read, and of what its problem asks.

    Templates and the rows that they name never change in a job; what an imported problem asks may, with its file.
    """
    asked = {
        row["problem_id"]: _asked(json.loads(row["fields"])) for row in archive.sql(_PROBLEMS, [job_id]).to_pylist()
    }
    found: dict[str, dict[int, str]] = {}
    rows = archive.sql(_SAMPLES, [job_id])
    for arm_id, problem_id, index, digest in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        found.setdefault(contest_id(arm_id, problem_id), {})[index] = f"{digest}{asked.get(problem_id, '')}"
    return found


def shown_id(ask: Ask, digests: Mapping[int, str]) -> str:
    """The id that an ask's replies are kept by: the same only while it shows the same. It holds no `|`."""
    shown = "\x1f".join(digests[index] for index in ask.shown)
    return f"{ask.ask_id}~{hashlib.blake2b(shown.encode(), digest_size=6).hexdigest()}"


def _asked(fields: Mapping[str, Any]) -> str:
    """Of the fields by which an imported problem asks; short, for every sample holds it."""
    told = json.dumps([fields.get(name) for name in QUESTIONS], default=str)
    return hashlib.blake2b(told.encode(), digest_size=6).hexdigest()
