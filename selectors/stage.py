"""The downstream stage: from a job's traces to its selections and curves, from the archive alone, re-runnable.

select_job -> load_poll      samples, classes, ballots, panels
           -> decide         one selector: scores, verdicts, curve
           -> stage_rows     what is written of it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from polythink.records import Equivalence
from polythink.selectors.curves import CurveFunction, CurvePoint, curve
from polythink.selectors.expectation import Expectation
from polythink.selectors.greedy import Greedy
from polythink.selectors.majorityk import majority_curve
from polythink.selectors.panel import Panel
from polythink.selectors.passk import all_curve, pass_curve
from polythink.selectors.poll import Poll, arm_panels, load_poll
from polythink.selectors.registry import ALL, PASS, SelectorConfig, others_code
from polythink.selectors.sameness import EquivalenceJudge
from polythink.selectors.scorer_model import model_file
from polythink.selectors.scoring import Scored, marked, score, score_rows
from polythink.selectors.stage_rows import (
    EVERY,
    STAGE,
    comparison_rows,
    coverage_table,
    curve_rows,
    graded,
    replace_if_any,
    selection_rows,
)
from polythink.selectors.stopped import AdaptivePoint, adaptive_points
from polythink.selectors.stopping import StoppingRule
from polythink.selectors.votes import Ballot, Verdict
from polythink.storage.archive import Archive
from polythink.storage.schema import ADAPTIVE, COMPARISONS, COVERAGE, CURVES, SCORES, SELECTIONS, STOPS, Table

_ASKED = f"""
    SELECT {", ".join(SCORES.arrow.names)} FROM scores WHERE job_id = ? AND selector = ? AND source = ? ORDER BY ALL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What one run of the stage wrote."""

    samples: int  # looked at
    selections: int  # rows over all selectors
    curve_points: int  # rows over all selectors, pass and all
    unjudged: int  # forms of answers that stand alone, for want of a verdict on which are the same
    failed: Mapping[str, str] = field(default_factory=dict)  # why a selector has no rows, by its name
    warnings: tuple[str, ...] = ()  # what else went wrong, and left rows of its own without a score


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What one selector makes of a poll."""

    config: SelectorConfig
    scored: Scored | None  # None: it goes by votes alone
    verdicts: list[tuple[int, slice, Ballot, Verdict]]  # of the ballots it can decide, with the place of each among all
    function: CurveFunction | None  # None: it has no curve
    panels: dict[str, Panel]  # of each arm; empty where it has no curve
    curves: dict[str, list[CurvePoint]]  # likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """What is written of one selector's decisions."""

    selections: pa.Table
    adaptive: Sequence[AdaptivePoint]
    comparisons: pa.Table  # empty where it has no curve
    curves: pa.Table  # likewise


def select_job(
    archive: Archive,
    job_id: str,
    *,
    selectors: Sequence[SelectorConfig],
    equivalence: Equivalence | EquivalenceJudge,
    stop: StoppingRule | Greedy | None = None,
    seed: int = 0,
) -> Selected:
    """Write the tables of STAGE: a part per selector, and `pass` and `all` for the curves of pass@n and pass^n.

    And `coverage`, of the vote whether it was asked for or not; and where problems were stopped early, by the rule
    `stop`, `stops` and `adaptive`.

    The same traces, selectors, equivalence and seed give the same rows. Raises ValueError if a selector is named
    twice: its rows would be told apart by nothing. A ballot whose judging has not all been heard gets no row, and its
    problem no part in the curve. A selector whose scores cannot be had, for its expression fails or there is too little
    to learn from, gets no rows at all and is named in `failed`, as is one of another package in which anything goes
    wrong; the others get theirs.
    """
    check_names(selectors)
    poll = load_poll(archive, job_id, equivalence, stop)
    replace_if_any(archive, STOPS, job_id, EVERY, poll.stops)
    compared = comparison_rows(PASS, poll, poll.panels, None, pass_curve, seed)
    _replace(archive, COMPARISONS, job_id, PASS, _table(COMPARISONS, compared))
    selections, points, failed = 0, 0, {}
    for name, curves in truth_curves(poll, seed).items():
        points += _replace(archive, CURVES, job_id, name, _table(CURVES, curve_rows(name, curves)))
    vote = _remembered(partial(majority_curve, seed=seed))
    archive.replace_part(COVERAGE, job_id, EVERY, coverage_table(poll, vote))
    for config in sorted(selectors, key=_looks_at_others):
        try:
            found = decide(archive, job_id, poll, config, seed, vote)
            made = _made(poll, found, seed)
        except ValueError as error:
            failed[config.row_name] = str(error)
            _write_nothing(archive, job_id, config)
            continue
        _write_scores(archive, job_id, poll, found)
        selections += _replace(archive, SELECTIONS, job_id, config.row_name, made.selections)
        replace_if_any(archive, ADAPTIVE, job_id, config.row_name, made.adaptive)
        if found.function is not None:
            _replace(archive, COMPARISONS, job_id, config.row_name, made.comparisons)
            points += _replace(archive, CURVES, job_id, config.row_name, made.curves)
    return Selected(
        samples=len(poll.samples),
        selections=selections,
        curve_points=points,
        unjudged=poll.classes.unjudged,
        failed=failed,
    )


