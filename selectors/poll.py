"""A job's samples as every selector finds them: in classes, as ballots, and counted in panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from polythink.records import Equivalence
from polythink.selectors.classes import Classes, answer_classes
from polythink.selectors.greedy import Greedy
from polythink.selectors.panel import ABSTAINS, Flags, Ints, Panel, count
from polythink.selectors.sameness import EquivalenceJudge
from polythink.selectors.samples import Samples, countable, load_samples
from polythink.selectors.scoring import Scored
from polythink.selectors.stopped import Stop, even_flags, find_stops
from polythink.selectors.stopping import StoppingRule
from polythink.selectors.votes import Ballot, Vote
from polythink.storage.archive import Archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """The samples of one job."""

    samples: Samples
    classes: Classes
    ballots: list[tuple[slice, Ballot]]  # B of them, and where in the samples each stands
    panels: dict[str, Panel]  # of each arm, over its countable problems
    stops: list[Stop]  # the problems that were stopped early


def load_poll(
    archive: Archive,
    job_id: str,
    equivalence: Equivalence | EquivalenceJudge,
    stop: StoppingRule | Greedy | None = None,
) -> Poll:
    """The samples that the archive holds of a job; `stop` is the rule that may have stopped its problems early."""
    samples = load_samples(archive, job_id)
    classes = answer_classes(archive, job_id, samples, equivalence)
    stops = find_stops(archive, job_id, samples, classes.names, stop)
    samples = replace(samples, even=even_flags(samples, stops))
    return Poll(
        samples=samples,
        classes=classes,
        ballots=job_ballots(samples, classes.names),
        panels=arm_panels(samples, classes.names),
        stops=stops,
    )


def arm_panels(samples: Samples, classes: Sequence[str | None], *, scored: Scored | None = None) -> dict[str, Panel]:
    """The panel of each arm over its countable problems, undecided ones left out, as are arms without any.

    Raises ValueError for a negative weight.
    """
    enters = _enters(samples, None if scored is None else scored.decided)
    panels = {samples.arm_id[arm.start]: arm_panel(samples, classes, enters, arm, scored) for arm in samples.arms()}
    return {arm_id: panel for arm_id, panel in panels.items() if panel is not None}


def arm_problems(samples: Samples, decided: Flags | None = None) -> dict[str, Ints]:
    """The numbers of the problems of each arm's panel, [P]."""
    enters = _enters(samples, decided)
    return {samples.arm_id[arm.start]: np.unique(samples.problem[arm][enters[arm]]) for arm in samples.arms()}


def _enters(samples: Samples, decided: Flags | None) -> Flags:
    return countable(samples) if decided is None else countable(samples) & decided


def arm_panel(
    samples: Samples,
    classes: Sequence[str | None],
    enters: Flags,
    arm: slice,
    scored: Scored | None = None,
) -> Panel | None:
    """One arm's panel over the samples that enter; None if none does.

    A score is a weight as well: whether it ranks or weighs is the curve's to say.
    """
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
