"""The downstream stage: from a job's traces to its selections and curves, from the archive alone, re-runnable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from polythink.records import Equivalence
from polythink.selectors.comparisons import compare
from polythink.selectors.coverage import coverage_rows
from polythink.selectors.curves import CurveFunction, curve
from polythink.selectors.equivalence import canonical, class_map
from polythink.selectors.expectation import Expectation
from polythink.selectors.greedy import Greedy
from polythink.selectors.majorityk import majority_curve
from polythink.selectors.math_judge import MathJudge
from polythink.selectors.panel import ABSTAINS, Flags, Ints, Panel, count
from polythink.selectors.passk import all_curve, pass_curve
from polythink.selectors.registry import ALL, PASS, SelectorConfig
from polythink.selectors.samples import Samples, countable, load_samples
from polythink.selectors.scorer_model import model_file
from polythink.selectors.scoring import Ballots, Scored, marked, score, score_rows
from polythink.selectors.stopped import Graded, Stop, adaptive_points, even_flags, find_stops
from polythink.selectors.stopping import StoppingRule
from polythink.selectors.thinking import ByProblem, ThinkingLine, ThinkingPoint, thinking_line, thinking_point
from polythink.selectors.votes import Ballot, Verdict, Vote
from polythink.storage.archive import Archive
from polythink.storage.schema import ADAPTIVE, COMPARISONS, COVERAGE, CURVES, SCORES, SELECTIONS, STOPS, Table

STAGE: tuple[Table, ...] = (SELECTIONS, SCORES, CURVES, ADAPTIVE, COMPARISONS)  # written here, a part per selector
WHOLE: tuple[Table, ...] = (STOPS, COVERAGE)  # written here, one part for each job
EVERY = "all"  # the name of that part


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What one run of the stage wrote."""

    samples: int  # looked at
    selections: int  # rows over all selectors
    curve_points: int  # rows over all selectors, pass and all
    failed: Mapping[str, str] = field(default_factory=dict)  # why a selector has no rows, by its name
    warnings: tuple[str, ...] = ()  # what else went wrong, and left rows of its own without a score


def select_job(
    archive: Archive,
    job_id: str,
    *,
    selectors: Sequence[SelectorConfig],
    equivalence: Equivalence,
    stop: StoppingRule | Greedy | None = None,
    seed: int = 0,
) -> Selected:
    """Write the tables of STAGE: a part per selector, and `pass` and `all` for the curves of pass@n and pass^n.

    And `coverage`, of the vote whether it was asked for or not; and where problems were stopped early, by the rule
    `stop`, `stops` and `adaptive`.

    The same traces, selectors, equivalence and seed give the same rows. Raises ValueError if a selector is named
    twice: its rows would be told apart by nothing. A ballot whose judging has not all been heard gets no row, and its
    problem no part in the curve. A selector whose scores cannot be had, for its expression fails or there is too little
    to learn from, gets no rows at all and is named in `failed`; the others get theirs.
    """
    names = [selector.row_name for selector in selectors]
    if len(set(names)) != len(names):
        raise ValueError(f"select: found {', '.join(names)}; name each selector once, or tell them apart with `as`")
    samples = load_samples(archive, job_id)
    classes = answer_classes(samples, equivalence)
    stops = find_stops(archive, job_id, samples, classes, stop)
    _replace(archive, STOPS, job_id, EVERY, stops)
    samples = replace(samples, even=even_flags(samples, stops))
    panels = arm_panels(samples, classes)
    problems = arm_problems(samples)
    ballots = job_ballots(samples, classes)
    families, vote = samples.families(), _remembered(partial(majority_curve, seed=seed))
    _write_comparisons(archive, job_id, PASS, panels, problems, pass_curve, seed, families)
    selections, points, failed = 0, 0, {}
    for name, function in ((PASS, pass_curve), (ALL, all_curve)):
        points += _write_curves(archive, job_id, name, panels, function, seed)
    _write_coverage(archive, job_id, samples, panels, problems, vote)
    for config in sorted(selectors, key=_looks_at_others):
        name = config.row_name
        try:
            scored = score(archive, job_id, config, samples, ballots, seed)
        except ValueError as error:
            failed[name] = str(error)
            _write_nothing(archive, job_id, config)
            continue
        selections += _write_selections(archive, job_id, config, samples, ballots, scored, stops, seed)
        own_curve = vote if config.name == "majority" else config.kind.curve(config.settings, seed)
        if own_curve is None:
            continue
        decided = None if scored is None else scored.decided
        own = panels if scored is None else arm_panels(samples, classes, scored=scored)
        points += _write_curves(archive, job_id, name, own, own_curve, seed)
        _write_comparisons(archive, job_id, name, own, arm_problems(samples, decided), own_curve, seed, families)
    return Selected(samples=len(samples), selections=selections, curve_points=points, failed=failed)


