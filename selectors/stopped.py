"""Where problems were stopped early: which samples may still be counted as so many of each, and what stopping gave.

A problem that stops when its vote looks decided stops at a lucky moment: what its samples say at their full number is
not what so many samples say. The first of every problem, which were drawn before any vote was looked at, are untouched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polythink.selectors.bands import bootstrap
from polythink.selectors.greedy import Greedy, lead
from polythink.selectors.panel import ABSTAINS, Flags
from polythink.selectors.samples import Samples
from polythink.selectors.stopping import StoppingRule
from polythink.storage.archive import Archive

_EARLIER = "SELECT problem_id, arm_id, rule, at_least, decided FROM stops WHERE job_id = ?"
_Cell = tuple[str, str]  # problem_id, arm_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A problem in an arm with fewer samples than were asked for, under a stopping rule. As a row of `stops`."""

    problem_id: str
    arm_id: str
    n: int  # samples finished
    samples: int  # samples asked for
    rule: str
    at_least: int  # samples that every problem got before votes were looked at
    lead: float  # 0.5..1, how sure the leading answer is
    decided: bool  # by the rule; if not, the run has not come to its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A graded selection."""

    n: int  # samples it saw
    samples: int  # samples asked for
    family: int  # of its problem
    correct: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptivePoint:
    """What selection gave on one arm's problems, each with the samples it got. As a row of `adaptive`."""

    arm_id: str
    selector: str
    n: float  # samples per problem, the mean
    samples: int  # asked for
    accuracy: float  # 0..1
    low: float
    high: float
    problems: int
    stopped: int  # of the problems


def find_stops(
    archive: Archive,
    job_id: str,
    samples: Samples,
    classes: Sequence[str | None],
    rule: StoppingRule | Greedy | None,
) -> list[Stop]:
    """Every problem that has fewer samples than its arm asks for, under this rule.

    Without a rule, those that an earlier one had stopped: they stay marked until they have all their samples. So does
    the number that every problem had got before an earlier rule looked, where this one would look later.
    """
    rows = archive.sql(_EARLIER, [job_id]).to_pylist()
    earlier = {(row["problem_id"], row["arm_id"]): row for row in rows}
    if rule is None and not earlier:
        return []
    spent = _spent_arms(samples, rule) if isinstance(rule, Greedy) else frozenset()
    found = []
    for span in samples.ballots():
        cell = samples.problem_id[span.start], samples.arm_id[span.start]
        n, asked, kept = span.stop - span.start, int(samples.asked[span.start]), earlier.get(cell)
        if n >= asked or (rule is None and kept is None):
            continue
        labels = _labels(classes[span])
        marks = [kept["at_least"]] if kept else []
        if rule is None:
            assert kept is not None
            name, decided = kept["rule"], kept["decided"]
        elif isinstance(rule, Greedy):
            name, decided = rule.name, cell[1] in spent
        else:
            name, decided = rule.name, _is_decided(rule, samples.sample_index[span], labels, asked)
        found.append(
            Stop(
                problem_id=cell[0],
                arm_id=cell[1],
                n=n,
                samples=asked,
                rule=name,
                at_least=min([*marks, *([] if rule is None else [rule.at_least])]),
                lead=lead(labels),
                decided=decided,
            )
        )
    return found


def _is_decided(rule: StoppingRule, indexes: Sequence[int], labels: Sequence[int], asked: int) -> bool:
    """Whether the rule would have stopped after some wave of these samples; an index that is missing ends them."""
    there = next((place for place, index in enumerate(indexes) if place != index), len(indexes))
    looks = range(rule.at_least, there + 1, rule.wave)
    return any(rule.is_decided(labels[:n], asked - n) for n in looks)


def _spent_arms(samples: Samples, rule: Greedy) -> frozenset[str]:
    """The arms whose budget is used up."""
    spent = set()
    for arm in samples.arms():
        problems, asked = len(np.unique(samples.problem[arm])), int(samples.asked[arm.start])
        if arm.stop - arm.start >= max(rule.budget(problems * asked), problems * min(rule.at_least, asked)):
            spent.add(samples.arm_id[arm.start])
    return frozenset(spent)


def _labels(classes: Sequence[str | None]) -> list[int]:
    numbers: dict[str, int] = {}
    return [ABSTAINS if name is None else numbers.setdefault(name, len(numbers)) for name in classes]


def even_flags(samples: Samples, stops: Sequence[Stop]) -> Flags:
    """[S] whether a sample is among the first of its problem, of which every problem of its arm was to have as many."""
    most: dict[str, int] = {}
    for stop in stops:
        most[stop.arm_id] = min(stop.at_least, most.get(stop.arm_id, stop.at_least))
    even = np.ones(len(samples), dtype=np.bool_)
    for arm in samples.arms():
        if (first := most.get(samples.arm_id[arm.start])) is not None:
            even[arm] = np.array(samples.sample_index[arm]) < first
    return even


def adaptive_points(
    selector: str,
    graded: Mapping[_Cell, Graded],
    stops: Sequence[Stop],
    seed: int = 0,
) -> list[AdaptivePoint]:
    """A point for each arm with stopped problems, once none of its problems waits for more samples.

    Args:
        selector: what its rows are called.
        graded: of every problem and arm that enters a curve and has a selection, what came of it.
        stops: all of the job's.
        seed: of the band.
    """
    short = {(stop.problem_id, stop.arm_id) for stop in stops}
    points = []
    waiting = {stop.arm_id for stop in stops if not stop.decided}
    for arm_id in dict.fromkeys(stop.arm_id for stop in stops if stop.arm_id not in waiting):
        cells = {cell: found for cell, found in graded.items() if cell[1] == arm_id}
        if not cells:
            continue
        right = np.array([[float(each.correct)] for each in cells.values()])
        band = bootstrap(right, seed, families=np.array([each.family for each in cells.values()]))
        points.append(
            AdaptivePoint(
                arm_id=arm_id,
                selector=selector,
                n=float(np.mean([each.n for each in cells.values()])),
                samples=max(each.samples for each in cells.values()),
                accuracy=float(band.mean[0]),
                low=float(band.low[0]),
                high=float(band.high[0]),
                problems=len(cells),
                stopped=len(short & cells.keys()),
            )
        )
    return points
