"""What the terminal shows of a finished job. Pure: results in, something rich can print out."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from polythink.explorer.canvas import Frame, Mark, draw
from polythink.explorer.headlines import best_pick, models, samples_headline, thinking_headline
from polythink.explorer.labels import (
    NAME_CHARACTERS,
    NOTHING,
    arm_names,
    band,
    clipped,
    dollars,
    model_name,
    percent,
    selector_name,
    setting,
    short_tokens,
    simulated_note,
    tokens,
)
from polythink.explorer.results import CurvePoint, Pick, ProblemFacts, Results
from polythink.selectors.registry import PASS

ANSWERS_SHOWN = 10
_COLUMNS, _ROWS = 58, 11  # letters of a chart
_STYLES = ("bright_blue", "yellow", "green", "magenta", "cyan", "red")
_LETTERS = "●◆▲■▼★"


def summary(results: Results) -> RenderableType:
    """The end of a run: the arms, both figures, the first answers. Parts with nothing to show are left out."""
    note = simulated_note(results.minds, results.job.traces)
    parts: list[RenderableType | None] = [
        Text(note, style="bold yellow") if note else None,
        arms_table(results),
        stopped_table(results),
        thinking_chart(results),
        samples_chart(results),
        answers_table(results),
    ]
    shown = [part for part in parts if part is not None]
    return Group(*[piece for part in shown for piece in (part, Text())][:-1])


def arms_table(results: Results) -> Table:
    """Accuracy, tokens and money, one row per arm."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("arm")
    shown, same_n = [selector for selector in (results.selector, PASS) if selector], results.same_n()
    ends_at = [f"{selector}@{same_n or 'N'}" for selector in shown]
    for heading in ("single", *ends_at, "thinking", "answered", "cost", "per right"):
        table.add_column(Text(heading), justify="right", no_wrap=True)
    for arm in results.arms:
        one = results.at_one(arm.arm_id)
        ends = [results.at_full_n(arm.arm_id, selector) for selector in shown]
        table.add_row(
            Text(clipped(arm_names(results.arms)[arm.arm_id], NAME_CHARACTERS)),
            percent(one.accuracy) if one else NOTHING,
            *(_end(end, same_n) for end in ends),
            tokens(arm.thinking_tokens),
            f"{arm.outcomes['answered']:,}/{arm.traces:,}",
            dollars(arm.cost_usd),
            dollars(arm.cost_usd / arm.correct if arm.cost_usd is not None and arm.correct else None),
        )
    return table


def stopped_table(results: Results) -> Table | None:
    """What selection gave where problems were stopped early; None where none was."""
    if not results.stopped:
        return None
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("stopped early")
    for heading in ("selector", "samples", "of", "accuracy", "band", "stopped"):
        table.add_column(heading, justify="left" if heading == "selector" else "right", no_wrap=True)
    for point in results.stopped:
        table.add_row(
            Text(clipped(arm_names(results.arms)[point.arm_id], NAME_CHARACTERS)),
            selector_name(point.selector),
            f"{point.n:.1f}",
            f"{point.samples}",
            percent(point.accuracy),
            band(point.low, point.high),
            f"{point.stopped:,}/{point.problems:,}",
        )
    return table


def _end(point: CurvePoint | None, same_n: int | None) -> str:
    if point is None:
        return NOTHING
    return percent(point.accuracy) if same_n else f"{percent(point.accuracy)} @{point.n}"


def thinking_chart(results: Results) -> RenderableType | None:
    """Accuracy over thinking tokens; None without measured arms. An arm that does not think stands at the left edge."""
    points = results.thinking
    if not points:
        return None
    thinking = [math.log2(p.mean_tokens) for p in points if p.mean_tokens > 0] or [0.0]
    resting = any(p.mean_tokens == 0 for p in points)
    edge = min(thinking) - (1.2 if resting else 0.2)
    frame = _frame(edge, max(thinking) + 1.5, (p.accuracy for p in points))
    look = {m: (_LETTERS[k % len(_LETTERS)], _STYLES[k % len(_STYLES)]) for k, m in enumerate(models(results))}
    marks = []
    for point in points:
        arm = results.arm(point.arm_id)
        letter, style = look[arm.model]
        x = math.log2(point.mean_tokens) if point.mean_tokens > 0 else edge
        name = clipped(setting(arm), NAME_CHARACTERS).removeprefix("budget ")
        marks.append(Mark(x=x, y=point.accuracy, letter=letter, style=style, name=name))
    amounts = (1_000 * 2.0**k for k in range(-10, 12))
    ticks = [(at, short_tokens(n)) for n in amounts if min(thinking) - 0.5 <= (at := math.log2(n)) <= frame.right]
    chart = draw(frame, marks, _percent_labels(frame), ([(edge, "0")] if resting else []) + ticks)
    key = [(letter, style, clipped(model_name(model), NAME_CHARACTERS)) for model, (letter, style) in look.items()]
    return Group(_title(thinking_headline(results)), chart, _key(key, "over mean thinking tokens per sample"))


