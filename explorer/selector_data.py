"""What selectors are worth: at what price, how sure of themselves, and what they leave to a better one."""

from __future__ import annotations

from polythink.explorer.results import Calibration, ConfidenceBin, FrontierPoint, ProblemGap
from polythink.storage.archive import Archive

MAX_GAPS = 10  # problems shown


def read_frontier(archive: Archive, job_id: str) -> tuple[FrontierPoint, ...]:
    """The points that cost anything; a logarithmic axis has no zero."""
    query = """
        SELECT arm_id, selector, n, stopped, usd_per_problem, accuracy, low, high, is_efficient
        FROM frontier WHERE job_id = $1 AND usd_per_problem > 0
        ORDER BY usd_per_problem, accuracy, arm_id, selector, n
    """
    return tuple(FrontierPoint(**row) for row in archive.sql(query, [job_id]).to_pylist())


def read_bins(archive: Archive, job_id: str, selector: str | None) -> tuple[ConfidenceBin, ...]:
    query = """
        SELECT arm_id, selections, confidence, accuracy, accuracy_low, accuracy_high
        FROM calibration WHERE job_id = $1 AND selector = $2 ORDER BY arm_id, bin
    """
    return tuple(ConfidenceBin(**row) for row in archive.sql(query, [job_id, selector]).to_pylist())


def read_calibrations(archive: Archive, job_id: str, selector: str | None) -> tuple[Calibration, ...]:
    query = """
        SELECT arm_id, c.selections, c.confidence, c.accuracy, c.calibration_error, c.brier
        FROM calibration_summary c LEFT JOIN arms a USING (job_id, arm_id)
        WHERE job_id = $1 AND c.selector = $2 ORDER BY a.ordinal, arm_id
    """
    return tuple(Calibration(**row) for row in archive.sql(query, [job_id, selector]).to_pylist())


def read_gaps(archive: Archive, job_id: str, arm_id: str | None) -> tuple[ProblemGap, ...]:
    """Of an arm, the problems whose vote falls furthest short of their samples; among equals those most often right."""
    query = f"""
        SELECT problem_id, n, right_share, pass_at_n, majority_at_n, gap, entropy, classes
        FROM coverage c LEFT JOIN problems p USING (job_id, problem_id)
        WHERE job_id = $1 AND arm_id = $2
        QUALIFY n = max(n) OVER (PARTITION BY problem_id) AND gap > 0
        ORDER BY gap DESC, right_share DESC, p.ordinal, problem_id LIMIT {MAX_GAPS}
    """
    return tuple(ProblemGap(**row) for row in archive.sql(query, [job_id, arm_id]).to_pylist())
