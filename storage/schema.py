"""The archive's tables as data: pyarrow schemas, DuckDB views and the documentation come from here.

Every Parquet file carries SCHEMA_VERSION in its metadata. `job_id` is not stored in the rows: it is the Hive
partition (`tables/traces/job_id=<job_id>/`), and the views add it as their first column.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

SCHEMA_VERSION = 1
VERSION_KEY = b"polythink.schema_version"

TEXT = pa.string()
COUNT = pa.int64()
REAL = pa.float64()
FLAG = pa.bool_()
WHEN = pa.timestamp("us", tz="UTC")
VECTOR = pa.list_(pa.float32())


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, Arrow type, unit (empty for names and flags) and meaning."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the archive, and the view of the same name."""

    name: str
    meaning: str
    columns: tuple[Column, ...]

    @property
    def arrow(self) -> pa.Schema:
        fields = [pa.field(c.name, c.type) for c in self.columns]
        return pa.schema(fields, metadata={VERSION_KEY: str(SCHEMA_VERSION).encode()})


_KEY = (
    Column("problem_id", TEXT, "", "the problem"),
    Column("arm_id", TEXT, "", "the arm"),
    Column("sample_index", COUNT, "from 0", "which of the problem's samples in this arm"),
    Column("sample_id", TEXT, "", "identity in 64 characters, as sent to the API in metadata.user_id"),
)

_USAGE = (
    Column("input_tokens", COUNT, "tokens", "uncached input"),
    Column("cache_read_tokens", COUNT, "tokens", "input read from the prompt cache"),
    Column("cache_write_tokens", COUNT, "tokens", "input written to the prompt cache"),
    Column("output_tokens", COUNT, "tokens", "billed output, all thinking included"),
    Column("thinking_tokens", COUNT, "tokens", "thinking part of output_tokens; null where the server does not say"),
    Column("cost_usd", REAL, "USD", "price of the usage; null where the model has no known price"),
)

_TIMES = (
    Column("queued_at", WHEN, "UTC", "when it was handed to a worker"),
    Column("started_at", WHEN, "UTC", "when the request was sent"),
    Column("first_token_at", WHEN, "UTC", "when the first content arrived"),
    Column("finished_at", WHEN, "UTC", "when the last byte arrived"),
)

_SERVED = (
    Column("request_id", TEXT, "", "the API's request id"),
    Column("message_id", TEXT, "", "the API's message id"),
    Column("model", TEXT, "", "the model as returned"),
    Column("endpoint", TEXT, "", "the endpoint's name in the job"),
    Column("lane", TEXT, "", "live, batch or imported"),
    Column("simulated", FLAG, "", "true if no real API answered"),
    Column("simulator", TEXT, "", "which mind of the simulator answered; null for a real endpoint"),
)

TRACES = Table(
    "traces",
    "exactly one row per finished sample",
    (
        *_KEY,
        Column("outcome", TEXT, "", "answered, no_answer, truncated, refused or failed"),
        Column("answer", TEXT, "", "the answer as read from the text"),
        Column("canonical_answer", TEXT, "", "the form under which equal answers meet"),
        Column("correct", FLAG, "", "graded against gold or by the job's function; null if neither could"),
        Column("score", REAL, "", "the grading function's number, where it gives one"),
        Column("stop_reason", TEXT, "", "as returned by the API"),
        *_USAGE,
        *_TIMES,
        Column("attempts", COUNT, "requests", "how many requests the sample took"),
        *_SERVED,
        Column("error_type", TEXT, "", "of a failed sample: the API's error type"),
        Column("error_message", TEXT, "", "of a failed sample: the API's message"),
        Column("thinking", TEXT, "", "all thinking text"),
        Column("text", TEXT, "", "all answer text"),
        Column("content", TEXT, "JSON", "the content blocks verbatim, signatures and redacted blocks included"),
        Column("metadata", TEXT, "JSON", "of an imported sample: the further fields of its row"),
    ),
)

