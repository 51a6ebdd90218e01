"""What the prompt cache did for a job, as shown beside its cost."""

from __future__ import annotations

from dataclasses import dataclass

from polythink.storage.archive import Archive

_CACHE = """
    SELECT coalesce(sum(cache_read_tokens), 0)::BIGINT AS read_tokens,
        coalesce(sum(cache_write_tokens), 0)::BIGINT AS write_tokens,
        coalesce(sum(input_tokens), 0)::BIGINT AS uncached_tokens, coalesce(sum(saved_usd), 0.0) AS saved_usd
    FROM spend WHERE job_id = ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """What the prompt cache did for a job."""

    hit_rate: float  # 0..1, of all input tokens those that were read from the cache
    saved_usd: float  # against the same tokens uncached, the premium of writes subtracted


def cache_use(archive: Archive, job_id: str) -> CacheUse | None:
    """Of all attempts of a job; None if nothing was cached."""
    (row,) = archive.sql(_CACHE, [job_id]).to_pylist()
    cached = row["read_tokens"] + row["write_tokens"]
    if not cached:
        return None
    return CacheUse(hit_rate=row["read_tokens"] / (cached + row["uncached_tokens"]), saved_usd=row["saved_usd"])


def cache_line(use: CacheUse) -> str:
    """
    >>> cache_line(CacheUse(hit_rate=0.9375, saved_usd=1.5))
    '94% of the input read from the prompt cache, $1.50 saved'
    """
    return f"{use.hit_rate:.0%} of the input read from the prompt cache, ${use.saved_usd:,.2f} saved"
