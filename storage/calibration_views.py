"""The views of how far confidence can be believed: selections by confidence, and how often those picks are right.

Selections without a confidence (no vote was cast) or without a verdict (nobody graded the pick) say nothing here, nor
do those of an arm that was stopped early: a problem there stops because of what its confidence would be.
"""

from __future__ import annotations

BINS = 10
WILSON_Z = 1.959963984540054  # 95% of a normal distribution lies within so many standard deviations
_EDGE = 1e-9  # a share that is a bin's lower edge belongs to it, however it was rounded

_GRADED = f"""
    SELECT job_id, arm_id, selector, confidence, correct::INT AS hit,
        least(floor(confidence * {BINS} + {_EDGE})::BIGINT, {BINS - 1}) AS bin
    FROM selections WHERE isfinite(confidence) AND correct IS NOT NULL
    QUALIFY NOT coalesce(bool_or(stopped) OVER (PARTITION BY job_id, arm_id), false)
"""
_BINNED = f"""
    SELECT job_id, arm_id, selector, bin, count(*) AS selections, avg(confidence) AS confidence, avg(hit) AS accuracy
    FROM ({_GRADED}) GROUP BY ALL
"""
_CALIBRATION = f"""
    SELECT job_id, arm_id, selector, bin, bin / {BINS} AS low, (bin + 1) / {BINS} AS high, selections, confidence,
        accuracy, greatest(middle - reach, 0) AS accuracy_low, least(middle + reach, 1) AS accuracy_high
    FROM (
        SELECT *, pow({WILSON_Z}, 2) / selections AS pull, (accuracy + pull / 2) / (1 + pull) AS middle,
            sqrt(accuracy * (1 - accuracy) * pull + pow(pull / 2, 2)) / (1 + pull) AS reach
        FROM ({_BINNED})
    )
"""
_SUMMARY = f"""
    SELECT job_id, arm_id, selector, count(*) AS selections, avg(confidence) AS confidence, avg(hit) AS accuracy,
        any_value(error) AS calibration_error, avg(pow(confidence - hit, 2)) AS brier
    FROM ({_GRADED}) JOIN (
        SELECT job_id, arm_id, selector, sum(selections * abs(confidence - accuracy)) / sum(selections) AS error
        FROM ({_BINNED}) GROUP BY ALL
    ) USING (job_id, arm_id, selector)
    GROUP BY ALL
"""


def calibration_select() -> str:
    """The SQL of the view of bins, over `selections`. Bands after Wilson 1927."""
    return _CALIBRATION


def calibration_summary_select() -> str:
    """The SQL of the view with one row for each arm and selector, over `selections`."""
    return _SUMMARY