def _write_nothing(archive: Archive, job_id: str, config: SelectorConfig) -> None:
    """Empty its parts; what a function was asked stays known."""
    for table in STAGE:
        if table is not SCORES or config.kind.function(config.settings) is None:
            archive.replace_part(table, job_id, config.row_name, table.arrow.empty_table())


def _looks_at_others(config: SelectorConfig) -> bool:
    """Whether it needs the scores of other selectors, which are written before."""
    return bool(config.settings.get("scores"))


def kept_selectors(archive: Archive, job_id: str) -> list[str]:
    """The selectors that have rows for the job, by name; pass@n and pass^n are none."""
    return sorted({_selector_of(path) for path in _selector_parts(archive, job_id)} - {PASS, ALL})


def forget_selector(archive: Archive, job_id: str, name: str) -> None:
    """Durably remove the rows of a selector."""
    for path in _selector_parts(archive, job_id):
        if _selector_of(path) == name:
            archive.forget_part(path)
    archive.remove(job_id, model_file(name))


def _selector_parts(archive: Archive, job_id: str) -> list[PurePosixPath]:
    return [path for table in STAGE for path in archive.parts(table.name, job_id)]


def _selector_of(path: PurePosixPath) -> str:
    return path.stem.removeprefix("part-")


def thinking_job(archive: Archive, job_id: str, *, seed: int = 0) -> tuple[list[ThinkingPoint], list[ThinkingLine]]:
    """Accuracy over measured thinking: a point per arm where both are known, and each model's line through its own."""
    samples = load_samples(archive, job_id)
    unvoted: list[str | None] = [None] * len(samples)
    enters = countable(samples)
    problems, families = arm_problems(samples), samples.families()
    points, measured = {}, {}
    for arm in samples.arms():
        arm_id, panel = samples.arm_id[arm.start], _panel(samples, unvoted, enters, arm)
        if panel is None:
            continue
        accuracies, tokens = panel.correct / panel.samples, samples.thinking_tokens[arm]
        point = thinking_point(arm_id, accuracies, tokens, seed, families=panel.family)
        if point is not None:
            points[arm_id] = point
            measured[arm_id] = ByProblem.of(len(families), problems[arm_id], accuracies, samples.problem[arm], tokens)
    return list(points.values()), _lines(archive, job_id, points, measured, families, seed)


def _lines(
    archive: Archive,
    job_id: str,
    points: Mapping[str, ThinkingPoint],
    measured: Mapping[str, ByProblem],
    families: Ints,
    seed: int,
) -> list[ThinkingLine]:
    rows = archive.sql("SELECT model, arm_id FROM arms WHERE job_id = ? ORDER BY ordinal", [job_id]).to_pylist()
    by_model: dict[str, list[str]] = {}
    for row in rows:
        if row["arm_id"] in points:
            by_model.setdefault(row["model"], []).append(row["arm_id"])
    found = (
        thinking_line(model, [points[arm] for arm in arms], [measured[arm] for arm in arms], families, seed)
        for model, arms in by_model.items()
    )
    return [line for line in found if line is not None]


