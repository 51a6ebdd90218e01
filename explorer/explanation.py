"""Which samples counted, and why, as text for a terminal of a hundred columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from textwrap import fill

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from polythink.explorer.labels import clipped, dollars, ends, percent
from polythink.selectors.curves import CurvePoint
from polythink.selectors.explain import ArmCount, BallotLines, CurveCount, Explanation, Merging, SampleLine

WIDTH = 100  # columns
_LISTED = 10  # pairs of forms shown before the rest is counted
_FORM = 38  # characters of a form beside another
_PROBLEM = 12  # characters of a problem's id beside forms
_GAP = 3  # columns between two cells
_VALUES = {"answers": None, "scores": "score", "weights": "weight"}
_GRADES = {True: "right", False: "wrong", None: ""}


def explanation(found: Explanation) -> Group:
    """All of it, no wider than a hundred columns."""
    lines = [Text(line) for line in _lines(found)]
    return Group(*lines, *(part for ballot in found.ballots for part in _ballot(ballot)))


def _lines(found: Explanation) -> Iterator[str]:
    yield f"{found.job_id}: {found.samples:,} finished samples"
    yield ""
    yield from _merging(found.merging, found.equivalence)
    for arm in found.arms:
        yield ""
        yield from _arm(arm)
    for name, why in found.failed.items():
        yield ""
        yield fill(f"{name} selects nothing: {clipped(why, 4 * WIDTH)}", WIDTH, subsequent_indent="  ")
    if found.curves:
        yield ""
        yield from _truths(found.curves)


def _merging(merging: Merging, equivalence: str) -> Iterator[str]:
    joined = [(each.problem_id, form, home) for each in merging.problems for form, home in each.joined]
    hostile = [(each.problem_id, form) for each in merging.problems for form in each.hostile]
    alone = [(each.problem_id, form) for each in merging.problems for form in each.alone]
    spent = f", for {dollars(merging.cost_usd)} so far" if merging.cost_usd is not None else ""
    yield f"equivalence  {clipped(equivalence, 60)}{spent}"
    yield _item("forms", f"{merging.forms:,} canonical forms, counted in each problem, are {merging.classes:,} classes")
    if joined:
        who = "the judge" if equivalence.startswith("judge ") else "math-verify"
        yield _item("joined", f"{who} put {_forms(joined)} into a class of another name")
        yield from _listed([(p, f"{ends(form, _FORM - 6)} = {ends(home, _FORM)}") for p, form, home in joined])
    if hostile:
        yield _item("hostile", f"{_forms(hostile)} stood no comparison, equal to nothing but themselves")
        yield from _listed([(p, ends(form, 2 * _FORM - 6)) for p, form in hostile])
    if alone:
        told = f"{_forms(alone)} apart until the judge is asked, which select does without --explain"
        yield _item("not judged", told)
        yield from _listed([(p, ends(form, 2 * _FORM - 6)) for p, form in alone])


def _forms(found: Sequence[object]) -> str:
    return f"{len(found):,} form{'s' if len(found) != 1 else ''}"


def _listed(said: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What is said of forms, each beside its problem."""
    names = [ends(problem_id, _PROBLEM) for problem_id, _ in said[:_LISTED]]
    width = max(map(len, names))
    yield from (f"{'':13}{name:{width}}  {text}" for name, (_, text) in zip(names, said, strict=False))
    if len(said) > _LISTED:
        yield f"{'':13}... and {len(said) - _LISTED:,} more: --json has them all"


def _arm(arm: ArmCount) -> Iterator[str]:
    yield f"{arm.selector}, arm {clipped(arm.arm_id, 60)}"
    rest = arm.samples - arm.counted
    yield _item("samples", f"{arm.counted:,} of {arm.samples:,} counted" + _reasons(rest, "did not", arm.withheld))
    tied = f"; {arm.tied:,} tied, decided by {arm.ties}" if arm.tied else ""
    empty = f"; {arm.empty:,} of them without an answer" if arm.empty else ""
    yield _item("problems", f"{arm.decided:,} of {arm.problems:,} have a selection{empty}{tied}")
    if arm.entering is None:
        yield _item("curve", "none: on other samples other things would have been asked")
        return
    entering = f"{arm.entering:,} of {arm.problems:,} problems enter it"
    yield _item("curve", entering + _reasons(arm.problems - arm.entering, "do not", arm.left_out))
    if arm.stopped:
        yield _item("", f"{arm.stopped:,} were stopped early: it takes of every problem the first samples only")
    yield from (f"{'':13}{line}" for line in _points(arm.points))


def _truths(curves: Sequence[CurveCount]) -> Iterator[str]:
    """The curves of pass@n and pass^n; those with the same behind them together."""
    alike: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for curve in curves:
        alike.setdefault(tuple(_points(curve.points)), {}).setdefault(curve.arm_id, []).append(curve.name)
    names = " and ".join(dict.fromkeys(curve.name for curve in curves))
    yield f"{names}: every sample right or wrong, without a vote"
    for lines, arms in alike.items():
        yield _item("curve", f"arm {clipped(', '.join(arms), 60)}")
        yield from (f"{'':13}{line}" for line in lines)