ATTEMPTS = Table(
    "attempts",
    "one row per request made, the failed ones too",
    (
        *_KEY,
        Column("attempt", COUNT, "from 1", "which of the sample's requests"),
        Column(
            "status", TEXT, "", "complete (it made the trace), retry (owed again), lost (its fate is unknown), failed"
        ),
        Column("http_status", COUNT, "", "HTTP status; null if no reply came"),
        Column(
            "error_type",
            TEXT,
            "",
            "the API's error.type, or connection_error, timeout_error, cut_stream, malformed_stream, worker_died, "
            "driver_died",
        ),
        Column("error_message", TEXT, "", "the API's message"),
        Column("stop_reason", TEXT, "", "as returned by the API"),
        *_USAGE,
        Column(
            "reserved_usd",
            REAL,
            "USD",
            "what it may have cost beyond cost_usd, where its end was not seen; held under the cap",
        ),
        *_TIMES,
        *_SERVED,
        Column("partial_content", TEXT, "JSON", "what had arrived of a stream that was cut; null otherwise"),
    ),
)

PROBLEMS = Table(
    "problems",
    "the job's problems",
    (
        Column("problem_id", TEXT, "", "unique within the job"),
        Column("ordinal", COUNT, "from 0", "place in the problem file"),
        Column("gold", TEXT, "", "reference answer; null if there is none"),
        Column("canonical_gold", TEXT, "", "gold under the job's answer reading"),
        Column("fields", TEXT, "JSON", "the whole row as read"),
        Column(
            "family", TEXT, "", "what it has in common with other problems; bands draw families; null: one of its own"
        ),
    ),
)

ARMS = Table(
    "arms",
    "the job's sampling configurations",
    (
        Column("arm_id", TEXT, "", "unique within the job"),
        Column("ordinal", COUNT, "from 0", "place in the job file"),
        Column("endpoint", TEXT, "", "the endpoint's name in the job; several by commas"),
        Column("model", TEXT, "", "the model as requested"),
        Column("reasoning", TEXT, "", "budget_tokens, effort, adaptive or none; null where samples were imported"),
        Column("budget_tokens", COUNT, "tokens", "thinking budget; null unless reasoning is budget_tokens"),
        Column("effort", TEXT, "", "effort level; null unless reasoning is effort"),
        Column("max_tokens", COUNT, "tokens", "ceiling on thinking and answer together"),
        Column("system", TEXT, "Jinja", "system prompt template"),
        Column("template", TEXT, "Jinja", "user prompt template"),
        Column("samples", COUNT, "samples", "samples asked for per problem"),
    ),
)

SELECTIONS = Table(
    "selections",
    "one row per problem, arm and selector: the answer picked without knowing the truth",
    (
        Column("problem_id", TEXT, "", "the problem"),
        Column("arm_id", TEXT, "", "the arm"),
        Column("selector", TEXT, "", "majority, first, ..., or what the job calls it with `as`"),
        Column("n", COUNT, "samples", "samples the selector saw, abstentions included"),
        Column("stopped", FLAG, "", "whether a stopping rule left it fewer samples than were asked for"),
        Column("answer", TEXT, "", "the winning answer as written by its first voter; null if every sample abstained"),
        Column("canonical_answer", TEXT, "", "the winner's canonical form"),
        Column("correct", FLAG, "", "whether the winner is right; null if not graded"),
        Column("confidence", REAL, "0..1", "share of the votes cast that the winner got"),
        Column("votes", COUNT, "votes", "for the winner"),
        Column("voters", COUNT, "samples", "that cast a vote"),
        Column("abstained", COUNT, "samples", "without an answer: refused, truncated, failed or unreadable"),
        Column("tied", FLAG, "", "whether the winner needed the tie rule"),
        Column("tally", TEXT, "JSON", "every answer class with its votes, largest first"),
        Column("winner_index", COUNT, "sample_index", "the sample whose wording is shown; null without a winner"),
        Column("cost_usd", REAL, "USD", "spent on the samples voted over"),
        Column("selector_cost_usd", REAL, "USD", "spent on judging them; null for a selector that asks nobody"),
    ),
)

SCORES = Table(
    "scores",
    "one row per sample and selector that goes by a score, of samples with an answer",
    (
        Column("selector", TEXT, "", "best, judge, scorer, ..., or what the job calls it with `as`"),
        Column("problem_id", TEXT, "", "the problem"),
        Column("arm_id", TEXT, "", "the arm"),
        Column("sample_index", COUNT, "from 0", "which of the problem's samples in this arm"),
        Column("score", REAL, "", "higher is better; null where the selector's source gives none"),
        Column(
            "source",
            TEXT,
            "",
            "the SQL expression, the function, the job that judged, or the file of the learned model",
        ),
    ),
)

