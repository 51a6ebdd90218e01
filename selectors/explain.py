"""Which samples counted, and why: what a selection was made of, as records. Pure.

All of it is read off what the stage makes on its way to a selection (`Poll`, `Decided`): nobody votes a second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from polythink.selectors.classes import Classes, problem_forms
from polythink.selectors.curves import CurvePoint
from polythink.selectors.poll import Poll, arm_problems
from polythink.selectors.samples import LEFT_OUT, left_out
from polythink.selectors.stage import Decided
from polythink.selectors.votes import Ballot, Rule, Verdict, Vote, why_withheld

UNJUDGED, UNSCORED = "not judged yet", "not scored yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What became of one problem's canonical forms."""

    problem_id: str
    forms: int
    classes: int
    joined: tuple[tuple[str, str], ...]  # a form, and the class of another name that it is in
    hostile: tuple[str, ...]  # could not stand a comparison, and are equal to themselves only
    alone: tuple[str, ...]  # classes of their own until a judge has been heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Merging:
    """What became of the canonical forms of all problems."""

    forms: int  # summed over problems
    classes: int  # likewise
    problems: tuple[Merged, ...]  # those where there is more to say than that every form is a class
    cost_usd: float | None  # of a judge's verdicts; None where none was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCount:
    """Which samples of an arm counted for a selector, and which of its problems."""

    selector: str
    arm_id: str
    samples: int
    counted: int  # samples that cast a vote, or were ranked
    withheld: Mapping[str, int]  # the others by reason, most first
    problems: int  # with a finished sample
    decided: int  # of these, with a selection
    empty: int  # of the decided, those in which no sample counted
    tied: int  # of the decided, by the tie rule
    ties: str  # the tie rule
    entering: int | None  # problems behind the curve; None where the selector has none
    left_out: Mapping[str, int]  # problems that enter no curve, by reason
    stopped: int  # problems that were stopped early
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveCount:
    """The problems behind a curve that no selector makes."""

    name: str  # pass or all
    arm_id: str
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleLine:
    """One sample as a selector saw it."""

    sample_index: int
    outcome: str
    answer: str | None  # as written
    form: str | None  # canonical
    class_name: str | None
    score: float | None  # or weight; None where the selector looks at none, or there is none
    correct: bool | None  # never looked at by a selector
    withheld: str | None  # why it did not count; None if it did