def _points(points: Sequence[CurvePoint]) -> Iterator[str]:
    """Stretches of n with the same problems behind them, counted or drawn."""
    for (problems, drawn), group in groupby(points, key=lambda point: (point.problems, point.error > 0)):
        stretch = list(group)
        numbers = ", ".join(str(point.n) for point in stretch)
        error = max(point.error for point in stretch)
        how = f"from drawn subsets, standard error at most {error:.2%}" if drawn else "exact, all subsets counted"
        yield f"n = {numbers}: {problems:,} problem{'s' if problems != 1 else ''}, {how}"


def _reasons(rest: int, did_not: str, reasons: Mapping[str, int]) -> str:
    """
    >>> _reasons(3, "did not", {"refused": 2, "no_answer": 1}), _reasons(0, "did not", {})
    ('; 3 did not: 2 refused, 1 no_answer', '')
    """
    listed = ", ".join(f"{n:,} {reason}" for reason, n in reasons.items())
    return f"; {rest:,} {did_not}: {listed}" if rest else ""


def _item(name: str, text: str) -> str:
    return fill(f"  {name:11}{text}", WIDTH, subsequent_indent=" " * 13, break_long_words=False)


def _ballot(ballot: BallotLines) -> Iterator[RenderableType]:
    numbers = _numbers(ballot)
    yield Text("")
    yield from (Text(line) for line in _head(ballot))
    yield _sample_table(ballot, numbers)
    for name, number in numbers.items():
        votes = 0 if ballot.verdict is None else ballot.verdict.tally.get(name, 0)
        counted = f"{votes:,} vote{'s' if votes != 1 else ''}" if ballot.verdict is not None else ""
        yield Text(f"  class {number:<3} {counted:>9}  {ends(name, WIDTH - 24)}")


def _head(ballot: BallotLines) -> Iterator[str]:
    yield fill(f"{ballot.selector}, arm {clipped(ballot.arm_id, 40)}, problem {clipped(ballot.problem_id, 40)}", WIDTH)
    verdict = ballot.verdict
    if verdict is None:
        yield "  no selection yet: run select without --explain to ask its judge, or what scores its samples"
    elif verdict.winner_index is None or verdict.canonical_answer is None:
        yield "  no selection: no sample counted"
    else:
        number = _numbers(ballot)[verdict.canonical_answer]
        tie = f"; it was a tie, decided by {ballot.rule.ties}" if verdict.tied else ""
        won = f"class {number} wins by {ballot.rule.wins}, in the words of sample {verdict.winner_index}"
        yield fill(
            f"  {won}: {verdict.votes:,} of {verdict.voters:,} votes, confidence {percent(verdict.confidence)}{tie}",
            WIDTH,
            subsequent_indent="  ",
        )


def _numbers(ballot: BallotLines) -> dict[str, int]:
    """Classes by number: those with votes as in the tally, then the others as they come."""
    tally = () if ballot.verdict is None else ballot.verdict.tally
    names = [*tally, *(line.class_name for line in ballot.samples if line.class_name is not None)]
    return {name: number for number, name in enumerate(dict.fromkeys(names), start=1)}


def _sample_table(ballot: BallotLines, numbers: Mapping[str, int]) -> Table:
    """A line for each sample; the answer gets the room that the other columns leave."""
    value = _VALUES[ballot.rule.counts]
    names = ["#", "outcome", "class", *([] if value is None else [value]), "graded", "counted"]
    rows = [_cells(line, ballot, numbers) for line in ballot.samples]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    room = WIDTH - sum(widths) - _GAP * (len(names) + 1)
    table = Table(box=box.SIMPLE, show_edge=False)
    for name in names:
        table.add_column(name, justify="right" if name in ("#", "class", value) else "left", no_wrap=True)
        if name == "outcome":
            table.add_column("answer → form", no_wrap=True, width=room)
    for line, cells in zip(ballot.samples, rows, strict=True):
        table.add_row(*map(Text, [*cells[:2], _answer(line, room), *cells[2:]]))
    return table


def _cells(line: SampleLine, ballot: BallotLines, numbers: Mapping[str, int]) -> list[str]:
    """All of a sample's line but its answer."""
    is_shown = ballot.verdict is not None and line.sample_index == ballot.verdict.winner_index
    counted = f"no: {line.withheld}" if line.withheld else "yes, its words" if is_shown else "yes"
    score = "" if line.score is None else f"{line.score:.4g}"
    number = "" if line.class_name is None else str(numbers[line.class_name])
    scores = [] if ballot.rule.counts == "answers" else [score]
    return [str(line.sample_index), line.outcome, number, *scores, _GRADES[line.correct], counted]


def _answer(line: SampleLine, room: int) -> str:
    """As written, and its form where that is another text."""
    if line.answer is None or line.form is None:
        return "" if line.answer is None else ends(line.answer, room)
    written, form = " ".join(line.answer.split()), " ".join(line.form.split())
    if written == form:
        return ends(written, room)
    half = (room - 3) // 2
    return f"{ends(written, half)} → {ends(form, half)}"