EMBEDDINGS = Table(
    "embeddings",
    "one row per sample and function that a scorer has as `embed`, of samples with an answer: what it made of the text",
    (
        Column("problem_id", TEXT, "", "the problem"),
        Column("arm_id", TEXT, "", "the arm"),
        Column("sample_index", COUNT, "from 0", "which of the problem's samples in this arm"),
        Column("vector", VECTOR, "", "at most 16 numbers: the function's, or projections; null where it gave none"),
        Column("length", COUNT, "numbers", "in the vector that the function gave"),
        Column("source", TEXT, "", "the function"),
    ),
)

CURVES = Table(
    "curves",
    "how accuracy grows with samples, one row per arm, selector and n",
    (
        Column("arm_id", TEXT, "", "the arm"),
        Column("selector", TEXT, "", "pass for pass@n, all for pass^n (all n right), else the selector's name"),
        Column("n", COUNT, "samples", "samples per problem"),
        Column("accuracy", REAL, "0..1", "expectation over all n-subsets, averaged over problems"),
        Column("low", REAL, "0..1", "lower end of the band"),
        Column("high", REAL, "0..1", "upper end of the band"),
        Column(
            "error", REAL, "0..1", "standard error of accuracy from drawing subsets of samples; 0 if all were counted"
        ),
        Column("problems", COUNT, "problems", "that the average is over"),
    ),
)

STOPS = Table(
    "stops",
    "one row per problem and arm with fewer samples than asked for, under a stopping rule",
    (
        Column("problem_id", TEXT, "", "the problem"),
        Column("arm_id", TEXT, "", "the arm"),
        Column("n", COUNT, "samples", "finished"),
        Column("samples", COUNT, "samples", "asked for"),
        Column("rule", TEXT, "", "the rule with its setting, as in beta 0.95"),
        Column("at_least", COUNT, "samples", "that every problem got before the rule looked at any vote"),
        Column("lead", REAL, "0.5..1", "chance that the leading answer beats the runner-up, after these votes"),
        Column("decided", FLAG, "", "whether the rule stopped it; else the run has not come to its end"),
    ),
)

ADAPTIVE = Table(
    "adaptive",
    "accuracy where problems were stopped early: one row per arm and selector, in place of its curve",
    (
        Column("arm_id", TEXT, "", "the arm"),
        Column("selector", TEXT, "", "the selector"),
        Column("n", REAL, "samples", "samples per problem, the mean"),
        Column("samples", COUNT, "samples", "asked for per problem"),
        Column("accuracy", REAL, "0..1", "of the answers selected from all samples of each problem"),
        Column("low", REAL, "0..1", "lower end of the band"),
        Column("high", REAL, "0..1", "upper end of the band"),
        Column("problems", COUNT, "problems", "that the average is over"),
        Column("stopped", COUNT, "problems", "of these with fewer samples than asked for"),
    ),
)

BATCHES = Table(
    "batches",
    "one row per message batch that was intended",
    (
        Column("number", COUNT, "from 1", "which of the job's batches"),
        Column("batch_id", TEXT, "", "the API's id; null until it is known"),
        Column("state", TEXT, "", "intended, created, settled (results are in) or released (never made, or refused)"),
        Column("reason", TEXT, "", "why it was released, or settled without some or all of its results"),
        Column("endpoint", TEXT, "", "the endpoint's name in the job"),
        Column("model", TEXT, "", "the model as requested"),
        Column("requests", COUNT, "samples", "in the batch"),
        Column("succeeded", COUNT, "samples", "answered; null until settled"),
        Column("errored", COUNT, "samples", "refused by the API"),
        Column("canceled", COUNT, "samples", "not processed because the batch was canceled: owed again"),
        Column("expired", COUNT, "samples", "not processed within the API's 24 hours: owed again"),
        Column("reserved_usd", REAL, "USD", "worst case of all its requests, set aside under the cap while it is open"),
        Column("cost_usd", REAL, "USD", "billed; null until settled"),
        Column("intended_at", WHEN, "UTC", "when it was decided on, before the API was called"),
        Column("created_at", WHEN, "UTC", "by the API's clock"),
        Column("ended_at", WHEN, "UTC", "by the API's clock"),
    ),
)

