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

_EARLIER = "SELECT problem_id, arm_id, rule, at_least FROM stops WHERE job_id = ?"
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
    """Every problem that has fewer samples than its arm asks for, by this rule.

    Without a rule, those that an earlier one had stopped: they stay marked until they have all their samples.
    """
    earlier: dict[_Cell, tuple[str, int]] = {}
    if rule is None:
        rows = archive.sql(_EARLIER, [job_id]).to_pylist()
        earlier = {(row["problem_id"], row["arm_id"]): (row["rule"], row["at_least"]) for row in rows}
        if not earlier:
            return []
    found = []
    for span in samples.ballots():
        n, asked = span.stop - span.start, int(samples.asked[span.start])
        cell = samples.problem_id[span.start], samples.arm_id[span.start]
        by = (rule.name, rule.at_least) if rule is not None else earlier.get(cell)
        if n < asked and by is not None:
            found.append(
                Stop(
                    problem_id=cell[0],
                    arm_id=cell[1],
                    n=n,
                    samples=asked,
                    rule=by[0],
                    at_least=by[1],
                    lead=lead(_labels(classes[span])),
                )
            )
    return found


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
    """A point for each arm with stopped problems.

    Args:
        selector: what its rows are called.
        graded: of every problem and arm that enters a curve and has a selection, what came of it.
        stops: all of the job's.
        seed: of the band.
    """
    short = {(stop.problem_id, stop.arm_id) for stop in stops}
    points = []
    for arm_id in dict.fromkeys(stop.arm_id for stop in stops):
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
