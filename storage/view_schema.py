"""The views that are computed from the tables of `schema`, as data of the same kind."""

from __future__ import annotations

import pyarrow as pa

from polythink.storage import schema
from polythink.storage.schema import COUNT, FLAG, REAL, TEXT, Column, Table

SPEND = Table(
    "spend",
    "money by job, arm, model, lane and day, failed attempts included",
    (
        Column("job_id", TEXT, "", "the job"),
        Column("arm_id", TEXT, "", "the arm"),
        Column("model", TEXT, "", "the model as returned"),
        Column("lane", TEXT, "", "live or batch"),
        Column("day", pa.date32(), "UTC", "when the attempt finished"),
        Column("attempts", COUNT, "requests", "made"),
        Column("input_tokens", COUNT, "tokens", "uncached input"),
        Column("cache_read_tokens", COUNT, "tokens", "input read from the prompt cache"),
        Column("cache_write_tokens", COUNT, "tokens", "input written to the prompt cache"),
        Column("output_tokens", COUNT, "tokens", "billed output"),
        Column("cost_usd", REAL, "USD", "settled"),
        Column(
            "saved_usd",
            REAL,
            "USD",
            "by the prompt cache, at list prices, the premium of writes subtracted; null where the model has none",
        ),
    ),
)

FRONTIER = Table(
    "frontier",
    "accuracy per dollar, one row per arm, selector and n of the curves that all of the curve's problems reach",
    (
        Column("job_id", TEXT, "", "the job"),
        Column("arm_id", TEXT, "", "the arm"),
        Column("selector", TEXT, "", "the selector's name; pass and all are none, for they select nothing"),
        Column("n", REAL, "samples", "samples per problem; where problems were stopped early, the mean"),
        Column("stopped", FLAG, "", "whether it is a row of adaptive, not a point of a curve"),
        Column(
            "usd_per_problem",
            REAL,
            "USD",
            "n times what a sample of the arm cost on average (of curves of arms stopped early, on average of its "
            "problems), failed requests and the selector's own judge included, judges whose scores it looks at and the "
            "judge of which answers are the same left out; null where the model has no known price",
        ),
        Column("accuracy", REAL, "0..1", "as in curves and adaptive"),
        Column("low", REAL, "0..1", "lower end of the band"),
        Column("high", REAL, "0..1", "upper end of the band"),
        Column(
            "is_efficient",
            FLAG,
            "",
            "no other point of the job costs at most as much and is more accurate, nor costs less and is as accurate; "
            "null without a price",
        ),
    ),
)

_CALIBRATED = (
    Column("job_id", TEXT, "", "the job"),
    Column("arm_id", TEXT, "", "the arm"),
    Column("selector", TEXT, "", "the selector's name"),
)

CALIBRATION = Table(
    "calibration",
    "how often picks of one confidence are right, one row per arm, selector and tenth of confidence that has any; "
    "graded selections of arms that were not stopped early only",
    (
        *_CALIBRATED,
        Column("bin", COUNT, "from 0", "which tenth"),
        Column("low", REAL, "0..1", "confidence from here"),
        Column("high", REAL, "0..1", "to below here; of the last tenth, to 1"),
        Column("selections", COUNT, "selections", "in it"),
        Column("confidence", REAL, "0..1", "their mean confidence"),
        Column("accuracy", REAL, "0..1", "share of them that is right"),
        Column("accuracy_low", REAL, "0..1", "lower end of its 95% Wilson band, as if problems had no families"),
        Column("accuracy_high", REAL, "0..1", "upper end"),
    ),
)

CALIBRATION_SUMMARY = Table(
    "calibration_summary",
    "confidence against accuracy in one number, one row per arm and selector; graded selections of arms that were "
    "not stopped early only",
    (
        *_CALIBRATED,
        Column("selections", COUNT, "selections", "that were graded"),
        Column("confidence", REAL, "0..1", "their mean confidence"),
        Column("accuracy", REAL, "0..1", "share of them that is right"),
        Column(
            "calibration_error",
            REAL,
            "0..1",
            "expected calibration error: distance of confidence and accuracy in a tenth, averaged over selections",
        ),
        Column("brier", REAL, "0..1", "Brier score: mean squared distance of confidence and correctness"),
    ),
)

VIEWS: tuple[Table, ...] = (schema.JOBS, SPEND, FRONTIER, CALIBRATION, CALIBRATION_SUMMARY)  # computed, not stored
