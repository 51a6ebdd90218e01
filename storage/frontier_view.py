"""The view of what accuracy costs: every point of every selector's curve, and of what was
stopped early, at its price, and which of them are efficient.

A sample costs what its arm paid for all its requests, failed ones included, over the samples it got; of an imported
job, which paid nothing here, what was recorded of its samples. A selector that asks a judge adds what that cost.
"""

from __future__ import annotations

EQUAL = 1e-9  # accuracies nearer to each other are the same sum added up in another order

_FRONTIER = """
    WITH kept AS (
        SELECT job_id, arm_id, count(*) AS samples, avg(cost_usd) AS recorded FROM traces GROUP BY ALL
    ), paid AS (
        SELECT job_id, arm_id, sum(cost_usd) AS usd FROM attempts GROUP BY ALL
    ), asked AS (
        SELECT job_id, arm_id, selector, sum(selector_cost_usd) / sum(n) AS usd FROM selections GROUP BY ALL
    ), whole AS (
        SELECT *, max(problems) OVER (PARTITION BY job_id, arm_id, selector) AS everyone
        FROM curves WHERE selector NOT IN ('pass', 'all')
    ), points AS (
        SELECT job_id, arm_id, selector, n::DOUBLE AS n, false AS stopped, accuracy, low, high
        FROM whole WHERE problems = everyone
        UNION ALL BY NAME
        SELECT job_id, arm_id, selector, n, true AS stopped, accuracy, low, high FROM adaptive
    ), priced AS (
        SELECT points.job_id, points.arm_id, points.selector, n, stopped,
            n * (coalesce(paid.usd / kept.samples, kept.recorded) + coalesce(asked.usd, 0)) AS usd_per_problem,
            accuracy, low, high
        FROM points LEFT JOIN kept USING (job_id, arm_id) LEFT JOIN paid USING (job_id, arm_id)
            LEFT JOIN asked USING (job_id, arm_id, selector)
    )
    SELECT *, CASE WHEN usd_per_problem IS NOT NULL THEN
        accuracy + {equal} >= max(accuracy) OVER (PARTITION BY job_id ORDER BY usd_per_problem) END AS is_efficient
    FROM priced
"""


def frontier_select() -> str:
    """The SQL of the view, over `curves`, `adaptive`, `traces`, `attempts` and `selections`."""
    return _FRONTIER.format(equal=EQUAL)
