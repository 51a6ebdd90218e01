"""Records to Arrow rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from polythink.records import Arm, Attempt, Problem, Reading
from polythink.storage import schema


def text_of(content: str, block_type: str) -> str:
    """Everything of one kind in a JSON array of content blocks.

    >>> text_of('[{"type":"thinking","thinking":"a"},{"type":"text","text":"b"}]', "text")
    'b'
    """
    return "".join(block.get(block_type) or "" for block in json.loads(content) if block.get("type") == block_type)


def trace_rows(job_id: str, finals: Sequence[Attempt], readings: Sequence[Reading]) -> pa.Table:
    """The rows of `traces` for finished samples; `readings[i]` belongs to `finals[i]`."""
    rows = [_trace_row(job_id, attempt, reading) for attempt, reading in zip(finals, readings, strict=True)]
    return to_table(schema.TRACES, rows)


def attempt_rows(job_id: str, attempts: Sequence[Attempt]) -> pa.Table:
    """The rows of `attempts`."""
    return to_table(schema.ATTEMPTS, [_attempt_row(job_id, attempt) for attempt in attempts])


def problem_rows(problems: Sequence[Problem], canonical_golds: Sequence[str | None]) -> pa.Table:
    """The rows of `problems`."""
    rows = [
        {
            "problem_id": problem.problem_id,
            "ordinal": problem.ordinal,
            "gold": problem.gold,
            "canonical_gold": canonical,
            "fields": json.dumps(problem.fields, ensure_ascii=False, default=str),
            "family": problem.family,
        }
        for problem, canonical in zip(problems, canonical_golds, strict=True)
    ]
    return to_table(schema.PROBLEMS, rows)


def arm_rows(arms: Sequence[Arm], samples: int) -> pa.Table:
    """The rows of `arms`."""
    rows = [
        {
            "arm_id": arm.arm_id,
            "ordinal": arm.ordinal,
            "endpoint": ", ".join(arm.endpoints),
            "model": arm.model,
            "reasoning": arm.reasoning.kind,
            "budget_tokens": arm.reasoning.budget_tokens,
            "effort": arm.reasoning.effort,
            "max_tokens": arm.max_tokens,
            "system": arm.system,
            "template": arm.template,
            "samples": samples,
        }
        for arm in arms
    ]
    return to_table(schema.ARMS, rows)


def to_table(table: schema.Table, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows of a table by column name. Raises KeyError if a row lacks a column."""
    columns = [pa.array([_clean(row[c.name]) for row in rows], c.type) for c in table.columns]
    return pa.Table.from_arrays(columns, schema=table.arrow)


def _clean(value: Any) -> Any:
    """A lone surrogate can arrive inside JSON text but is not valid in Arrow strings."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode("utf-8")
    return value


def _trace_row(job_id: str, attempt: Attempt, reading: Reading) -> dict[str, Any]:
    return {
        **_shared(job_id, attempt),
        "outcome": reading.outcome,
        "answer": reading.answer,
        "canonical_answer": reading.canonical_answer,
        "correct": reading.correct,
        "score": reading.score,
        "attempts": attempt.number,
        "thinking": text_of(attempt.content, "thinking"),
        "text": text_of(attempt.content, "text"),
        "content": attempt.content,
        "metadata": None,
    }


def _attempt_row(job_id: str, attempt: Attempt) -> dict[str, Any]:
    partial = attempt.content if attempt.status != "complete" and attempt.content != "[]" else None
    return {
        **_shared(job_id, attempt),
        "attempt": attempt.number,
        "status": attempt.status,
        "reserved_usd": attempt.reserved_usd,
        "http_status": attempt.http_status,
        "partial_content": partial,
    }


def _shared(job_id: str, attempt: Attempt) -> dict[str, Any]:
    return {
        "problem_id": attempt.key.problem_id,
        "arm_id": attempt.key.arm_id,
        "sample_index": attempt.key.sample_index,
        "sample_id": attempt.key.sample_id(job_id),
        "error_type": attempt.error_type,
        "error_message": attempt.error_message,
        "stop_reason": attempt.stop_reason,
        "input_tokens": attempt.usage.input_tokens,
        "cache_read_tokens": attempt.usage.cache_read_tokens,
        "cache_write_tokens": attempt.usage.cache_write_tokens,
        "output_tokens": attempt.usage.output_tokens,
        "thinking_tokens": attempt.usage.thinking_tokens,
        "cost_usd": attempt.cost_usd,
        "queued_at": utc(attempt.queued_at),
        "started_at": utc(attempt.started_at),
        "first_token_at": utc(attempt.first_token_at),
        "finished_at": utc(attempt.finished_at),
        "request_id": attempt.request_id,
        "message_id": attempt.message_id,
        "model": attempt.model,
        "endpoint": attempt.endpoint,
        "lane": attempt.lane,
        "simulated": attempt.simulator is not None,
        "simulator": attempt.simulator,
    }


def utc(seconds: float | None) -> datetime | None:
    """Unix seconds as a timestamp column takes them."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
