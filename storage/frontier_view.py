"""The view of what accuracy costs: every point of every selector's curve, and of what was
stopped early, at its price, and which of them are efficient.

A sample costs what its arm paid for all its requests, failed ones included, over the samples it got; of an imported
job, which paid nothing here, what was recorded of its samples. A selector that asks a judge adds what that cost.
A curve counts every problem alike, so where problems have samples by what their votes said, it is priced by the mean
over problems of what a sample cost.
"""

from __future__ import annotations

EQUAL = 1e-9  # accuracies nearer to each other are the same sum added up in another order
CENTS = 12  # digits after the point in which prices are told apart, in USD, for the same reason

_FRONTIER = """
    WITH kept AS (
        SELECT job_id, arm_id, problem_id, count(*) AS samples, sum(cost_usd) AS recorded, count(cost_usd) AS priced
        FROM traces GROUP BY ALL
    ), paid AS (
        SELECT job_id, arm_id, problem_id, sum(cost_usd) AS usd FROM attempts GROUP BY ALL
    ), pooled AS (
        SELECT job_id, arm_id, coalesce(any_value(arm.usd) / sum(samples), sum(recorded) / sum(priced)) AS usd
        FROM kept LEFT JOIN (SELECT job_id, arm_id, sum(usd) AS usd FROM paid GROUP BY ALL) arm USING (job_id, arm_id)
        GROUP BY ALL
    ), level AS (
        SELECT job_id, arm_id, avg(coalesce(usd / samples, recorded / priced)) AS usd
        FROM kept LEFT JOIN paid USING (job_id, arm_id, problem_id) GROUP BY ALL
    ), asked AS (
        SELECT job_id, arm_id, selector, sum(selector_cost_usd) / sum(n) AS pooled, avg(selector_cost_usd / n) AS level
        FROM selections GROUP BY ALL
    ), whole AS (
        SELECT *, max(problems) OVER (PARTITION BY job_id, arm_id, selector) AS everyone
        FROM curves WHERE selector NOT IN ('pass', 'all')
    ), uneven AS (
        SELECT DISTINCT job_id, arm_id, true AS uneven FROM stops
    ), points AS (
        SELECT job_id, arm_id, selector, n::DOUBLE AS n, false AS stopped, accuracy, low, high
        FROM whole WHERE problems = everyone
        UNION ALL BY NAME
        SELECT job_id, arm_id, selector, n, true AS stopped, accuracy, low, high FROM adaptive
        WHERE selector IS NOT NULL
    ), priced AS (
        SELECT job_id, arm_id, selector, n, stopped,
            n * if(uneven AND NOT stopped, level.usd + coalesce(asked.level, 0), pooled.usd + coalesce(asked.pooled, 0))
                AS usd_per_problem,
            accuracy, low, high
        FROM points LEFT JOIN pooled USING (job_id, arm_id) LEFT JOIN level USING (job_id, arm_id)
            LEFT JOIN uneven USING (job_id, arm_id) LEFT JOIN asked USING (job_id, arm_id, selector)
    )
    SELECT *, CASE WHEN usd_per_problem IS NOT NULL THEN
        accuracy + {equal} >= max(accuracy) OVER as_cheap
        AND accuracy > coalesce(max(accuracy) OVER cheaper, -1) + {equal} END AS is_efficient
    FROM priced
    WINDOW as_cheap AS (PARTITION BY job_id ORDER BY round(usd_per_problem, {cents})),
        cheaper AS (PARTITION BY job_id ORDER BY round(usd_per_problem, {cents})
            RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE GROUP)
"""


def frontier_select() -> str:
    """The SQL of the view, over `curves`, `adaptive`, `traces`, `attempts` and `selections`."""
    return _FRONTIER.format(equal=EQUAL, cents=CENTS)