def answer_classes(samples: Samples, equivalence: Equivalence) -> list[str | None]:
    """[S] the class of each answer, None where the sample abstains. Classes are a problem's, shared by its arms."""
    spellings = {answer: canonical(answer, equivalence) for answer in set(samples.answer) if answer is not None}
    forms = [spellings[answer] if answer is not None else None for answer in samples.answer]
    if equivalence != "math":
        return forms
    by_problem: dict[int, set[str]] = {}
    for problem, form in zip(samples.problem.tolist(), forms, strict=True):
        if form is not None:
            by_problem.setdefault(problem, set()).add(form)
    with MathJudge() as judge:
        maps = {problem: class_map(found, judge) for problem, found in by_problem.items()}
    pairs = zip(samples.problem.tolist(), forms, strict=True)
    return [maps[problem][form] if form is not None else None for problem, form in pairs]


def arm_panels(samples: Samples, classes: Sequence[str | None], *, scored: Scored | None = None) -> dict[str, Panel]:
    """The panel of each arm over its countable problems, undecided ones left out, as are arms without any.

    Raises ValueError for a negative weight.
    """
    enters = _enters(samples, None if scored is None else scored.decided)
    panels = {samples.arm_id[arm.start]: _panel(samples, classes, enters, arm, scored) for arm in samples.arms()}
    return {arm_id: panel for arm_id, panel in panels.items() if panel is not None}


def arm_problems(samples: Samples, decided: Flags | None = None) -> dict[str, Ints]:
    """The numbers of the problems of each arm's panel, [P]."""
    enters = _enters(samples, decided)
    return {samples.arm_id[arm.start]: np.unique(samples.problem[arm][enters[arm]]) for arm in samples.arms()}


def _enters(samples: Samples, decided: Flags | None) -> Flags:
    return countable(samples) if decided is None else countable(samples) & decided


def _panel(
    samples: Samples,
    classes: Sequence[str | None],
    enters: Flags,
    arm: slice,
    scored: Scored | None = None,
) -> Panel | None:
    """A score is a weight as well: whether it ranks or weighs is the curve's to say."""
    chosen = np.arange(arm.start, arm.stop)[enters[arm]]
    if not len(chosen):
        return None
    numbers: dict[str, int] = {}
    labels = [ABSTAINS if (form := classes[i]) is None else numbers.setdefault(form, len(numbers)) for i in chosen]
    problems, first, problem = np.unique(samples.problem[chosen], return_index=True, return_inverse=True)
    correct = np.array([samples.correct[i] is True for i in chosen])
    return count(
        problem,
        np.array(labels, dtype=np.int64),
        correct,
        len(problems),
        weight=None if scored is None else np.maximum(scored.scores[chosen], 0.0),
        score=None if scored is None else scored.scores[chosen],
        logits=None if scored is None or scored.logits is None else scored.logits.at(chosen),
        family=samples.family[chosen[first]],
    )


def job_ballots(samples: Samples, classes: Sequence[str | None]) -> list[tuple[slice, Ballot]]:
    """The ballot of each problem in each arm, and where its samples stand."""
    return [
        (span, Ballot(problem_id=samples.problem_id[span.start], votes=tuple(_votes(samples, classes, span))))
        for span in samples.ballots()
    ]


def _votes(samples: Samples, classes: Sequence[str | None], span: slice) -> list[Vote]:
    columns = zip(samples.sample_index[span], samples.answer[span], classes[span], samples.correct[span], strict=True)
    return [
        Vote(sample_index=index, answer=answer, canonical_answer=form, correct=correct)
        for index, answer, form, correct in columns
    ]


def _write_selections(
    archive: Archive,
    job_id: str,
    config: SelectorConfig,
    samples: Samples,
    ballots: Ballots,
    scored: Scored | None,
    stops: Sequence[Stop],
    seed: int,
) -> int:
    """What it picks, the scores that it goes by, and the model that gave them."""
    name, rows = config.row_name, _selection_rows(samples, marked(ballots, scored), config, scored, seed)
    short = {(each.problem_id, each.arm_id) for each in stops}
    rows = [row | {"stopped": (row["problem_id"], row["arm_id"]) in short} for row in rows]
    _replace(archive, ADAPTIVE, job_id, name, adaptive_points(name, _graded(samples, rows), stops, seed))
    archive.replace_part(SELECTIONS, job_id, name, pa.Table.from_pylist(rows, schema=SELECTIONS.arrow))
    if scored is not None:
        archive.replace_part(SCORES, job_id, name, score_rows(name, samples, scored))
        if scored.model is not None:
            archive.write_text(job_id, model_file(name), scored.model)
    return len(rows)


