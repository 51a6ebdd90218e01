"""The view of spend, with what the prompt cache saved at the list prices of each model."""

from __future__ import annotations

from collections.abc import Iterator

from polythink import facts
from polythink.facts import BATCH_DISCOUNT, ModelFacts, Prices

_PROMPT = "input_tokens + cache_read_tokens + cache_write_tokens"
_SPEND = """
    SELECT job_id, arm_id, model, lane, CAST(finished_at AT TIME ZONE 'UTC' AS DATE) AS day,
        count(*) AS attempts, sum(input_tokens)::BIGINT AS input_tokens,
        sum(cache_read_tokens)::BIGINT AS cache_read_tokens, sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
        sum(output_tokens)::BIGINT AS output_tokens, sum(cost_usd) AS cost_usd,
        sum(1e-6 * CASE WHEN lane = 'batch' THEN {discount} ELSE 1 END
            * (cache_read_tokens * read_saves - cache_write_tokens * write_adds)) AS saved_usd
    FROM attempts LEFT JOIN (VALUES {listed}) AS listed(listed_model, above, below, read_saves, write_adds)
        ON model = listed_model AND {prompt} > above AND {prompt} <= below
    GROUP BY ALL
"""


def spend_select() -> str:
    """The SQL of the view, over `attempts`."""
    listed = ", ".join(row for known in facts.all_models() for row in _rows(known))
    return _SPEND.format(discount=BATCH_DISCOUNT, listed=listed, prompt=f"({_PROMPT})")


def _rows(known: ModelFacts) -> Iterator[str]:
    """What a token read saves and one written adds, in USD per million, by the length of the prompt."""
    long = known.long_prompt
    above = long.above_tokens if long else known.context_tokens * 10
    for name in (known.model_id, *known.aliases):
        yield _row(name, -1, above, known.prices)
        if long:
            yield _row(name, above, known.context_tokens * 10, long.prices)


def _row(name: str, above: int, below: int, prices: Prices) -> str:
    return f"('{name}', {above}, {below}, {prices.input - prices.read!r}, {prices.write_5m - prices.input!r})"
