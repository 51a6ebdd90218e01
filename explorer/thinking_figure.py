"""Figure 1: accuracy over measured thinking tokens, one point per arm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import altair as alt

from polythink.explorer.axes import (
    WIDTHS,
    Drawing,
    Row,
    accuracy_axis,
    colour,
    domain_of,
    finished,
    shown_model,
    token_axis,
)
from polythink.explorer.headlines import models, thinking_headline
from polythink.explorer.labels import NAME_CHARACTERS, arm_names, band, clipped, percent, setting, tokens
from polythink.explorer.placing import Box, place_below
from polythink.explorer.results import Results
from polythink.explorer.theme import Theme

_HEIGHT = 330  # pixels
_SIDE, _GAP, _AXIS = 64, 12, 70  # pixels; the panel of arms that do not think, beside it, left of everything
_LINE, _LETTER = 14, 6.2  # pixels; height of a name, width of a letter
_TITLE = "samples right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Where a panel's points go."""

    x: alt.X
    domain: list[float]  # of accuracy
    hue: alt.Color
    labelled: bool = True  # False: the axis of the panel to the left serves

    def y(self, field: str) -> alt.Y:
        return accuracy_axis(field, self.domain, _TITLE, labelled=self.labelled)


def thinking_figure(results: Results, theme: Theme, *, narrow: bool = False) -> Drawing | None:
    """Accuracy over mean measured thinking tokens, one point per arm; None if no arm was graded and measured.

    Arms that do not think stand in a panel of their own, since a logarithm has no zero.
    """
    rows = _rows(results, narrow=narrow)
    if not rows:
        return None
    shown = [shown_model(model) for model in models(results)]
    hue = colour("model", shown, theme.series, legend=len(shown) > 1, narrow=narrow)
    domain = domain_of(rows)
    resting, thinking = [row for row in rows if not row["tokens"]], [row for row in rows if row["tokens"]]
    panels: list[alt.LayerChart] = []
    if resting:
        x = alt.X("model:N", sort=shown, title="no thinking", axis=alt.Axis(labels=False, grid=False))
        marks = _points(resting, Panel(x=x, domain=domain, hue=hue))
        panels.append(alt.LayerChart(layer=marks, width=_SIDE, height=_HEIGHT))
    if thinking:
        width = WIDTHS[narrow] - _AXIS - (_SIDE + _GAP if resting else 0)
        span = _span(thinking, width)
        panel = Panel(x=token_axis("tokens", *span), domain=domain, hue=hue, labelled=not resting)
        layers = [*_fitted(results, panel), *_points(thinking, panel)]
        layers += _names(thinking, panel, span, width, theme)
        panels.append(alt.LayerChart(layer=layers, width=width, height=_HEIGHT))
    chart: alt.HConcatChart = alt.hconcat(*panels, spacing=_GAP).resolve_scale(color="shared")
    return finished(chart, results, thinking_headline(results), theme, narrow=narrow)


def _rows(results: Results, *, narrow: bool) -> list[Row]:
    names = arm_names(results.arms)
    dropped = "budget " if narrow else ""
    return [
        {
            "model": shown_model(results.arm(point.arm_id).model),
            "setting": clipped(setting(results.arm(point.arm_id)).removeprefix(dropped), NAME_CHARACTERS),
            "tokens": point.mean_tokens,
            "accuracy": point.accuracy,
            "low": point.low,
            "high": point.high,
            "said": f"{clipped(names[point.arm_id], NAME_CHARACTERS)}: {percent(point.accuracy)} right "
            f"({band(point.low, point.high)}) with {tokens(point.mean_tokens)} thinking tokens",
        }
        for point in results.thinking
    ]


def _span(rows: list[Row], width: int) -> tuple[float, float]:
    """The token axis: a margin to the left, and to the right the room that the last name takes."""
    low, high = min(row["tokens"] for row in rows) * 0.8, max(row["tokens"] for row in rows)
    room = max(len(row["setting"]) for row in rows) * _LETTER + 10
    return low, low * (high / low) ** (width / max(width - room, width / 3))


def _points(rows: list[Row], panel: Panel) -> list[alt.Chart]:
    """Points with their bands as error bars."""
    base = alt.Chart(alt.InlineData(values=rows))
    bars = base.mark_rule(strokeWidth=2, opacity=0.55)
    dots = base.mark_point(filled=True, size=95, opacity=1)
    return [
        bars.encode(x=panel.x, color=panel.hue, y=panel.y("low"), y2="high:Q"),
        dots.encode(x=panel.x, color=panel.hue, y=panel.y("accuracy"), description="said:N", tooltip="said:N"),
    ]


def _names(rows: list[Row], panel: Panel, span: tuple[float, float], width: int, theme: Theme) -> list[alt.Chart]:
    """Each point's reasoning setting to its lower right, clear of its error bar and of other names.

    In the colour of its model where there are several; on a halo of the page's colour, over the lines.
    """
    across, up = width / math.log2(span[1] / span[0]), _HEIGHT / (panel.domain[1] - panel.domain[0])  # pixels per unit
    wanted = [
        Box(
            math.log2(row["tokens"] / span[0]) * across + 8,
            (panel.domain[1] - row["accuracy"]) * up + 4,
            len(row["setting"]) * _LETTER,
            _LINE,
        )
        for row in rows
    ]
    places = [
        {"at": span[0] * 2 ** (box.left / across), "height": panel.domain[1] - box.top / up}
        for box in place_below(wanted)
    ]
    named = [{"model": r["model"], "setting": r["setting"]} | place for r, place in zip(rows, places, strict=True)]
    base = alt.Chart(alt.InlineData(values=named)).encode(
        x=token_axis("at", *span), y=panel.y("height"), text="setting:N"
    )
    several = len({row["model"] for row in rows}) > 1
    style: dict[str, Any] = {"align": "left", "baseline": "top", "fontSize": 11.5}
    halo = base.mark_text(**style, stroke=theme.page, strokeWidth=3, strokeJoin="round", color=theme.page, aria=False)
    text = base.mark_text(**style) if several else base.mark_text(**style, color=theme.ink)
    return [halo, text.encode(color=panel.hue) if several else text]


def _fitted(results: Results, panel: Panel) -> list[alt.Chart]:
    """Each model's fitted line between its least and its most thinking arm, on its band."""
    places: list[Row] = [
        {"model": shown_model(line.model), "tokens": at, "fit": line.at(at), "low": low, "high": high}
        for line in results.lines
        for at, low, high in zip(line.tokens, line.low, line.high, strict=True)
    ]
    base = alt.Chart(alt.InlineData(values=places)).encode(x=panel.x, color=panel.hue)
    band = base.mark_area(opacity=0.13, strokeWidth=0, clip=True, aria=False)
    line = base.mark_line(strokeDash=[5, 4], strokeWidth=1.6, opacity=0.75, clip=True)
    return [band.encode(y=panel.y("low"), y2="high:Q"), line.encode(y=panel.y("fit"))]
