"""What the stage writes: rows of its tables, out of polls, verdicts and curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from polythink.selectors.comparisons import compare
from polythink.selectors.coverage import coverage_rows
from polythink.selectors.curves import CurveFunction, CurvePoint
from polythink.selectors.panel import Flags, Panel
from polythink.selectors.poll import Poll, arm_problems
from polythink.selectors.registry import ALL, PASS
from polythink.selectors.samples import Samples, countable
from polythink.selectors.scorer_model import model_file
from polythink.selectors.stopped import Graded
from polythink.selectors.votes import Verdict
from polythink.storage.archive import Archive
from polythink.storage.schema import ADAPTIVE, COMPARISONS, COVERAGE, CURVES, SCORES, SELECTIONS, STOPS, Table

STAGE: tuple[Table, ...] = (SELECTIONS, SCORES, CURVES, ADAPTIVE, COMPARISONS)  # a part per selector
WHOLE: tuple[Table, ...] = (STOPS, COVERAGE)  # one part for each job
EVERY = "all"  # the name of that part


def kept_selectors(archive: Archive, job_id: str) -> list[str]:
    """The selectors that have rows for the job, by name; pass@n and pass^n are none."""
    return sorted({_selector_of(path) for path in _selector_parts(archive, job_id)} - {PASS, ALL})


def forget_selector(archive: Archive, job_id: str, name: str) -> None:
    """Durably remove the rows of a selector, and the model it has learned."""
    for path in _selector_parts(archive, job_id):
        if _selector_of(path) == name:
            archive.forget_part(path)
    archive.remove(job_id, model_file(name))


def _selector_parts(archive: Archive, job_id: str) -> list[PurePosixPath]:
    return [path for table in STAGE for path in archive.parts(table.name, job_id)]


def _selector_of(path: PurePosixPath) -> str:
    return path.stem.removeprefix("part-")


def replace_if_any(archive: Archive, table: Table, job_id: str, part: str, records: Sequence[Any]) -> None:
    """Write these records as a part; none at all only in place of an earlier one."""
    if records or any(_selector_of(path) == part for path in archive.parts(table.name, job_id)):
        rows = pa.Table.from_pylist([asdict(record) for record in records], schema=table.arrow)
        archive.replace_part(table, job_id, part, rows)


def selection_rows(
    poll: Poll,
    name: str,
    verdicts: Sequence[tuple[int, slice, Verdict]],
    costs_usd: Sequence[float | None] | None,
) -> list[dict[str, Any]]:
    """Of `selections`. Verdicts come with the place of their ballot among all and of its samples among all.

    `costs_usd` is what judging each ballot cost; None if nobody was asked.
    """
    stopped = {(stop.problem_id, stop.arm_id) for stop in poll.stops if stop.decided}
    rows = [
        {"selector": name, "selector_cost_usd": None if costs_usd is None else costs_usd[place]}
        | _selection_row(poll.samples, span, verdict)
        for place, span, verdict in verdicts
    ]
    return [row | {"stopped": (row["problem_id"], row["arm_id"]) in stopped} for row in rows]


def _selection_row(samples: Samples, span: slice, verdict: Verdict) -> dict[str, Any]:
    costs = samples.cost_usd[span]
    known = costs[~np.isnan(costs)]
    return {
        "problem_id": samples.problem_id[span.start],
        "arm_id": samples.arm_id[span.start],
        "n": span.stop - span.start,
        "answer": verdict.answer,
        "canonical_answer": verdict.canonical_answer,
        "correct": verdict.correct,
        "confidence": verdict.confidence,
        "votes": verdict.votes,
        "voters": verdict.voters,
        "abstained": verdict.abstained,
        "tied": verdict.tied,
        "tally": json.dumps(verdict.tally, ensure_ascii=False),
        "winner_index": verdict.winner_index,
        "cost_usd": float(known.sum()) if len(known) else None,
    }


def graded(poll: Poll, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Graded]:
    """The selections whose problems enter a curve."""
    samples, enters = poll.samples, countable(poll.samples)
    picked = {(row["problem_id"], row["arm_id"]): row for row in rows}
    found = {}
    for span in samples.ballots():
        cell = samples.problem_id[span.start], samples.arm_id[span.start]
        if enters[span].any() and cell in picked:
            found[cell] = Graded(
                n=picked[cell]["n"],
                samples=int(samples.asked[span.start]),
                family=int(samples.family[span.start]),
                correct=picked[cell]["correct"] is True,
            )
    return found


def curve_rows(name: str, curves: Mapping[str, Sequence[CurvePoint]]) -> list[dict[str, Any]]:
    """Of `curves`, from those of each arm."""
    return [
        {"arm_id": arm_id, "selector": name, "n": point.n, "accuracy": point.accuracy}
        | {"low": point.low, "high": point.high, "error": point.error, "problems": point.problems}
        for arm_id, points in curves.items()
        for point in points
    ]


def coverage_table(poll: Poll, vote: CurveFunction) -> pa.Table:
    """Of `coverage`: every problem of the panels."""
    samples, problems = poll.samples, arm_problems(poll.samples)
    names = dict(zip(samples.problem.tolist(), samples.problem_id, strict=True))
    problem_ids = {arm_id: [names[number] for number in problems[arm_id].tolist()] for arm_id in poll.panels}
    return coverage_rows(poll.panels, problem_ids, vote)


def comparison_rows(
    name: str, poll: Poll, panels: Mapping[str, Panel], decided: Flags | None, function: CurveFunction, seed: int
) -> list[dict[str, Any]]:
    """Of `comparisons`: every two arms at the most samples that each problem of each has; of pass@n, single samples."""
    n = 1 if name == PASS else min((int(panel.samples.min()) for panel in panels.values()), default=1)
    several = panels if len(panels) > 1 else {}
    problems = arm_problems(poll.samples, decided)
    accuracies = {arm_id: (problems[arm_id], function(panel, [n]).values[:, 0]) for arm_id, panel in several.items()}
    return [
        {"selector": name, "n": n, "first_arm": found.first, "second_arm": found.second, "effect": found.effect}
        | {"difference": found.difference, "low": found.low, "high": found.high, "problems": found.problems}
        | {"p_value": found.p_value, "p_holm": found.p_holm}
        for found in compare(accuracies, seed, families=poll.samples.families())
    ]
