"""Figure 2: accuracy over samples per problem, a panel per arm, a line per selector."""

from __future__ import annotations

import math

import altair as alt

from polythink.explorer.axes import WIDTHS, Drawing, Row, accuracy_axis, bands_over, colour, domain_of, finished, spread
from polythink.explorer.headlines import samples_headline
from polythink.explorer.labels import NAME_CHARACTERS, arm_names, band, clipped, percent, selector_name
from polythink.explorer.results import CurvePoint, Results
from polythink.explorer.theme import Theme
from polythink.selectors.curves import grid
from polythink.selectors.registry import PASS
from polythink.selectors.stopped import AdaptivePoint

BASELINE = "first"  # stays where one sample is: its band would cover the others'
_TITLE = "problems right"


def samples_figure(results: Results, theme: Theme, *, narrow: bool = False) -> Drawing | None:
    """Accuracy over samples per problem, a panel per arm, a line per selector; None without curves.

    Of more than MAX_ARMS arms, evenly spaced ones are drawn, the first and the last among them.
    """
    drawn = spread([arm.arm_id for arm in results.arms if any(p.arm_id == arm.arm_id for p in results.curves)])
    points = [point for point in results.curves if point.arm_id in drawn]
    stopped = [point for point in results.stopped if point.arm_id in drawn]
    if not points:
        return None
    names = {arm_id: clipped(name, NAME_CHARACTERS) for arm_id, name in arm_names(results.arms).items()}
    rows = [_row(point, names[point.arm_id]) for point in points]
    selectors = sorted({p.selector for p in points}, key=lambda s: (s != PASS, s != results.selector, s))
    colours = [theme.bound, *theme.series] if PASS in selectors else theme.series
    hue = colour("selector", [selector_name(s) for s in selectors], colours, legend=True, narrow=narrow)
    columns = min(1 if narrow else 3, len(drawn))
    width = (WIDTHS[narrow] - 60) // columns - (0 if narrow else 22)
    rows += [_stopped_row(point, names[point.arm_id]) for point in stopped]
    layers = _curves(rows, hue, width, 300 if len(drawn) == 1 else 130 if narrow else 170)
    order = [names[arm_id] for arm_id in drawn]
    chart = layers.facet(facet=alt.Facet("arm:N", title=None, sort=order), columns=columns, spacing=22)
    title = samples_headline(results)
    bands = f"{bands_over(results)}; diamonds: stopped early, at the mean number of samples" if stopped else None
    omitted = len(results.arms) - len(drawn)
    return finished(chart, results, title, theme, narrow=narrow, omitted=omitted, bands=bands)


def _row(point: CurvePoint, name: str) -> Row:
    samples = "sample" if point.n == 1 else "samples"
    return {
        "arm": name,
        "selector": selector_name(point.selector),
        "n": point.n,
        "banded": point.selector != BASELINE,
        "stopped": False,
        "accuracy": point.accuracy,
        "low": point.low,
        "high": point.high,
        "said": f"{selector_name(point.selector)}, {point.n} {samples}: {percent(point.accuracy)} "
        f"({band(point.low, point.high)}) over {point.problems} problems",
    }


def _stopped_row(point: AdaptivePoint, name: str) -> Row:
    return {
        "arm": name,
        "selector": selector_name(point.selector),
        "n": point.n,
        "banded": False,
        "stopped": True,
        "accuracy": point.accuracy,
        "low": point.low,
        "high": point.high,
        "said": f"{selector_name(point.selector)}, stopped early after {point.n:.1f} of {point.samples} samples on "
        f"average: {percent(point.accuracy)} ({band(point.low, point.high)}) over {point.problems} problems",
    }


def _curves(rows: list[Row], hue: alt.Color, width: int, height: int) -> alt.LayerChart:
    """Lines with their bands, over the samples on a logarithmic axis; diamonds for what was stopped early."""
    counts = grid(math.ceil(max(row["n"] for row in rows)))
    x = alt.X(
        "n:Q",
        title="samples per problem (N, log scale)",
        scale=alt.Scale(type="log", base=2, domain=[counts[0], max(counts[-1], 2)], nice=False),
        axis=alt.Axis(values=counts, format="d", grid=False, labelOverlap="greedy"),
    )
    domain = domain_of(rows)
    low, middle = accuracy_axis("low", domain, _TITLE), accuracy_axis("accuracy", domain, _TITLE)
    layers = [
        alt.Chart()
        .transform_filter("datum.banded")
        .mark_area(opacity=0.16, strokeWidth=0)
        .encode(x=x, color=hue, y=low, y2="high:Q"),
        alt.Chart().transform_filter("!datum.stopped").mark_line(strokeWidth=2.2).encode(x=x, color=hue, y=middle),
        alt.Chart()
        .transform_filter("datum.stopped")
        .mark_rule(strokeWidth=2, opacity=0.55)
        .encode(x=x, color=hue, y=low, y2="high:Q"),
        alt.Chart()
        .transform_filter("datum.stopped")
        .mark_point(filled=True, size=90, shape="diamond", opacity=1)
        .encode(x=x, color=hue, y=middle, description="said:N", tooltip="said:N"),
        alt.Chart()
        .transform_filter("!datum.stopped")
        .mark_point(filled=True, size=36, opacity=1)
        .encode(x=x, color=hue, y=middle, description="said:N", tooltip="said:N"),
    ]
    return alt.LayerChart(data=alt.InlineData(values=rows), layer=layers, width=width, height=height)