COMPARISONS = Table(
    "comparisons",
    "arms against each other on the same problems, one row per selector and pair of arms",
    (
        Column("selector", TEXT, "", "pass for single samples, else the selector's name"),
        Column("n", COUNT, "samples", "samples per problem; the most that every problem of every arm has"),
        Column("first_arm", TEXT, "", "the arm"),
        Column("second_arm", TEXT, "", "the arm it is compared with"),
        Column("difference", REAL, "-1..1", "accuracy of the first arm less that of the second"),
        Column("low", REAL, "-1..1", "lower end of the difference's band"),
        Column("high", REAL, "-1..1", "upper end of the difference's band"),
        Column("p_value", REAL, "0..1", "two-sided sign-flip test over problems"),
        Column("p_holm", REAL, "0..1", "the same, adjusted for all pairs of arms of this selector"),
        Column("effect", REAL, "", "difference over the standard deviation of the problems' differences"),
        Column("problems", COUNT, "problems", "that both arms have"),
    ),
)

COVERAGE = Table(
    "coverage",
    "what a better selector could gain, one row per problem, arm and n: the curves' own, and all of the problem's "
    "samples that enter them; of arms that were stopped early, the first ones; problems that enter a curve",
    (
        Column("problem_id", TEXT, "", "the problem"),
        Column("arm_id", TEXT, "", "the arm"),
        Column("n", COUNT, "samples", "samples drawn from the problem's that enter the curves"),
        Column("right_share", REAL, "0..1", "share of its samples that enter the curves that are right"),
        Column("pass_at_n", REAL, "0..1", "chance that some sample of n is right, over all n-subsets"),
        Column("majority_at_n", REAL, "0..1", "expected correctness of the vote of n, ties shared"),
        Column("gap", REAL, "-1..1", "pass_at_n less majority_at_n"),
        Column("entropy", REAL, "bits", "Shannon entropy of the votes of these samples over their answer classes"),
        Column("classes", COUNT, "answers", "answer classes that got these votes"),
    ),
)

TABLES: tuple[Table, ...] = (
    PROBLEMS,
    ARMS,
    TRACES,
    ATTEMPTS,
    BATCHES,
    SELECTIONS,
    SCORES,
    EMBEDDINGS,
    CURVES,
    STOPS,
    ADAPTIVE,
    COMPARISONS,
    COVERAGE,
)

JOBS = Table(
    "jobs",
    "one row per job, from its state file",
    (
        Column("job_id", TEXT, "", "the job"),
        Column("name", TEXT, "", "as in the job file"),
        Column("status", TEXT, "", "running, done, stopped, interrupted, cancelled, imported"),
        Column("reason", TEXT, "", "why it stopped"),
        Column("total", COUNT, "samples", "asked for"),
        Column("done", COUNT, "samples", "finished, failed ones included"),
        Column("failed", COUNT, "samples", "given up"),
        Column("spared", COUNT, "samples", "not sent, because a stopping rule found their problem decided"),
        Column("retries", COUNT, "requests", "made beyond the first of each sample"),
        Column("output_tokens", COUNT, "tokens", "billed"),
        Column("spent_usd", REAL, "USD", "settled over all runs"),
        Column("cap_usd", REAL, "USD", "null without a cap"),
        Column("created_at", WHEN, "UTC", "first run"),
        Column("started_at", WHEN, "UTC", "this run"),
        Column("updated_at", WHEN, "UTC", "last sign of life"),
        Column("host", TEXT, "", "where the driver runs or ran"),
        Column("pid", COUNT, "", "the driver's process id"),
        Column("address", TEXT, "", "the cluster it was submitted to; null if run in the foreground"),
        Column("submission_id", TEXT, "", "its id there"),
        Column("parent_job_id", TEXT, "", "the job whose samples this one judges; null for a job of its own"),
        Column("selector", TEXT, "", "the selector it judges for, or `equivalence`; null likewise"),
    ),
)