def _selection_rows(
    samples: Samples,
    ballots: Sequence[tuple[int, slice, Ballot]],
    config: SelectorConfig,
    scored: Scored | None,
    seed: int,
) -> list[dict[str, object]]:
    selector = config.kind.make(config.settings, seed)
    return [
        _selection_row(samples, span, config.row_name, selector.select(ballot))
        | {"selector_cost_usd": None if scored is None else scored.cost_usd[place]}
        for place, span, ballot in ballots
    ]


def _selection_row(samples: Samples, span: slice, name: str, verdict: Verdict) -> dict[str, object]:
    costs = samples.cost_usd[span]
    known = costs[~np.isnan(costs)]
    return {
        "problem_id": samples.problem_id[span.start],
        "arm_id": samples.arm_id[span.start],
        "selector": name,
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


def _graded(samples: Samples, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Graded]:
    """The selections whose problems enter a curve."""
    enters, picked = countable(samples), {(row["problem_id"], row["arm_id"]): row for row in rows}
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


def _replace(archive: Archive, table: Table, job_id: str, part: str, records: Sequence[Any]) -> None:
    """Write these records as a part; none at all only in place of an earlier one."""
    if records or any(_selector_of(path) == part for path in archive.parts(table.name, job_id)):
        rows = pa.Table.from_pylist([asdict(record) for record in records], schema=table.arrow)
        archive.replace_part(table, job_id, part, rows)


def _write_curves(
    archive: Archive, job_id: str, name: str, panels: dict[str, Panel], function: CurveFunction, seed: int
) -> int:
    rows = [
        {"arm_id": arm_id, "selector": name, "n": point.n, "accuracy": point.accuracy}
        | {"low": point.low, "high": point.high, "error": point.error, "problems": point.problems}
        for arm_id, panel in panels.items()
        for point in curve(panel, function, seed)
    ]
    archive.replace_part(CURVES, job_id, name, pa.Table.from_pylist(rows, schema=CURVES.arrow))
    return len(rows)


def _remembered(function: CurveFunction) -> CurveFunction:
    """The curve computed once for a panel, by whoever asks first."""
    known: dict[tuple[int, tuple[int, ...]], tuple[Panel, Expectation]] = {}  # the panel is kept, or its id may return

    def remembering(panel: Panel, ks: list[int]) -> Expectation:
        key = id(panel), tuple(ks)
        if key not in known:
            known[key] = panel, function(panel, ks)
        return known[key][1]

    return remembering


def _write_coverage(
    archive: Archive,
    job_id: str,
    samples: Samples,
    panels: Mapping[str, Panel],
    problems: Mapping[str, Ints],
    vote: CurveFunction,
) -> None:
    names = dict(zip(samples.problem.tolist(), samples.problem_id, strict=True))
    problem_ids = {arm_id: [names[number] for number in problems[arm_id].tolist()] for arm_id in panels}
    archive.replace_part(COVERAGE, job_id, EVERY, coverage_rows(panels, problem_ids, vote))


def _write_comparisons(
    archive: Archive,
    job_id: str,
    name: str,
    panels: dict[str, Panel],
    problems: dict[str, Ints],
    function: CurveFunction,
    seed: int,
    families: Ints,
) -> None:
    """Every two arms at the most samples that each problem of each arm has; of pass@n, single samples."""
    n = 1 if name == PASS else min((int(panel.samples.min()) for panel in panels.values()), default=1)
    several = panels if len(panels) > 1 else {}
    accuracies = {arm_id: (problems[arm_id], function(panel, [n]).values[:, 0]) for arm_id, panel in several.items()}
    rows = [
        {"selector": name, "n": n, "first_arm": found.first, "second_arm": found.second, "effect": found.effect}
        | {"difference": found.difference, "low": found.low, "high": found.high, "problems": found.problems}
        | {"p_value": found.p_value, "p_holm": found.p_holm}
        for found in compare(accuracies, seed, families=families)
    ]
    archive.replace_part(COMPARISONS, job_id, name, pa.Table.from_pylist(rows, schema=COMPARISONS.arrow))
