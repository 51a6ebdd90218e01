"""What stopping early saves and costs: a point per rule, a panel per arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from polythink.explorer.axes import WIDTHS, Drawing, Row, bands_over, colour, finished, spread
from polythink.explorer.labels import NAME_CHARACTERS, arm_names, clipped
from polythink.explorer.placing import Box, place_below
from polythink.explorer.results import Results
from polythink.explorer.theme import Theme
from polythink.selectors.replay import ORDERS, Replayed

_HEIGHT = 220  # pixels of a panel
_LINE, _LETTER = 13, 6.0  # pixels; height of a label, width of a letter
_REACH = 1.96  # standard errors to each end of a bar
_TOLERATED = 0.01  # of accuracy
_NOTHING = 0.0005  # of accuracy; less is no change
_MARGIN = 0.15  # of the range of differences, above and below
_SHARES = [0, 0.25, 0.5, 0.75, 1]
_ASKED, _CHANGE = "samples asked for, of all", "accuracy, less that of all samples"

Found = Mapping[str, Sequence[Replayed]]  # by arm_id


def replay_figure(found: Found, results: Results, theme: Theme, *, narrow: bool = False) -> Drawing | None:
    """Difference in accuracy over the share of samples asked for, rules by colour; None if nothing was replayed.

    The upper left is best: less is asked for, and no less is right. Of more than MAX_ARMS arms, evenly spaced ones
    are drawn.
    """
    drawn = spread([arm_id for arm_id, rows in found.items() if rows])
    if not drawn:
        return None
    names = {arm_id: clipped(name, NAME_CHARACTERS) for arm_id, name in arm_names(results.arms).items()}
    columns = min(1 if narrow else 2, len(drawn))
    width = (WIDTHS[narrow] - 80) // columns - (0 if narrow else 22)
    rows = [_row(each, names[arm_id]) for arm_id in drawn for each in found[arm_id]]
    domain = _domain(rows)
    for arm_id in drawn:
        _place([row for row in rows if row["arm"] == names[arm_id]], domain, width)
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    hue = colour("kind", kinds, theme.series, legend=True, narrow=narrow)
    layers = alt.LayerChart(
        data=alt.InlineData(values=rows), layer=_layers(domain, hue, theme), width=width, height=_HEIGHT
    )
    order = [names[arm_id] for arm_id in drawn]
    chart = layers.facet(facet=alt.Facet("arm:N", title=None, sort=order), columns=columns, spacing=22)
    bands = f"{ORDERS} orders of each problem's samples; bars: {bands_over(results)}, of the difference"
    omitted = len(found) - len(drawn)
    title = _headline(found, names)
    return finished(chart, results, title, theme, narrow=narrow, omitted=omitted, bands=bands)


def _headline(found: Found, names: Mapping[str, str]) -> str:
    """Of all arms, the rule that asks for least among those that surely lose less than `_TOLERATED`."""
    sure = [
        (each, arm_id)
        for arm_id, rows in found.items()
        for each in rows
        if each.difference - _REACH * each.error > -_TOLERATED  # never where the error is not known
    ]
    if not sure:
        return "No rule is sure to lose less than a point of accuracy"
    best, arm_id = min(sure, key=lambda pair: pair[0].samples / pair[0].of_samples)
    asked = f"With {names[arm_id]}, {best.rule} asks for {best.samples / best.of_samples:.0%} of the samples"
    if abs(best.difference) < _NOTHING:
        return f"{asked} and is as often right"
    return f"{asked}: {100 * best.difference:+.1f} points of accuracy"


def _bar(each: Replayed) -> float:
    """Half the length of its bar; nothing where no error is known."""
    return 0.0 if math.isnan(each.error) else _REACH * each.error


def _row(each: Replayed, name: str) -> Row:
    kind, _, setting = each.rule.partition(" ")
    bar = _bar(each)
    return {
        "arm": name,
        "kind": kind,
        "label": setting.removesuffix(" of all") or kind,
        "share": each.samples / each.of_samples,
        "difference": each.difference,
        "low": each.difference - bar,
        "high": each.difference + bar,
        "said": f"{each.rule}, {name}: {each.samples:.1f} of {each.of_samples:.0f} samples, "
        f"{100 * each.difference:+.2f} ± {100 * bar:.2f} points, {each.accuracy:.1%} right",
    }


def _domain(rows: Sequence[Row]) -> list[float]:
    low, high = min(0.0, *(row["low"] for row in rows)), max(0.0, *(row["high"] for row in rows))
    margin = _MARGIN * max(high - low, 0.01)
    return [low - margin, high + margin]


def _place(rows: Sequence[Row], domain: list[float], width: int) -> None:
    """Each rule's setting to the lower right of its point, clear of the panel's other labels."""
    across, up = width / 1.06, _HEIGHT / (domain[1] - domain[0])  # pixels per unit
    wanted = [
        Box(
            (row["share"] + 0.03) * across + 7,
            (domain[1] - row["difference"]) * up + 3,
            len(row["label"]) * _LETTER,
            _LINE,
        )
        for row in rows
    ]
    for row, box in zip(rows, place_below(wanted), strict=True):
        row["at"], row["height"] = box.left / across - 0.03, domain[1] - box.top / up


def _layers(domain: list[float], hue: alt.Color, theme: Theme) -> list[alt.Chart]:
    """The level of all samples; bars; points; what each rule is set to."""
    x, at = (alt.X(f"{field}:Q", **_share_axis()) for field in ("share", "at"))
    y, low, height = (alt.Y(f"{field}:Q", **_change_axis(domain)) for field in ("difference", "low", "height"))
    style: dict[str, Any] = {"align": "left", "baseline": "top", "fontSize": 11}
    text = alt.Chart().encode(x=at, y=height, text="label:N")
    level = alt.Chart().mark_rule(color=theme.bound, strokeDash=[4, 4], strokeWidth=1.3)
    return [
        level.encode(y=alt.YDatum(0, **_change_axis(domain))),
        alt.Chart().mark_rule(strokeWidth=2, opacity=0.5).encode(x=x, color=hue, y=low, y2="high:Q"),
        text.mark_text(**style, stroke=theme.page, strokeWidth=3, strokeJoin="round", color=theme.page, aria=False),
        text.mark_text(**style).encode(color=hue),
        alt.Chart()
        .mark_point(filled=True, size=80, opacity=1)
        .encode(x=x, y=y, color=hue, description="said:N", tooltip="said:N"),
    ]


def _share_axis() -> dict[str, Any]:
    scale = alt.Scale(domain=[-0.03, 1.03], nice=False)
    return {"title": _ASKED, "scale": scale, "axis": alt.Axis(format=".0%", values=_SHARES)}


def _change_axis(domain: list[float]) -> dict[str, Any]:
    scale = alt.Scale(domain=domain, nice=False)
    return {"title": _CHANGE, "scale": scale, "axis": alt.Axis(format="+.1%", tickCount=6, grid=True)}
