"""What a job and its judges have spent of the one cap that they share, or may have."""

from __future__ import annotations

from dataclasses import dataclass

from polythink.storage.archive import Archive

# Of a batch whose fate is not settled, the record holds the worst case: its samples have no rows yet.
_SPENT = """
    WITH others AS (
        SELECT job_id, max(max_tokens) AS most FROM jobs JOIN arms USING (job_id)
        WHERE (job_id = $1 OR parent_job_id = $1) AND job_id <> $2 GROUP BY ALL
    ), attempted AS (
        SELECT sum(cost_usd) AS usd, sum(reserved_usd) AS held_usd,
            sum(if(reserved_usd IS NULL, attempts.output_tokens, max_tokens)) AS tokens
        FROM attempts JOIN others USING (job_id) JOIN arms USING (job_id, arm_id)
    ), batched AS (
        SELECT sum(reserved_usd) AS held_usd, sum(requests * most) AS tokens
        FROM batches JOIN others USING (job_id) WHERE state IN ('intended', 'created')
    )
    SELECT coalesce(a.usd, 0.0) + coalesce(a.held_usd, 0.0) + coalesce(b.held_usd, 0.0) AS usd,
        (coalesce(a.tokens, 0) + coalesce(b.tokens, 0))::BIGINT AS output_tokens
    FROM attempted a, batched b
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Settled, and at its worst where it is not."""

    usd: float
    output_tokens: int


def spent_beside(archive: Archive, family: str, job_id: str) -> Spent:
    """What the job `family` and its judges have spent, all but `job_id`."""
    (row,) = archive.sql(_SPENT, [family, job_id]).to_pylist()
    return Spent(**row)
