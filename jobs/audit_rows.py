"""Auditing rows one by one: identity, reading, grade and price, each made again from what it was made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from polythink.jobs.findings import Findings
from polythink.jobs.requests import endpoints
from polythink.jobs.workload import Workload
from polythink.records import SampleKey, Usage
from polythink.selectors.equivalence import canonical
from polythink.selectors.grading import FinishedText, Grader, read_and_grade
from polythink.storage.archive import Archive
from polythink.storage.rows import text_of
from polythink.workers.prices import price

Row = dict[str, Any]
_AT_ONCE = 1_000  # rows in memory
_TRACES = """
    SELECT problem_id, arm_id, sample_index, sample_id, outcome, answer, canonical_answer, correct, score, stop_reason,
        thinking, text, content
    FROM traces WHERE job_id = ?
"""
_ATTEMPTS = """
    SELECT problem_id, arm_id, sample_index, attempt, endpoint, model, lane, input_tokens, cache_read_tokens,
        cache_write_tokens, output_tokens, cost_usd
    FROM attempts WHERE job_id = ? AND status <> 'lost'
"""
_READ = ("outcome", "answer", "canonical_answer", "correct", "score")


def audit_traces(archive: Archive, work: Workload, grader: Grader, findings: Findings, *, imported: bool) -> None:
    """Every trace is of the grid, bears its own id, shows its content's text, and reads and grades as it says.

    Of imported samples answers and verdicts are as recorded, and only canonical forms can be made again.
    """
    in_grid = _in_grid(work)
    for rows in _batches(archive, _TRACES, work.job_id):
        known = []
        for row in rows:
            key = _key(row)
            findings.compare("identity", _place(row), found=row["sample_id"], expected=key.sample_id(work.job_id))
            if in_grid(key):
                known.append(row)
            else:
                findings.differs("identity", _place(row), found="a trace", expected="none: the job has no such sample")
        findings.looked("identity", len(rows))
        if imported:
            _audit_forms(work, known, findings)
        else:
            _audit_texts(known, findings)
            _audit_readings(work, known, grader, findings)


def audit_prices(archive: Archive, work: Workload, findings: Findings) -> None:
    """Every attempt costs what its usage costs."""
    places, models = endpoints(work), {arm.arm_id: arm.model for arm in work.arms}
    for rows in _batches(archive, _ATTEMPTS, work.job_id):
        for row in rows:
            if row["endpoint"] not in places or row["arm_id"] not in models:
                findings.differs("cost", _place(row), found=row["endpoint"], expected="an endpoint and arm of the job")
                continue
            asked = models[row["arm_id"]]
            usage = Usage(
                input_tokens=row["input_tokens"],
                cache_read_tokens=row["cache_read_tokens"],
                cache_write_5m_tokens=row["cache_write_tokens"],
                output_tokens=row["output_tokens"],
            )
            usd = price(places[row["endpoint"]], row["model"] or asked, usage, row["lane"], or_of=asked)
            found = row["cost_usd"]
            findings.compare("cost", _place(row), found=found or 0.0, expected=usd or 0.0)
        findings.looked("cost", len(rows))


def _audit_texts(rows: list[Row], findings: Findings) -> None:
    for row in rows:
        for column in ("thinking", "text"):
            findings.compare(
                f"{column}", _place(row), found=row[column], expected=_storable(text_of(row["content"], column))
            )
    findings.looked("text", len(rows))


def _audit_readings(work: Workload, rows: list[Row], grader: Grader, findings: Findings) -> None:
    texts = [
        FinishedText(
            problem_id=row["problem_id"],
            text=row["text"],
            stop_reason=row["stop_reason"],
            failed=row["outcome"] == "failed",
        )
        for row in rows
    ]
    readings = read_and_grade(texts, work.problems_by_id, work.job.answer.rule(), grader)
    for row, reading in zip(rows, readings, strict=True):
        for column in _READ:
            findings.compare(column, _place(row), found=_number(row[column]), expected=getattr(reading, column))
    findings.looked("reading", len(rows))


def _audit_forms(work: Workload, rows: list[Row], findings: Findings) -> None:
    equivalence = work.job.answer.rule().equivalence
    for row in rows:
        form = None if row["answer"] is None else canonical(row["answer"], equivalence)
        findings.compare("canonical_answer", _place(row), found=row["canonical_answer"], expected=form)
    findings.looked("reading", len(rows))


def _in_grid(work: Workload) -> Callable[[SampleKey], bool]:
    problems, arms = set(work.problems_by_id), set(work.arms_by_id)
    return lambda key: key.problem_id in problems and key.arm_id in arms and key.sample_index >= 0


def _batches(archive: Archive, query: str, job_id: str) -> Iterator[list[Row]]:
    with archive.connect(query, [job_id]) as connection:
        reader: pa.RecordBatchReader = connection.sql(query, params=[job_id]).to_arrow_reader(_AT_ONCE)
        for batch in reader:
            yield batch.to_pylist()


def _key(row: Row) -> SampleKey:
    return SampleKey(problem_id=row["problem_id"], arm_id=row["arm_id"], sample_index=row["sample_index"])


def _place(row: Row) -> str:
    """As `polythink show` takes it."""
    place = f"{row['problem_id']}/{row['arm_id']}/{row['sample_index']}"
    return f"{place} attempt {row['attempt']}" if "attempt" in row else place


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _number(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value