@dataclass(frozen=True, slots=True, kw_only=True)
class BallotLines:
    """One problem in one arm as a selector saw it."""

    selector: str
    arm_id: str
    problem_id: str
    rule: Rule
    verdict: Verdict | None  # None: its judge, or what scores it, has not been heard
    samples: tuple[SampleLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Which samples of a job count for which selector, and why."""

    job_id: str
    samples: int
    equivalence: str  # the rule by which answers meet, or the model that says so
    merging: Merging
    arms: tuple[ArmCount, ...]  # selector by selector
    curves: tuple[CurveCount, ...]  # pass and all
    ballots: tuple[BallotLines, ...]  # of the problem asked about, if one was, selector by selector
    failed: Mapping[str, str]  # why a selector selects nothing at all, by its name


def explain_classes(poll: Poll) -> Merging:
    """How many forms became how many classes, and who joined whom."""
    ids = dict(zip(poll.samples.problem.tolist(), poll.samples.problem_id, strict=True))
    classes, homes = poll.classes, _homes(poll)
    merged = [
        _merged(ids[number], number, forms, homes, classes)
        for number, forms in sorted(problem_forms(poll.samples, classes.forms).items())
    ]
    return Merging(
        forms=sum(each.forms for each in merged),
        classes=sum(each.classes for each in merged),
        problems=tuple(each for each in merged if each.joined or each.hostile or each.alone),
        cost_usd=classes.cost_usd,
    )


def explain_selector(poll: Poll, found: Decided) -> tuple[ArmCount, ...]:
    """Every arm as the selector saw it, in order."""
    reasons = left_out(poll.samples)
    entering = arm_problems(poll.samples, None if found.scored is None else found.scored.decided)
    by_arm: dict[str, list[tuple[slice, BallotLines]]] = {}
    for span, lines in _ballots(poll, found):
        by_arm.setdefault(lines.arm_id, []).append((span, lines))
    counts = []
    for arm_id, ballots in by_arm.items():
        inside = set(entering[arm_id].tolist())
        outside = [(span, lines) for span, lines in ballots if poll.samples.problem[span.start] not in inside]
        why = Counter(
            LEFT_OUT[reasons[span.start]] or (_waits(found) if lines.verdict is None else "set aside")
            for span, lines in outside
        )
        has_curve = found.function is not None
        every, stopped = (
            [lines for _, lines in ballots],
            sum(stop.arm_id == arm_id and stop.decided for stop in poll.stops),
        )
        counts.append(_arm_count(found, arm_id, every, len(inside), why, stopped, has_curve=has_curve))
    return tuple(counts)


def explain_problem(poll: Poll, found: Decided, problem_id: str) -> tuple[BallotLines, ...]:
    """A problem's samples, arm by arm, as the selector saw them."""
    return tuple(lines for _, lines in _ballots(poll, found, problem_id))


def explain_truth(curves: Mapping[str, Mapping[str, Sequence[CurvePoint]]]) -> tuple[CurveCount, ...]:
    """What stands behind the curves that no selector makes."""
    return tuple(
        CurveCount(name=name, arm_id=arm_id, points=tuple(points))
        for name, arms in curves.items()
        for arm_id, points in arms.items()
    )


def _homes(poll: Poll) -> dict[tuple[int, str], str]:
    """The class of each form of a problem."""
    columns = zip(poll.samples.problem.tolist(), poll.classes.forms, poll.classes.names, strict=True)
    return {(number, form): name for number, form, name in columns if form is not None and name is not None}


def _merged(
    problem_id: str, number: int, forms: set[str], homes: Mapping[tuple[int, str], str], classes: Classes
) -> Merged:
    ordered = sorted(forms, key=lambda form: (len(form), form))
    joined = tuple((form, home) for form in ordered if (home := homes[number, form]) != form)
    return Merged(
        problem_id=problem_id,
        forms=len(forms),
        classes=len(forms) - len(joined),
        joined=joined,
        hostile=tuple(sorted(classes.hostile.get(number, ()))),
        alone=tuple(form for form in ordered if form in classes.alone.get(number, ())),
    )


def _ballots(poll: Poll, found: Decided, problem_id: str | None = None) -> Iterator[tuple[slice, BallotLines]]:
    """Every ballot of the poll, or of one problem, with the votes as the selector saw them."""
    rule = found.config.kind.rule(found.config.settings)
    decided = {place: (ballot, verdict) for place, _, ballot, verdict in found.verdicts}
    for place, (span, ballot) in enumerate(poll.ballots):
        if problem_id in (None, ballot.problem_id):
            seen, verdict = decided.get(place, (ballot, None))
            yield span, _lines(poll, found, rule, span, seen, verdict)


def _lines(poll: Poll, found: Decided, rule: Rule, span: slice, ballot: Ballot, verdict: Verdict | None) -> BallotLines:
    columns = zip(ballot.votes, poll.samples.outcome[span], poll.classes.forms[span], strict=True)
    samples = tuple(
        SampleLine(
            sample_index=vote.sample_index,
            outcome=outcome,
            answer=vote.answer,
            form=form,
            class_name=vote.canonical_answer,
            score=vote.score,
            correct=vote.correct,
            withheld=_withheld(vote, outcome, rule, found, is_decided=verdict is not None),
        )
        for vote, outcome, form in columns
    )
    return BallotLines(
        selector=found.config.row_name,
        arm_id=poll.samples.arm_id[span.start],
        problem_id=ballot.problem_id,
        rule=rule,
        verdict=verdict,
        samples=samples,
    )


def _waits(found: Decided) -> str:
    """What a ballot lacks that the selector cannot decide yet."""
    return UNSCORED if found.config.kind.judge is None else UNJUDGED


def _withheld(vote: Vote, outcome: str, rule: Rule, found: Decided, *, is_decided: bool) -> str | None:
    """Why the vote did not count, in the words of what became of its sample."""
    why = why_withheld(vote, rule.counts)
    if vote.canonical_answer is None:
        return outcome if vote.answer is None else "blank answer"
    if not is_decided:
        return _waits(found)
    return "unreadable verdict" if why == "no score" and found.config.kind.judge is not None else why


def _arm_count(
    found: Decided,
    arm_id: str,
    ballots: Sequence[BallotLines],
    entering: int,
    why: Counter[str],
    stopped: int,
    *,
    has_curve: bool,
) -> ArmCount:
    withheld = Counter(line.withheld for lines in ballots for line in lines.samples)
    counted = withheld.pop(None, 0)
    verdicts = [lines.verdict for lines in ballots if lines.verdict is not None]
    return ArmCount(
        selector=found.config.row_name,
        arm_id=arm_id,
        samples=counted + withheld.total(),
        counted=counted,
        withheld={str(reason): n for reason, n in withheld.most_common()},
        problems=len(ballots),
        decided=len(verdicts),
        empty=sum(verdict.winner_index is None for verdict in verdicts),
        tied=sum(verdict.tied for verdict in verdicts),
        ties=ballots[0].rule.ties,
        entering=entering if has_curve else None,
        left_out=dict(why.most_common()) if has_curve else {},
        stopped=stopped,
        points=tuple(found.curves.get(arm_id, ())),
    )
