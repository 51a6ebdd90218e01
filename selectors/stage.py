"""The downstream stage: from a job's traces to its selections and curves, from the archive alone, re-runnable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from polythink.records import Equivalence
from polythink.selectors.classes import Classes, answer_classes
from polythink.selectors.comparisons import compare
from polythink.selectors.curves import CurveFunction, CurvePoint, curve
from polythink.selectors.panel import ABSTAINS, Flags, Ints, Panel, Reals, count
from polythink.selectors.passk import all_curve, pass_curve
from polythink.selectors.registry import ALL, PASS, SelectorConfig
from polythink.selectors.sameness import EquivalenceJudge
from polythink.selectors.samples import Samples, countable, load_samples
from polythink.selectors.scoring import Scored, marked, score
from polythink.selectors.thinking import ThinkingFit, ThinkingPoint, fit_log2, thinking_point
from polythink.selectors.votes import Ballot, Verdict, Vote
from polythink.storage.archive import Archive
from polythink.storage.schema import COMPARISONS, CURVES, SELECTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What one run of the stage wrote."""

    samples: int  # looked at
    selections: int  # rows over all selectors
    curve_points: int  # rows over all selectors, pass and all
    unjudged: int  # forms of answers that stand alone, for want of a verdict on which are the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """A job's samples as every selector finds them."""

    samples: Samples
    classes: Classes
    ballots: list[tuple[slice, Ballot]]  # B of them, and where in the samples each stands
    panels: dict[str, Panel]  # of each arm, over its countable problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What one selector makes of a poll."""

    config: SelectorConfig
    scored: Scored | None  # None: it goes by votes alone
    verdicts: list[tuple[int, slice, Ballot, Verdict]]  # of the ballots it can decide, with the place of each among all
    function: CurveFunction | None  # None: it has no curve
    panels: dict[str, Panel]  # of each arm; empty where it has no curve
    curves: dict[str, list[CurvePoint]]  # likewise


def select_job(
    archive: Archive,
    job_id: str,
    *,
    selectors: Sequence[SelectorConfig],
    equivalence: Equivalence | EquivalenceJudge,
    seed: int = 0,
) -> Selected:
    """Write `selections`, `curves` and `comparisons`: a part per selector, and `pass` and `all` for pass@n and pass^n.

    The same traces, selectors, equivalence and seed give the same rows. Raises ValueError if a selector is named
    twice: its rows would be told apart by nothing. A ballot whose judging has not all been heard gets no row, and its
    problem no part in the curve.
    """
    check_names(selectors)
    poll = load_poll(archive, job_id, equivalence)
    _write_comparisons(archive, job_id, PASS, poll.panels, arm_problems(poll.samples), pass_curve, seed)
    selections, points = 0, 0
    for name, curves in truth_curves(poll, seed).items():
        points += _write_curves(archive, job_id, name, curves)
    for config in selectors:
        found, name = decide(archive, job_id, poll, config, seed), config.row_name
        rows = _selection_rows(poll.samples, found)
        archive.replace_part(SELECTIONS, job_id, name, pa.Table.from_pylist(rows, schema=SELECTIONS.arrow))
        selections += len(rows)
        if found.function is None:
            continue
        points += _write_curves(archive, job_id, name, found.curves)
        problems = arm_problems(poll.samples, None if found.scored is None else found.scored.decided)
        _write_comparisons(archive, job_id, name, found.panels, problems, found.function, seed)
    return Selected(
        samples=len(poll.samples), selections=selections, curve_points=points, unjudged=poll.classes.unjudged
    )


def check_names(selectors: Sequence[SelectorConfig]) -> None:
    """Raise ValueError if two selectors would bear the same name."""
    names = [selector.row_name for selector in selectors]
    if len(set(names)) != len(names):
        raise ValueError(f"select: found {', '.join(names)}; name each selector once, or tell them apart with `as`")


def load_poll(archive: Archive, job_id: str, equivalence: Equivalence | EquivalenceJudge) -> Poll:
    """The samples that the archive holds of a job, in classes, as ballots."""
    samples = load_samples(archive, job_id)
    classes = answer_classes(archive, job_id, samples, equivalence)
    ballots = job_ballots(samples, classes.names)
    return Poll(samples=samples, classes=classes, ballots=ballots, panels=arm_panels(samples, classes.names))


def truth_curves(poll: Poll, seed: int) -> dict[str, dict[str, list[CurvePoint]]]:
    """The curves that no selector makes, pass@n and pass^n, of each arm."""
    return {name: _curves(poll.panels, function, seed) for name, function in ((PASS, pass_curve), (ALL, all_curve))}


def decide(archive: Archive, job_id: str, poll: Poll, config: SelectorConfig, seed: int) -> Decided:
    """What a selector picks in every ballot it can decide, and its curve. Nothing is written."""
    scored = score(archive, job_id, config, poll.samples, poll.ballots)
    selector, function = config.kind.make(config.settings, seed), config.kind.curve(config.settings, seed)
    panels = poll.panels if scored is None else arm_panels(poll.samples, poll.classes.names, scored=scored)
    return Decided(
        config=config,
        scored=scored,
        verdicts=[(*placed, selector.select(placed[2])) for placed in marked(poll.ballots, scored)],
        function=function,
        panels={} if function is None else panels,
        curves={} if function is None else _curves(panels, function, seed),
    )


