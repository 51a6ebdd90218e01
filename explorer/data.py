"""A job's results as small records, read from the archive. Everything else in the explorer is pure on these."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from polythink.records import Outcome
from polythink.selectors.registry import PASS
from polythink.selectors.stage import thinking_job
from polythink.selectors.thinking import ThinkingPoint
from polythink.storage.archive import Archive

OUTCOMES: tuple[Outcome, ...] = ("answered", "no_answer", "truncated", "refused", "failed")
MAX_PROBLEMS = 200  # shown one by one; the rest is a query away
EXCERPT_HEAD = 2_000  # characters of a trace shown from its start ...
EXCERPT_TAIL = 600  # ... and from its end, where the answer is
PROMPT_CHARACTERS = 2_000  # of a problem's text
ANSWER_CHARACTERS = 200  # of an answer
_TEXT_FIELDS = ("problem", "question", "prompt", "text", "input")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """The job as a whole."""

    job_id: str
    name: str
    status: str
    reason: str | None  # why it stopped
    created_at: datetime | None  # first run, UTC
    updated_at: datetime | None  # last sign of life, UTC
    total: int  # samples asked for
    traces: int  # samples finished
    problems: int
    spent_usd: float | None  # None where no price is known
    cap_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFacts:
    """One arm and what became of its samples."""

    arm_id: str
    model: str
    reasoning: str  # budget_tokens, effort, adaptive or none
    budget_tokens: int | None  # tokens
    effort: str | None
    traces: int  # samples finished
    correct: int  # of them right
    outcomes: dict[str, int]  # samples by outcome
    thinking_tokens: float | None  # mean per sample, over samples where they are known
    output_tokens: float | None  # mean per sample
    cost_usd: float | None  # all attempts, failed ones included


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One point of one curve; selector `pass` is pass@n."""

    arm_id: str
    selector: str
    n: int  # samples per problem
    accuracy: float  # 0..1
    low: float  # 0..1
    high: float  # 0..1
    problems: int  # that the average is over


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """What a selector picked for one problem in one arm."""

    arm_id: str
    answer: str | None
    correct: bool | None
    confidence: float | None  # 0..1
    votes: int
    voters: int
    abstained: int
    tied: bool
    tally: tuple[tuple[str, int], ...]  # answer classes with their votes, largest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """One trace, its long texts cut in the middle."""

    arm_id: str
    sample_index: int
    outcome: str
    answer: str | None
    correct: bool | None
    thinking_tokens: int | None
    cost_usd: float | None
    thinking: str
    text: str
    wins: bool  # whether its wording is the one picked


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemFacts:
    """One problem: what was asked, what was picked, a few traces."""

    problem_id: str
    prompt: str  # as much of the row's text as is shown
    gold: str | None
    picks: tuple[Pick, ...]  # at most one per arm, in order of arms
    excerpts: tuple[Excerpt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendLine:
    """Money by model and lane."""

    model: str | None
    lane: str
    attempts: int  # requests
    input_tokens: int
    output_tokens: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that reports, figures and the terminal show of a job."""

    job: JobFacts
    arms: tuple[ArmFacts, ...]  # in order of the job file
    curves: tuple[CurvePoint, ...]
    thinking: tuple[ThinkingPoint, ...]
    selector: str | None  # whose picks are shown
    problems: tuple[ProblemFacts, ...]  # the first MAX_PROBLEMS
    spend: tuple[SpendLine, ...]
    minds: dict[str, int]  # simulated samples by the mind that answered

    @property
    def simulated(self) -> int:
        """Samples that no real API answered."""
        return sum(self.minds.values())

    def arm(self, arm_id: str) -> ArmFacts:
        return next(arm for arm in self.arms if arm.arm_id == arm_id)

    def at_full_n(self, arm_id: str, selector: str) -> CurvePoint | None:
        """The arm's curve at the largest n that all of its problems reach; None without such a curve."""
        points = [p for p in self.curves if p.arm_id == arm_id and p.selector == selector]
        everyone = max((p.problems for p in points), default=0)
        return max((p for p in points if p.problems == everyone), key=lambda p: p.n, default=None)

    def same_n(self) -> int | None:
        """The samples per problem that every arm reached; None if they differ."""
        ends = (self.at_full_n(arm.arm_id, PASS) for arm in self.arms)
        counts = {end.n for end in ends if end is not None}
        return counts.pop() if len(counts) == 1 else None

    def at_one(self, arm_id: str) -> CurvePoint | None:
        """Accuracy of a single sample: pass@1; None if nothing was graded."""
        points = (p for p in self.curves if p.arm_id == arm_id and p.selector == PASS and p.n == 1)
        return next(points, None)


def read_results(archive: Archive, job: str) -> Results:
    """The results of a job given by name or id. Raises UnknownJobError."""
    job_id = archive.resolve(job)
    arms = _arms(archive, job_id)
    curves = _curves(archive, job_id)
    selector = _shown_selector(archive, job_id)
    focus = _focus_arm(arms, curves, selector)
    return Results(
        job=_job(archive, job_id),
        arms=arms,
        curves=curves,
        thinking=tuple(thinking_job(archive, job_id)[0]),
        selector=selector,
        problems=_problems(archive, job_id, selector, focus),
        spend=_spend(archive, job_id),
        minds=_minds(archive, job_id),
    )


def _rows(archive: Archive, query: str, *params: object) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = archive.sql(query, params).to_pylist()
    return rows


def _job(archive: Archive, job_id: str) -> JobFacts:
    query = """
        SELECT job_id, name, status, reason, created_at, updated_at, total, cap_usd,
            (SELECT count(*) FROM traces WHERE job_id = $1) AS traces,
            (SELECT count(*) FROM problems WHERE job_id = $1) AS problems,
            coalesce((SELECT sum(cost_usd) FROM spend WHERE job_id = $1),
                     (SELECT sum(cost_usd) FROM traces WHERE job_id = $1)) AS spent_usd
        FROM jobs WHERE job_id = $1
    """
    return JobFacts(**_rows(archive, query, job_id)[0])


def _arms(archive: Archive, job_id: str) -> tuple[ArmFacts, ...]:
    counts = ", ".join(f"'{outcome}': count_if(outcome = '{outcome}')::BIGINT" for outcome in OUTCOMES)
    query = f"""
        WITH done AS (
            SELECT arm_id, count(*) AS traces, count_if(correct)::BIGINT AS correct, {{{counts}}} AS outcomes,
                avg(thinking_tokens) AS thinking_tokens, avg(output_tokens) AS output_tokens, sum(cost_usd) AS kept_usd
            FROM traces WHERE job_id = $1 GROUP BY arm_id
        ), paid AS (SELECT arm_id, sum(cost_usd) AS paid_usd FROM spend WHERE job_id = $1 GROUP BY arm_id)
        SELECT arm_id, a.model, a.reasoning, a.budget_tokens, a.effort, coalesce(traces, 0) AS traces,
            coalesce(correct, 0) AS correct, outcomes, thinking_tokens, output_tokens,
            coalesce(paid_usd, kept_usd) AS cost_usd
        FROM arms a LEFT JOIN done USING (arm_id) LEFT JOIN paid USING (arm_id)
        WHERE a.job_id = $1 ORDER BY a.ordinal
    """
    rows = _rows(archive, query, job_id)
    return tuple(ArmFacts(**{**row, "outcomes": row["outcomes"] or dict.fromkeys(OUTCOMES, 0)}) for row in rows)


def _curves(archive: Archive, job_id: str) -> tuple[CurvePoint, ...]:
    query = """
        SELECT c.arm_id, selector, n, accuracy, low, high, problems
        FROM curves c LEFT JOIN arms a USING (job_id, arm_id)
        WHERE job_id = $1 ORDER BY a.ordinal, selector, n
    """
    return tuple(CurvePoint(**row) for row in _rows(archive, query, job_id))


def _shown_selector(archive: Archive, job_id: str) -> str | None:
    """Majority if it was run, else any other."""
    query = "SELECT selector FROM selections WHERE job_id = $1 GROUP BY selector ORDER BY selector <> 'majority', 1"
    rows = _rows(archive, query, job_id)
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
    return tuple(SpendLine(**row) for row in _rows(archive, query, job_id))


def _minds(archive: Archive, job_id: str) -> dict[str, int]:
    query = """
        SELECT coalesce(simulator, 'unknown') AS mind, count(*) AS traces
        FROM traces WHERE job_id = $1 AND simulated GROUP BY mind ORDER BY mind
    """
    return {row["mind"]: row["traces"] for row in _rows(archive, query, job_id)}


def _problems(archive: Archive, job_id: str, selector: str | None, focus: str | None) -> tuple[ProblemFacts, ...]:
    query = f"SELECT problem_id, gold, fields FROM problems WHERE job_id = $1 ORDER BY ordinal LIMIT {MAX_PROBLEMS}"
    picks = _picks(archive, job_id, selector)
    excerpts = _excerpts(archive, job_id, selector, focus)
    return tuple(
        ProblemFacts(
            problem_id=row["problem_id"],
            prompt=_shown_text(json.loads(row["fields"]))[:PROMPT_CHARACTERS],
            gold=row["gold"],
            picks=tuple(picks.get(row["problem_id"], ())),
            excerpts=tuple(excerpts.get(row["problem_id"], ())),
        )
        for row in _rows(archive, query, job_id)
    )


def _shown_text(fields: dict[str, Any]) -> str:
    """The field that reads like the problem: one with a telling name, else the longest text."""
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    named = (texts[name] for name in _TEXT_FIELDS if name in texts)
    return next(named, max(texts.values(), key=len, default=""))


def _picks(archive: Archive, job_id: str, selector: str | None) -> dict[str, list[Pick]]:
    query = f"""
        SELECT s.problem_id, s.arm_id, left(s.answer, {ANSWER_CHARACTERS}) AS answer, s.correct, s.confidence, s.votes,
            s.voters, s.abstained, s.tied, s.tally
        FROM selections s LEFT JOIN problems p USING (job_id, problem_id) LEFT JOIN arms a USING (job_id, arm_id)
        WHERE job_id = $1 AND s.selector = $2 AND p.ordinal < {MAX_PROBLEMS} ORDER BY p.ordinal, a.ordinal
    """
    found: dict[str, list[Pick]] = {}
    for row in _rows(archive, query, job_id, selector):
        tally = tuple((answer[:ANSWER_CHARACTERS], votes) for answer, votes in json.loads(row.pop("tally")).items())
        found.setdefault(row.pop("problem_id"), []).append(Pick(**row, tally=tally))
    return found


def _excerpts(archive: Archive, job_id: str, selector: str | None, focus: str | None) -> dict[str, list[Excerpt]]:
    """Per problem, from one arm: the trace whose wording was picked, and the first that says something else."""
    query = f"""
        WITH voted AS (
            SELECT t.sample_id, coalesce(t.sample_index = s.winner_index, false) AS wins, row_number() OVER (
                PARTITION BY t.problem_id, t.canonical_answer IS NOT DISTINCT FROM s.canonical_answer
                ORDER BY wins DESC, t.canonical_answer IS NULL, t.sample_index) AS place
            FROM traces t JOIN problems p USING (job_id, problem_id)
            LEFT JOIN selections s ON s.job_id = t.job_id AND s.arm_id = t.arm_id AND s.problem_id = t.problem_id
                AND s.selector = $3
            WHERE job_id = $1 AND t.arm_id = $2 AND p.ordinal < {MAX_PROBLEMS}
        )
        SELECT t.problem_id, t.arm_id, t.sample_index, t.outcome, left(t.answer, {ANSWER_CHARACTERS}) AS answer,
            t.correct, t.thinking_tokens, t.cost_usd, v.wins,
            {_cut("thinking")} AS thinking, {_cut("text")} AS text
        FROM traces t JOIN voted v USING (sample_id)
        WHERE t.job_id = $1 AND t.arm_id = $2 AND v.place = 1 ORDER BY v.wins DESC, t.sample_index
    """
    found: dict[str, list[Excerpt]] = {}
    for row in _rows(archive, query, job_id, focus, selector):
        found.setdefault(row.pop("problem_id"), []).append(Excerpt(**row))
    return found


def _cut(column: str) -> str:
    """SQL for a long text with its middle left out, and how much was."""
    kept = EXCERPT_HEAD + EXCERPT_TAIL
    middle = f"format('\n\n[... {{}} characters left out ...]\n\n', length(t.{column}) - {kept})"
    return f"""CASE WHEN length(t.{column}) <= {kept} THEN coalesce(t.{column}, '')
        ELSE left(t.{column}, {EXCERPT_HEAD}) || {middle} || right(t.{column}, {EXCERPT_TAIL}) END"""
