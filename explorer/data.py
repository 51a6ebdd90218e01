"""A job's results, read from the archive with the queries that any reader of it could ask."""

from __future__ import annotations

from collections.abc import Sequence

from polythink.explorer.problem_data import read_problems, rows_of
from polythink.explorer.results import OUTCOMES, ArmFacts, ArmPair, CurvePoint, JobFacts, Results, SpendLine
from polythink.explorer.selector_data import read_bins, read_calibrations, read_frontier, read_gaps
from polythink.selectors.registry import ALL, PASS
from polythink.selectors.stopped import AdaptivePoint
from polythink.selectors.thinking import ThinkingPoint
from polythink.selectors.thinking_job import thinking_job
from polythink.storage.archive import Archive


def read_results(archive: Archive, job: str) -> Results:
    """The results of a job given by name or id. Raises UnknownJobError."""
    job_id = archive.resolve(job)
    arms = _arms(archive, job_id)
    curves = _curves(archive, job_id)
    selector = _shown_selector(archive, job_id)
    focus = _focus_arm(arms, curves, selector)
    points, lines = thinking_job(archive, job_id)
    return Results(
        job=_job(archive, job_id),
        arms=arms,
        curves=curves,
        thinking=_with_resting(points, arms, curves),
        lines=tuple(lines),
        frontier=read_frontier(archive, job_id),
        bins=read_bins(archive, job_id, selector),
        calibrations=read_calibrations(archive, job_id, selector),
        gaps=read_gaps(archive, job_id, focus),
        pairs=_pairs(archive, job_id, selector),
        selector=selector,
        problems=read_problems(archive, job_id, selector, focus),
        spend=_spend(archive, job_id),
        minds=_minds(archive, job_id),
        stopped=_stopped(archive, job_id),
    )


def _job(archive: Archive, job_id: str) -> JobFacts:
    query = """
        SELECT job_id, name, status, reason, created_at, updated_at, total - spared AS total, cap_usd,
            (SELECT count(*) FROM traces WHERE job_id = $1) AS traces,
            (SELECT count(*) FROM problems WHERE job_id = $1) AS problems,
            (SELECT (count(DISTINCT family) + count_if(family IS NULL))::BIGINT
             FROM problems WHERE job_id = $1) AS families,
            coalesce((SELECT sum(cost_usd) FROM spend WHERE job_id = $1),
                     (SELECT sum(cost_usd) FROM traces WHERE job_id = $1)) AS spent_usd
        FROM jobs WHERE job_id = $1
    """
    return JobFacts(**rows_of(archive, query, job_id)[0])


def _arms(archive: Archive, job_id: str) -> tuple[ArmFacts, ...]:
    counts = ", ".join(f"'{outcome}': count_if(outcome = '{outcome}')::BIGINT" for outcome in OUTCOMES)
    query = f"""
        WITH done AS (
            SELECT arm_id, count(*) AS traces, count_if(correct)::BIGINT AS correct, {{{counts}}} AS outcomes,
                avg(thinking_tokens) AS thinking_tokens, avg(output_tokens) AS output_tokens, sum(cost_usd) AS kept_usd
            FROM traces WHERE job_id = $1 GROUP BY arm_id
        ), paid AS (SELECT arm_id, sum(cost_usd) AS paid_usd FROM spend WHERE job_id = $1 GROUP BY arm_id)
        SELECT arm_id, a.model, a.reasoning, a.budget_tokens, a.effort, coalesce(traces, 0) AS traces,
            coalesce(correct, 0) AS correct, outcomes, output_tokens,
            coalesce(thinking_tokens, if(a.reasoning = 'none', 0, NULL)) AS thinking_tokens,
            coalesce(paid_usd, kept_usd) AS cost_usd
        FROM arms a LEFT JOIN done USING (arm_id) LEFT JOIN paid USING (arm_id)
        WHERE a.job_id = $1 ORDER BY a.ordinal
    """
    rows = rows_of(archive, query, job_id)
    return tuple(ArmFacts(**{**row, "outcomes": row["outcomes"] or dict.fromkeys(OUTCOMES, 0)}) for row in rows)


