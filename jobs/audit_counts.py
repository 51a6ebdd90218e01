"""Auditing what must add up: traces beside attempts, batches and the job's own state, and the counts of each arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polythink.errors import ArchiveError
from polythink.jobs.batch_ledger import open_batches
from polythink.jobs.findings import Findings
from polythink.storage.archive import Archive
from polythink.storage.state import JobState

_DOUBLED = """
    SELECT any_value(problem_id || '/' || arm_id || '/' || sample_index) AS place, count(*) AS rows FROM traces
    WHERE job_id = ? GROUP BY problem_id, arm_id, sample_index HAVING count(*) > 1 ORDER BY place
"""
_RENUMBERED = """
    SELECT any_value(problem_id || '/' || arm_id || '/' || sample_index) AS place, attempt, count(*) AS rows
    FROM attempts WHERE job_id = ? GROUP BY sample_id, attempt HAVING count(*) > 1 ORDER BY place, attempt
"""
_SAME = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "thinking_tokens", "cost_usd",
         "stop_reason", "message_id", "model", "endpoint", "lane", "simulated")  # fmt: skip
_UNLIKE = f"""
    WITH finals AS (SELECT * FROM attempts WHERE job_id = $1 AND status IN ('complete', 'failed')),
        kept AS (SELECT * FROM traces WHERE job_id = $1)
    SELECT coalesce(kept.problem_id, finals.problem_id) || '/' || coalesce(kept.arm_id, finals.arm_id) || '/'
            || coalesce(kept.sample_index, finals.sample_index) AS place,
        kept.sample_id IS NOT NULL AS has_trace, finals.sample_id IS NOT NULL AS has_attempt,
        kept.outcome = 'failed' AS is_failed, finals.status = 'failed' AS was_failed,
        {", ".join(f"kept.{name} AS trace_{name}, finals.{name} AS attempt_{name}" for name in _SAME)}
    FROM kept FULL JOIN finals USING (sample_id)
    WHERE kept.sample_id IS NULL OR finals.sample_id IS NULL OR kept.attempts <> finals.attempt
        OR (kept.outcome = 'failed') <> (finals.status = 'failed')
        OR {" OR ".join(f"kept.{name} IS DISTINCT FROM finals.{name}" for name in _SAME)}
    ORDER BY place
"""
_BATCHES = """
    SELECT number, requests, succeeded + errored + canceled + expired AS results, cost_usd, reserved_usd
    FROM batches WHERE job_id = ? AND state = 'settled' ORDER BY number
"""
_BATCH_LANE = """
    SELECT (SELECT coalesce(sum(cost_usd), 0.0) FROM batches WHERE job_id = $1 AND state = 'settled') AS batches,
        (SELECT coalesce(sum(cost_usd), 0.0) FROM attempts WHERE job_id = $1 AND lane = 'batch') AS attempts
"""
_STATE = """
    SELECT (SELECT count(*) FROM traces WHERE job_id = $1) AS done,
        (SELECT count(*) FROM traces WHERE job_id = $1 AND outcome = 'failed') AS failed,
        (SELECT coalesce(sum(samples - n), 0)::BIGINT FROM stops WHERE job_id = $1 AND decided) AS spared,
        (SELECT coalesce(sum(cost_usd), 0.0) FROM attempts WHERE job_id = $1) AS spent_usd,
        (SELECT coalesce(sum(output_tokens), 0)::BIGINT FROM attempts WHERE job_id = $1) AS output_tokens
"""
_ARMS = """
    SELECT arm_id, any_value(reasoning) AS reasoning, count(*) AS samples,
        count(*) FILTER (outcome = 'truncated') AS truncated, count(*) FILTER (outcome = 'refused') AS refused,
        count(*) FILTER (outcome = 'no_answer') AS no_answer, count(*) FILTER (outcome = 'failed') AS failed,
        count(*) FILTER (thinking_tokens > 0 AND coalesce(thinking, '') = '') AS empty_thinking,
        count(*) FILTER (thinking_tokens = 0 AND reasoning <> 'none' AND outcome <> 'failed') AS zero_thinking
    FROM traces JOIN arms USING (job_id, arm_id) WHERE job_id = ? GROUP BY arm_id, arms.ordinal ORDER BY arms.ordinal