def check_names(selectors: Sequence[SelectorConfig]) -> None:
    """Raise ValueError if two selectors would bear the same name."""
    names = [selector.row_name for selector in selectors]
    if len(set(names)) != len(names):
        raise ValueError(f"select: found {', '.join(names)}; name each selector once, or tell them apart with `as`")


def truth_curves(poll: Poll, seed: int) -> dict[str, dict[str, list[CurvePoint]]]:
    """The curves that no selector makes, pass@n and pass^n, of each arm."""
    return {name: _curves(poll.panels, function, seed) for name, function in ((PASS, pass_curve), (ALL, all_curve))}


def decide(
    archive: Archive, job_id: str, poll: Poll, config: SelectorConfig, seed: int, vote: CurveFunction | None = None
) -> Decided:
    """What a selector picks in every ballot it can decide, and its curve. Nothing is written.

    `vote` is the curve of majority, where it is known already. Raises ValueError where its scores cannot be had, and
    for whatever goes wrong in a selector of another package.
    """
    with others_code(config):
        return _decide(archive, job_id, poll, config, seed, vote)


def _decide(
    archive: Archive, job_id: str, poll: Poll, config: SelectorConfig, seed: int, vote: CurveFunction | None
) -> Decided:
    scored = score(archive, job_id, config, poll.samples, poll.ballots, seed)
    selector = config.kind.make(config.settings, seed)
    function = vote if vote is not None and config.name == "majority" else config.kind.curve(config.settings, seed)
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


def _remembered(function: CurveFunction) -> CurveFunction:
    """The curve computed once for a panel, by whoever asks first."""
    known: dict[tuple[int, tuple[int, ...]], tuple[Panel, Expectation]] = {}  # the panel is kept, or its id may return

    def remembering(panel: Panel, ks: list[int]) -> Expectation:
        key = id(panel), tuple(ks)
        if key not in known:
            known[key] = panel, function(panel, ks)
        return known[key][1]

    return remembering


def _looks_at_others(config: SelectorConfig) -> bool:
    """Whether it needs the scores of other selectors, which are written before."""
    return bool(config.settings.get("scores"))


def _made(poll: Poll, found: Decided, seed: int) -> _Rows:
    """All rows of a selector, before any is written. Raises ValueError as `decide` does."""
    name, scored = found.config.row_name, found.scored
    costs, decided = (None, None) if scored is None else (scored.cost_usd, scored.decided)
    verdicts = [(place, span, verdict) for place, span, _, verdict in found.verdicts]
    with others_code(found.config):
        rows = selection_rows(poll, name, verdicts, costs)
        compared = found.function and comparison_rows(name, poll, found.panels, decided, found.function, seed)
        return _Rows(
            selections=_table(SELECTIONS, rows),
            adaptive=adaptive_points(name, graded(poll, rows), poll.stops, seed),
            comparisons=_table(COMPARISONS, compared or []),
            curves=_table(CURVES, curve_rows(name, found.curves)),
        )


def _write_scores(archive: Archive, job_id: str, poll: Poll, found: Decided) -> None:
    """The scores that it goes by, and the model that gave them."""
    name, scored = found.config.row_name, found.scored
    if scored is not None:
        archive.replace_part(SCORES, job_id, name, score_rows(name, poll.samples, scored))
        if scored.model is not None:
            archive.write_text(job_id, model_file(name), scored.model)


def _write_nothing(archive: Archive, job_id: str, config: SelectorConfig) -> None:
    """Empty its parts; what a function was asked stays known."""
    function = config.kind.function(config.settings)
    asked = archive.sql(_ASKED, [job_id, config.row_name, function]) if function is not None else None
    for table in STAGE:
        rows = table.arrow.empty_table() if table is not SCORES or asked is None else asked
        archive.replace_part(table, job_id, config.row_name, rows.cast(table.arrow))


def _replace(archive: Archive, table: Table, job_id: str, part: str, rows: pa.Table) -> int:
    archive.replace_part(table, job_id, part, rows)
    return len(rows)


def _table(table: Table, rows: Sequence[Mapping[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=table.arrow)