def _curves(archive: Archive, job_id: str) -> tuple[CurvePoint, ...]:
    query = f"""
        SELECT c.arm_id, selector, n, accuracy, low, high, problems
        FROM curves c LEFT JOIN arms a USING (job_id, arm_id)
        WHERE job_id = $1 AND selector <> '{ALL}' ORDER BY a.ordinal, selector, n
    """
    return tuple(CurvePoint(**row) for row in rows_of(archive, query, job_id))


def _pairs(archive: Archive, job_id: str, selector: str | None) -> tuple[ArmPair, ...]:
    query = """
        SELECT n, first_arm, second_arm, difference, low, high, p_value, p_holm
        FROM comparisons WHERE job_id = $1 AND selector = $2
        ORDER BY p_value, abs(difference) DESC, first_arm, second_arm
    """
    return tuple(ArmPair(**row) for row in archive.sql(query, [job_id, selector or PASS]).to_pylist())


def _stopped(archive: Archive, job_id: str) -> tuple[AdaptivePoint, ...]:
    query = """
        SELECT p.* EXCLUDE (job_id) FROM adaptive p LEFT JOIN arms a USING (job_id, arm_id)
        WHERE job_id = $1 ORDER BY a.ordinal, selector
    """
    return tuple(AdaptivePoint(**row) for row in rows_of(archive, query, job_id))


def _with_resting(
    points: Sequence[ThinkingPoint], arms: Sequence[ArmFacts], curves: Sequence[CurvePoint]
) -> tuple[ThinkingPoint, ...]:
    """The measured points, and at 0 tokens the arms told not to think, which servers do not measure."""
    found = {point.arm_id: point for point in points}
    singles = {p.arm_id: p for p in curves if p.selector == PASS and p.n == 1}
    for arm in arms:
        one = singles.get(arm.arm_id)
        if arm.reasoning == "none" and one is not None and arm.arm_id not in found:
            found[arm.arm_id] = ThinkingPoint(
                arm_id=arm.arm_id,
                mean_tokens=0.0,
                median_tokens=0.0,
                measured=0,
                accuracy=one.accuracy,
                low=one.low,
                high=one.high,
                problems=one.problems,
            )
    return tuple(found[arm.arm_id] for arm in arms if arm.arm_id in found)


def _shown_selector(archive: Archive, job_id: str) -> str | None:
    """Majority if it was run, else any other."""
    query = "SELECT selector FROM selections WHERE job_id = $1 GROUP BY selector ORDER BY selector <> 'majority', 1"
    rows = rows_of(archive, query, job_id)
    return str(rows[0]["selector"]) if rows else None


def _focus_arm(arms: tuple[ArmFacts, ...], curves: tuple[CurvePoint, ...], selector: str | None) -> str | None:
    """The arm whose traces are shown: where the selector is right most often, else the first that has traces."""
    ends = {p.arm_id: p.accuracy for p in curves if p.selector == selector}  # ascending n: the last one stays
    with_traces = [arm.arm_id for arm in arms if arm.traces]
    return max(with_traces, key=lambda arm_id: ends.get(arm_id, -1.0), default=None)


def _spend(archive: Archive, job_id: str) -> tuple[SpendLine, ...]:
    query = """
        SELECT model, lane, sum(attempts)::BIGINT AS attempts,
            sum(input_tokens + cache_read_tokens + cache_write_tokens)::BIGINT AS input_tokens,
            sum(output_tokens)::BIGINT AS output_tokens, sum(cost_usd) AS cost_usd
        FROM spend WHERE job_id = $1 GROUP BY model, lane ORDER BY model, lane
    """
    return tuple(SpendLine(**row) for row in rows_of(archive, query, job_id))


def _minds(archive: Archive, job_id: str) -> dict[str, int]:
    query = """
        SELECT coalesce(simulator, 'unknown') AS mind, count(*) AS traces
        FROM traces WHERE job_id = $1 AND simulated GROUP BY mind ORDER BY mind
    """
    return {row["mind"]: row["traces"] for row in rows_of(archive, query, job_id)}
