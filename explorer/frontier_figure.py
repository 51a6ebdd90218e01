"""Figure 3: accuracy over dollars per problem, a point per arm, selector and N, the efficient ones joined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from polythink.explorer.axes import (
    WIDTHS,
    Drawing,
    Row,
    accuracy_axis,
    bands_over,
    colour,
    dollar_axis,
    domain_of,
    finished,
    spread,
)
from polythink.explorer.headlines import frontier_headline
from polythink.explorer.labels import NAME_CHARACTERS, arm_names, band, clipped, dollars, percent
from polythink.explorer.placing import Box, place_below
from polythink.explorer.results import FrontierPoint, Results
from polythink.explorer.theme import Theme

_HEIGHT = 330  # pixels
_AXIS = 70  # pixels; left of the panel
_LINE, _LETTER = 14, 6.2  # pixels; height of a label, width of a letter
_TITLE, _COST = "problems right", "cost per problem (USD, log scale)"
_SAME = 1e-9  # selectors of one sample agree, but for rounding
_SHAPES = ("circle", "square")  # for the second arm of a colour
_LEGEND_COLUMNS = {False: 4, True: 2}  # by whether the page is narrow
_STRAY = 2 * _LINE  # pixels; a label that would have to go further from its point is left out


def frontier_figure(results: Results, theme: Theme, *, narrow: bool = False) -> Drawing | None:
    """Accuracy over cost, arms by colour, what is efficient joined by a step line; None where nothing is.

    Of more than MAX_ARMS arms, evenly spaced ones are drawn, and those with an efficient point.
    """
    points = _distinct(results)
    if not any(point.is_efficient for point in points):
        return None
    drawn = _drawn_arms(results, points)
    names = {arm_id: clipped(name, NAME_CHARACTERS) for arm_id, name in arm_names(results.arms).items()}
    joined = sorted({point.selector for point in points if point.is_efficient and point.n > 1})
    rows = [_row(point, names[point.arm_id], joined) for point in points if point.arm_id in drawn]
    width = WIDTHS[narrow] - _AXIS
    layers = _layers(rows, _Look.of([names[arm] for arm in drawn], theme, narrow=narrow), theme, width)
    chart = alt.hconcat(alt.LayerChart(layer=layers, width=width, height=_HEIGHT))
    bands = f"{bands_over(results)}; joined: efficient, with N{f' of {joined[0]}' if len(joined) == 1 else ''}"
    omitted = len({point.arm_id for point in points}) - len(drawn)
    return finished(chart, results, frontier_headline(results), theme, narrow=narrow, omitted=omitted, bands=bands)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """How arms are told apart."""

    colour: alt.Color
    shape: alt.Shape

    @classmethod
    def of(cls, names: list[str], theme: Theme, *, narrow: bool) -> _Look:
        legend = alt.Legend(title=None, orient="top", columns=_LEGEND_COLUMNS[narrow], symbolOpacity=1)
        shapes = [_SHAPES[k // len(theme.series) % len(_SHAPES)] for k in range(len(names))]
        hue = colour("arm", names, theme.series, legend=True, narrow=narrow).legend(legend)
        return cls(colour=hue, shape=alt.Shape("arm:N", scale=alt.Scale(domain=names, range=shapes), legend=legend))


def _distinct(results: Results) -> list[FrontierPoint]:
    """The points, one of those that stand at the same place for the same samples; the shown selector's first."""
    kept: dict[tuple[str, float, int, int], FrontierPoint] = {}
    for point in sorted(results.frontier, key=lambda p: (p.selector != results.selector, p.selector)):
        place = round(math.log(point.usd_per_problem) / _SAME), round(point.accuracy / _SAME)
        kept.setdefault((point.arm_id, point.n, *place), point)
    return sorted(kept.values(), key=lambda p: (p.usd_per_problem, p.accuracy))


def _drawn_arms(results: Results, points: Sequence[FrontierPoint]) -> list[str]:
    priced = [arm.arm_id for arm in results.arms if any(p.arm_id == arm.arm_id for p in points)]
    wanted = {*spread(priced), *(p.arm_id for p in points if p.is_efficient)}
    return [arm_id for arm_id in priced if arm_id in wanted]