"""
_ODD = {
    "truncated": "cut short without an answer: raise max_tokens",
    "refused": "refused",
    "no_answer": "ended without an answer that could be read",
    "failed": "given up",
    "empty_thinking": "thought, but show no thinking",
    "zero_thinking": "did not think at all",
}


def audit_traces_once(archive: Archive, job_id: str, findings: Findings) -> None:
    """One trace per sample."""
    for row in archive.sql(_DOUBLED, [job_id]).to_pylist():
        findings.differs("one trace per sample", row["place"], found=f"{row['rows']} traces", expected="one")


def audit_attempts(archive: Archive, job_id: str, findings: Findings) -> None:
    """Every trace is explained by the one attempt that made it, and no two attempts of a sample bear one number."""
    for row in archive.sql(_RENUMBERED, [job_id]).to_pylist():
        found = f"{row['rows']} attempts of number {row['attempt']}"
        findings.differs("attempts", row["place"], found=found, expected="one")
    for row in archive.sql(_UNLIKE, [job_id]).to_pylist():
        _note_unlike(row, findings)
    findings.looked(
        "attempts", archive.sql("SELECT count(*) AS n FROM attempts WHERE job_id = ?", [job_id])["n"][0].as_py()
    )


def _note_unlike(row: Mapping[str, Any], findings: Findings) -> None:
    if not row["has_attempt"]:
        findings.differs("attempts", row["place"], found="no attempt", expected="the one that made the trace")
    elif not row["has_trace"]:
        findings.differs("attempts", row["place"], found="no trace", expected="the one that its attempt made")
    else:
        unlike = [name for name in _SAME if row[f"trace_{name}"] != row[f"attempt_{name}"]]
        found = ", ".join(f"{name} {row[f'trace_{name}']}" for name in unlike)
        expected = ", ".join(f"{name} {row[f'attempt_{name}']}" for name in unlike)
        findings.differs(
            "attempts",
            row["place"],
            found=found or "another outcome or number of attempts",
            expected=expected or "that of its last attempt",
        )


def audit_batches(archive: Archive, job_id: str, findings: Findings) -> None:
    """Every settled batch accounts for all its requests, under what was reserved; together they cost what is kept."""
    try:
        open_batches(archive, job_id)
    except ArchiveError as error:
        findings.differs("batches", "their records", found=error, expected="records that can be read")
    settled = archive.sql(_BATCHES, [job_id]).to_pylist()
    for row in settled:
        where = f"batch {row['number']}"
        findings.compare("batches", where, found=row["results"], expected=row["requests"])
        if row["reserved_usd"] is not None and row["cost_usd"] > row["reserved_usd"] + 1e-9:
            findings.differs("batches", where, found=f"${row['cost_usd']}", expected=f"at most ${row['reserved_usd']}")
    (sums,) = archive.sql(_BATCH_LANE, [job_id]).to_pylist()
    findings.compare("batches", "cost_usd of all", found=sums["batches"], expected=sums["attempts"])
    findings.looked("batches", len(settled))


def audit_state(archive: Archive, state: JobState, findings: Findings) -> None:
    """What a job that is over says of itself."""
    (counted,) = archive.sql(_STATE, [state.job_id]).to_pylist()
    if state.status == "imported":
        counted |= {"spent_usd": state.spent_usd, "output_tokens": state.output_tokens}
    for name, expected in counted.items():
        findings.compare("state", name, found=getattr(state, name), expected=expected)
    findings.looked("state", 1)


def arm_counts(archive: Archive, job_id: str) -> tuple[Mapping[str, object], ...]:
    """What became of the samples of each arm."""
    return tuple(archive.sql(_ARMS, [job_id]).to_pylist())


def odd_counts(arms: tuple[Mapping[str, Any], ...]) -> list[str]:
    """A warning for every arm and every kind of sample that one would rather not have.

    >>> odd_counts(({"arm_id": "a", "samples": 200, "truncated": 3},))
    ['a: 3 of 200 samples (1.5%) cut short without an answer: raise max_tokens']
    """
    return [
        f"{arm['arm_id']}: {arm[name]:,} of {arm['samples']:,} samples ({arm[name] / arm['samples']:.1%}) {meaning}"
        for arm in arms
        for name, meaning in _ODD.items()
        if arm.get(name)
    ]