def samples_chart(results: Results) -> RenderableType | None:
    """Accuracy over samples, of the arm with the best answers; None if nothing was selected and graded."""
    best = best_pick(results)
    if best is None:
        return None
    points = [p for p in results.curves if p.arm_id == best[0].arm_id]
    selectors = sorted({p.selector for p in points}, key=lambda s: (s != PASS, s == results.selector, s))
    look = {s: (_LETTERS[k % len(_LETTERS)], _STYLES[k % len(_STYLES)]) for k, s in enumerate(reversed(selectors))}
    look[PASS] = ("○", "dim")
    counts = sorted({p.n for p in points})
    frame = _frame(0, math.log2(max(counts[-1], 2)), (p.accuracy for p in points))
    marks = []
    for selector in selectors:
        letter, style = look[selector]
        marks += [_mark(p, letter, style) for p in points if p.selector == selector]
    chart = draw(frame, marks, _percent_labels(frame), [(math.log2(n), str(n)) for n in counts])
    key = [(*look[selector], selector_name(selector)) for selector in reversed(selectors)]
    return Group(_title(samples_headline(results)), chart, _key(key, "over samples per problem (N)"))


def _mark(point: CurvePoint, letter: str, style: str) -> Mark:
    return Mark(x=math.log2(point.n), y=point.accuracy, letter=letter, style=style)


def _frame(left: float, right: float, accuracies: Iterable[float]) -> Frame:
    """A frame whose lower and upper edge are whole tenths around the accuracies."""
    values = list(accuracies)
    bottom, top = math.floor(min(values) * 10) / 10, math.ceil(max(values) * 10) / 10
    return Frame(columns=_COLUMNS, rows=_ROWS, left=left, right=right, bottom=bottom, top=max(top, bottom + 0.1))


def answers_table(results: Results) -> Table | None:
    """The first answers, of the arm with the best ones; None if nothing was selected."""
    best = best_pick(results)
    arm_id = best[0].arm_id if best else None
    picks = [(p, pick) for p in results.problems for pick in p.picks if arm_id in (pick.arm_id, None)]
    if not picks:
        return None
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("problem", "answer", "votes", "", "reference"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "votes" else "left")
    for problem, pick in picks[:ANSWERS_SHOWN]:
        table.add_row(*_answer_row(problem, pick))
    return table


def _answer_row(problem: ProblemFacts, pick: Pick) -> list[RenderableType]:
    word, style = {True: ("right", "green"), False: ("wrong", "red"), None: (NOTHING, "dim")}[pick.correct]
    return [
        Text(clipped(problem.problem_id, NAME_CHARACTERS)),
        Text(clipped(pick.answer, NAME_CHARACTERS) if pick.answer is not None else "no answer"),
        f"{pick.votes}/{pick.voters}",
        Text(word, style=style),
        Text(clipped(problem.gold, NAME_CHARACTERS) if problem.gold is not None else NOTHING),
    ]


def _title(headline: str) -> Text:
    return Text(headline, style="bold")


def _key(entries: list[tuple[str, str, str]], axis: str) -> Text:
    key = Text("  ")
    for letter, style, name in entries:
        key.append(f"{letter} ", style).append(f"{name}   ")
    return key.append(axis, "dim")


def _percent_labels(frame: Frame) -> list[tuple[float, str]]:
    middle = (frame.bottom + frame.top) / 2
    return [(y, f"{y:.0%}") for y in (frame.bottom, middle, frame.top)]