def _row(point: FrontierPoint, name: str, joined: Sequence[str]) -> Row:
    """A point; labelled by N alone where that says all, since of one sample all selectors pick the same."""
    efficient = ", efficient" if point.is_efficient else ""
    stopped = ", stopped early" if point.stopped else ""
    return {
        "arm": name,
        "label": f"{point.n:.3g}" if point.n == 1 or len(joined) == 1 else f"{point.selector} {point.n:.3g}",
        "curve": f"{name}, {point.selector}{stopped}",
        "usd": point.usd_per_problem,
        "accuracy": point.accuracy,
        "low": point.low,
        "high": point.high,
        "efficient": point.is_efficient,
        "said": f"{point.selector} of {point.n:.3g}{stopped}, {name}: {percent(point.accuracy)} right "
        f"({band(point.low, point.high)}) for {dollars(point.usd_per_problem)} a problem{efficient}",
    }


def _layers(rows: list[Row], look: _Look, theme: Theme, width: int) -> list[alt.Chart]:
    """Faint curves of every arm and selector, over them the efficient points, joined, with their bands and names."""
    efficient = [row for row in rows if row["efficient"]]
    low, high = _span(rows, efficient, width)
    x, domain = dollar_axis("usd", low, high, _COST), domain_of(rows)
    y = accuracy_axis("accuracy", domain, _TITLE)
    every, best = alt.Chart(alt.InlineData(values=rows)), alt.Chart(alt.InlineData(values=efficient))
    dots = [
        base.mark_point(filled=True, size=size, opacity=opacity).encode(
            x=x, y=y, color=look.colour, shape=look.shape, description="said:N", tooltip="said:N"
        )
        for base, size, opacity in ((every.transform_filter("!datum.efficient"), 22, 0.5), (best, 80, 1))
    ]
    return [
        every.mark_line(strokeWidth=1.2, opacity=0.4).encode(x=x, y=y, color=look.colour, detail="curve:N"),
        best.mark_line(strokeWidth=1.6, color=theme.ink, interpolate="step-after").encode(x=x, y=y),
        best.mark_rule(strokeWidth=2, opacity=0.55).encode(
            x=x, color=look.colour, y=accuracy_axis("low", domain, _TITLE), y2="high:Q"
        ),
        *dots,
        *_names(efficient, (low, high), domain, width, theme),
    ]


def _span(rows: list[Row], efficient: list[Row], width: int) -> tuple[float, float]:
    """The cost axis: a margin to the left, and to the right the room that the dearest efficient name takes."""
    low, high = min(row["usd"] for row in rows) * 0.8, max(row["usd"] for row in rows) * 1.1
    last = max(efficient, key=lambda row: row["usd"])
    room = len(last["label"]) * _LETTER + 14
    reach = last["usd"] / low
    return low, max(high, low * reach ** (width / max(width - room, width / 3)))


def _names(
    rows: list[Row], span: tuple[float, float], domain: list[float], width: int, theme: Theme
) -> list[alt.Chart]:
    """Selector and N of each efficient point to its lower right, clear of one another, on a halo of the page."""
    across, up = width / math.log(span[1] / span[0]), _HEIGHT / (domain[1] - domain[0])  # pixels per unit
    wanted = [
        Box(
            math.log(row["usd"] / span[0]) * across + 8,
            (domain[1] - row["accuracy"]) * up + 4,
            len(row["label"]) * _LETTER,
            _LINE,
        )
        for row in rows
    ]
    named = [
        {"label": row["label"], "at": span[0] * math.exp(box.left / across), "height": domain[1] - box.top / up}
        for row, at, box in zip(rows, wanted, place_below(wanted), strict=True)
        if box.top - at.top <= _STRAY
    ]
    base = alt.Chart(alt.InlineData(values=named)).encode(
        x=dollar_axis("at", *span, _COST), y=accuracy_axis("height", domain, _TITLE), text="label:N"
    )
    halo = base.mark_text(
        align="left", baseline="top", fontSize=11.5, stroke=theme.page, strokeWidth=3, strokeJoin="round",
        color=theme.page, aria=False,
    )  # fmt: skip
    return [halo, base.mark_text(align="left", baseline="top", fontSize=11.5, color=theme.ink)]