def _curves(panels: dict[str, Panel], function: CurveFunction, seed: int) -> dict[str, list[CurvePoint]]:
    return {arm_id: curve(panel, function, seed) for arm_id, panel in panels.items()}


def kept_selectors(archive: Archive, job_id: str) -> list[str]:
    """The selectors that have rows for the job, by name; pass@n and pass^n are none."""
    return sorted({_selector_of(path) for path in _selector_parts(archive, job_id)} - {PASS, ALL})


def forget_selector(archive: Archive, job_id: str, name: str) -> None:
    """Durably remove the rows of a selector."""
    for path in _selector_parts(archive, job_id):
        if _selector_of(path) == name:
            archive.forget_part(path)


def _selector_parts(archive: Archive, job_id: str) -> list[PurePosixPath]:
    return [path for table in (SELECTIONS, CURVES, COMPARISONS) for path in archive.parts(table.name, job_id)]


def _selector_of(path: PurePosixPath) -> str:
    return path.stem.removeprefix("part-")


def thinking_job(archive: Archive, job_id: str, *, seed: int = 0) -> tuple[list[ThinkingPoint], ThinkingFit | None]:
    """Accuracy over measured thinking: a point per arm where both are known, and the line through them."""
    samples = load_samples(archive, job_id)
    unvoted: list[str | None] = [None] * len(samples)
    enters = countable(samples)
    points = []
    for arm in samples.arms():
        panel = _panel(samples, unvoted, enters, arm)
        if panel is not None:
            tokens = samples.thinking_tokens[arm]
            points.append(thinking_point(samples.arm_id[arm.start], panel.correct / panel.samples, tokens, seed))
    known = [point for point in points if point is not None]
    return known, fit_log2(known)


def arm_panels(samples: Samples, classes: Sequence[str | None], *, scored: Scored | None = None) -> dict[str, Panel]:
    """The panel of each arm over its countable problems, undecided ones left out, as are arms without any.

    Raises ValueError for a negative weight.
    """
    enters = _enters(samples, None if scored is None else scored.decided)
    scores = None if scored is None else scored.scores
    panels = {samples.arm_id[arm.start]: _panel(samples, classes, enters, arm, scores) for arm in samples.arms()}
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
    scores: Reals | None = None,
) -> Panel | None:
    """A score is a weight as well: whether it ranks or weighs is the curve's to say."""
    chosen = np.arange(arm.start, arm.stop)[enters[arm]]
    if not len(chosen):
        return None
    numbers: dict[str, int] = {}
    labels = [ABSTAINS if (form := classes[i]) is None else numbers.setdefault(form, len(numbers)) for i in chosen]
    problems, problem = np.unique(samples.problem[chosen], return_inverse=True)
    correct = np.array([samples.correct[i] is True for i in chosen])
    return count(
        problem,
        np.array(labels, dtype=np.int64),
        correct,
        len(problems),
        weight=None if scores is None else np.maximum(scores[chosen], 0.0),
        score=None if scores is None else scores[chosen],
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


def _selection_rows(samples: Samples, found: Decided) -> list[dict[str, object]]:
    return [
        _selection_row(samples, span, found.config.row_name, verdict)
        | {"selector_cost_usd": None if found.scored is None else found.scored.cost_usd[place]}
        for place, span, _, verdict in found.verdicts
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


def _write_curves(archive: Archive, job_id: str, name: str, curves: dict[str, list[CurvePoint]]) -> int:
    rows = [
        {"arm_id": arm_id, "selector": name, "n": point.n, "accuracy": point.accuracy}
        | {"low": point.low, "high": point.high, "error": point.error, "problems": point.problems}
        for arm_id, points in curves.items()
        for point in points
    ]
    archive.replace_part(CURVES, job_id, name, pa.Table.from_pylist(rows, schema=CURVES.arrow))
    return len(rows)


def _write_comparisons(
    archive: Archive,
    job_id: str,
    name: str,
    panels: dict[str, Panel],
    problems: dict[str, Ints],
    function: CurveFunction,
    seed: int,
) -> None:
    """Every two arms at the most samples that each problem of each arm has; of pass@n, single samples."""
    n = 1 if name == PASS else min((int(panel.samples.min()) for panel in panels.values()), default=1)
    several = panels if len(panels) > 1 else {}
    accuracies = {arm_id: (problems[arm_id], function(panel, [n]).values[:, 0]) for arm_id, panel in several.items()}
    rows = [
        {"selector": name, "n": n, "first_arm": found.first, "second_arm": found.second, "effect": found.effect}
        | {"difference": found.difference, "low": found.low, "high": found.high, "problems": found.problems}
        | {"p_value": found.p_value, "p_holm": found.p_holm}
        for found in compare(accuracies, seed)
    ]
    archive.replace_part(COMPARISONS, job_id, name, pa.Table.from_pylist(rows, schema=COMPARISONS.arrow))
