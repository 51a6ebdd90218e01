"""Problem by problem: what was asked, what was picked, a few traces, read from the archive."""

from __future__ import annotations

import json
from typing import Any

from polythink.explorer.results import Excerpt, Pick, ProblemFacts
from polythink.storage.archive import Archive

MAX_PROBLEMS = 200  # shown one by one; the rest is a query away
EXCERPT_HEAD = 2_000  # characters of a trace shown from its start ...
EXCERPT_TAIL = 600  # ... and from its end, where the answer is
PROMPT_CHARACTERS = 2_000  # of a problem's text
ANSWER_CHARACTERS = 200  # of an answer
_TEXT_FIELDS = ("problem", "question", "prompt", "text", "input")


def read_problems(archive: Archive, job_id: str, selector: str | None, focus: str | None) -> tuple[ProblemFacts, ...]:
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
        for row in rows_of(archive, query, job_id)
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
    for row in rows_of(archive, query, job_id, selector):
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
    for row in rows_of(archive, query, job_id, focus, selector):
        found.setdefault(row.pop("problem_id"), []).append(Excerpt(**row))
    return found


def _cut(column: str) -> str:
    """SQL for a long text with its middle left out, and how much was."""
    kept = EXCERPT_HEAD + EXCERPT_TAIL
    middle = f"format('\n\n[... {{}} characters left out ...]\n\n', length(t.{column}) - {kept})"
    return f"""CASE WHEN length(t.{column}) <= {kept} THEN coalesce(t.{column}, '')
        ELSE left(t.{column}, {EXCERPT_HEAD}) || {middle} || right(t.{column}, {EXCERPT_TAIL}) END"""


def rows_of(archive: Archive, query: str, *params: object) -> list[dict[str, Any]]:
    """The rows of a query, as dictionaries by column."""
    rows: list[dict[str, Any]] = archive.sql(query, params).to_pylist()
    return rows
