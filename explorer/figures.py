"""The two figures as Vega-Lite charts: accuracy over thinking tokens, and accuracy over samples."""

from __future__ import annotations

import math

import altair as alt

from polythink.explorer.axes import Drawing, Row, accuracy_axis, colour, domain_of, finished, shown_model, token_axis
from polythink.explorer.data import CurvePoint, Results
from polythink.explorer.headlines import model_fits, models, samples_headline, thinking_headline
from polythink.explorer.labels import (
    NAME_CHARACTERS,
    arm_names,
    band,
    clipped,
    percent,
    selector_name,
    setting,
    tokens,
)
from polythink.explorer.placing import Box, place_below
from polythink.explorer.theme import Theme
from polythink.selectors.registry import PASS

MAX_PANELS = 12  # arms drawn in the figure over samples
WIDE, NARROW = 860, 340  # pixels
_HEIGHT = 330  # pixels
_SIDE, _GAP, _AXIS = 64, 12, 70  # pixels; the panel of arms that do not think, beside it, left of everything
_LINE = 14  # pixels; the height of a name
_ONE_SAMPLE, _PROBLEMS = "samples right", "problems right"


def thinking_figure(results: Results, theme: Theme, *, narrow: bool = False) -> Drawing | None:
    """Accuracy over mean measured thinking tokens, one point per arm; None if no arm was graded and measured.

    Arms that do not think stand in a panel of their own, since a logarithm has no zero.
    """
    rows = _thinking_rows(results)
    if not rows:
        return None
    shown = [shown_model(model) for model in models(results)]
    hue = colour("model", shown, theme.series, legend=len(shown) > 1, narrow=narrow)
    domain = domain_of(rows)
    resting = [row for row in rows if not row["tokens"]]
    thinking = [row for row in rows if row["tokens"]]
    panels: list[alt.LayerChart] = []
    if resting:
        x = alt.X("model:N", sort=shown, title="no thinking", axis=alt.Axis(labels=False, grid=False))
        panels.append(alt.LayerChart(layer=_points(resting, x, domain, hue), width=_SIDE, height=_HEIGHT))
    if thinking:
        width = (NARROW if narrow else WIDE) - _AXIS - (_SIDE + _GAP if resting else 0)
        panels.append(_thinking_panel(results, thinking, domain, hue, theme, width, labelled=not resting))
    chart: alt.HConcatChart = alt.hconcat(*panels, spacing=_GAP).resolve_scale(color="shared")
    return finished(chart, results, thinking_headline(results), theme, narrow)


def _thinking_panel(
    results: Results,
    rows: list[Row],
    domain: list[float],
    hue: alt.Color,
    theme: Theme,
    width: int,
    *,
    labelled: bool,
) -> alt.LayerChart:
    """Points, lines and names; the axis to the left is `labelled` unless another panel's serves."""
    span = (min(row["tokens"] for row in rows) * 0.8, max(row["tokens"] for row in rows) * 1.9)
    x = token_axis("tokens", *span)
    several = len({row["model"] for row in rows}) > 1
    names = _names(rows, span, domain, width, labelled=labelled)
    coloured = names.encode(color=hue) if several else names.encode(color=alt.value(theme.ink))
    layers = [_fitted(results, rows, domain, hue, x), *_points(rows, x, domain, hue, labelled=labelled), coloured]
    return alt.LayerChart(layer=layers, width=width, height=_HEIGHT)


def samples_figure(results: Results, theme: Theme, *, narrow: bool = False) -> Drawing | None:
    """Accuracy over samples per problem, a panel per arm, a line per selector; None without curves.

    Of more than MAX_PANELS arms, evenly spaced ones are drawn, the first and the last among them.
    """
    drawn = _spread([arm.arm_id for arm in results.arms if any(p.arm_id == arm.arm_id for p in results.curves)])
    points = [point for point in results.curves if point.arm_id in drawn]
    if not points:
        return None
    names = {arm_id: clipped(name, NAME_CHARACTERS) for arm_id, name in arm_names(results.arms).items()}
    rows = [_curve_row(point, names[point.arm_id]) for point in points]
    selectors = sorted({p.selector for p in points}, key=lambda s: (s != PASS, s != results.selector, s))
    colours = [theme.bound, *theme.series] if PASS in selectors else theme.series
    hue = colour("selector", [selector_name(s) for s in selectors], colours, legend=True, narrow=narrow)
    columns = min(1 if narrow else 3, len(drawn))
    width = NARROW - 60 if narrow else (WIDE - 60) // columns - 22
    layers = _curves(rows, hue, width, 170 if len(drawn) > 1 else 300)
    order = [names[arm_id] for arm_id in drawn]
    chart = layers.facet(facet=alt.Facet("arm:N", title=None, sort=order), columns=columns, spacing=22, bounds="flush")
    title = samples_headline(results)
    return finished(chart, results, title, theme, narrow, omitted=len(results.arms) - len(drawn))


def _thinking_rows(results: Results) -> list[Row]:
    names = arm_names(results.arms)
    return [
        {
            "model": shown_model(results.arm(point.arm_id).model),
            "setting": clipped(setting(results.arm(point.arm_id)), NAME_CHARACTERS),
            "tokens": point.mean_tokens,
            "accuracy": point.accuracy,
            "low": point.low,
            "high": point.high,
            "said": f"{clipped(names[point.arm_id], NAME_CHARACTERS)}: {percent(point.accuracy)} right "
            f"({band(point.low, point.high)}) with {tokens(point.mean_tokens)} thinking tokens",
        }
        for point in results.thinking
    ]


def _curve_row(point: CurvePoint, name: str) -> Row:
    samples = "sample" if point.n == 1 else "samples"
    return {
        "arm": name,
        "selector": selector_name(point.selector),
        "n": point.n,
        "accuracy": point.accuracy,
        "low": point.low,
        "high": point.high,
        "said": f"{selector_name(point.selector)}, {point.n} {samples}: {percent(point.accuracy)} "
        f"({band(point.low, point.high)}) over {point.problems} problems",
    }


def _points(
    rows: list[Row], x: alt.X, domain: list[float], hue: alt.Color, *, labelled: bool = True
) -> list[alt.Chart]:
    """Points with their bands as error bars."""
    base = alt.Chart(alt.InlineData(values=rows))
    bars = base.mark_rule(strokeWidth=2, opacity=0.55)
    dots = base.mark_point(filled=True, size=95, opacity=1)
    low, middle = (accuracy_axis(field, domain, _ONE_SAMPLE, labelled=labelled) for field in ("low", "accuracy"))
    return [
        bars.encode(x=x, color=hue, y=low, y2="high:Q"),
        dots.encode(x=x, color=hue, y=middle, description="said:N"),
    ]


def _names(rows: list[Row], span: tuple[float, float], domain: list[float], width: int, *, labelled: bool) -> alt.Chart:
    """Each point's reasoning setting to its lower right, clear of error bars, rising lines and other names."""
    across, up = width / math.log2(span[1] / span[0]), _HEIGHT / (domain[1] - domain[0])  # pixels per unit
    wanted = [
        Box(
            math.log2(row["tokens"] / span[0]) * across + 8,
            (domain[1] - row["accuracy"]) * up + 4,
            len(row["setting"]) * 6.2,
            _LINE,
        )
        for row in rows
    ]
    named = [
        {
            "model": row["model"],
            "setting": row["setting"],
            "at": span[0] * 2 ** (box.left / across),
            "height": domain[1] - box.top / up,
        }
        for row, box in zip(rows, place_below(wanted), strict=True)
    ]
    y = accuracy_axis("height", domain, _ONE_SAMPLE, labelled=labelled)
    marks = alt.Chart(alt.InlineData(values=named)).mark_text(align="left", baseline="top", fontSize=11.5)
    encoded: alt.Chart = marks.encode(x=token_axis("at", *span), y=y, text="setting:N")
    return encoded


def _fitted(results: Results, rows: list[Row], domain: list[float], hue: alt.Color, x: alt.X) -> alt.Chart:
    """Each model's fitted line between its least and its most thinking arm."""
    ends: list[Row] = []
    for model, fit in model_fits(results).items():
        amounts = [row["tokens"] for row in rows if row["model"] == shown_model(model)]
        for amount in (min(amounts), max(amounts)):
            right = fit.intercept + fit.slope * math.log2(amount)
            ends.append({"model": shown_model(model), "tokens": amount, "fit": right})
    line = alt.Chart(alt.InlineData(values=ends)).mark_line(strokeDash=[5, 4], strokeWidth=1.6, opacity=0.75, clip=True)
    encoded: alt.Chart = line.encode(x=x, y=accuracy_axis("fit", domain, _ONE_SAMPLE), color=hue)
    return encoded


def _curves(rows: list[Row], hue: alt.Color, width: int, height: int) -> alt.LayerChart:
    """Lines with their bands, over the samples on a logarithmic axis."""
    counts = sorted({row["n"] for row in rows})
    x = alt.X(
        "n:Q",
        title="samples per problem (N, log scale)",
        scale=alt.Scale(type="log", base=2, domain=[counts[0], max(counts[-1], 2)], nice=False),
        axis=alt.Axis(values=counts, format="d", grid=False, labelOverlap="greedy"),
    )
    domain = domain_of(rows)
    low, middle = accuracy_axis("low", domain, _PROBLEMS), accuracy_axis("accuracy", domain, _PROBLEMS)
    layers = [
        alt.Chart().mark_area(opacity=0.16, strokeWidth=0).encode(x=x, color=hue, y=low, y2="high:Q"),
        alt.Chart().mark_line(strokeWidth=2.2).encode(x=x, color=hue, y=middle),
        alt.Chart().mark_point(filled=True, size=36, opacity=1).encode(x=x, color=hue, y=middle, description="said:N"),
    ]
    return alt.LayerChart(data=alt.InlineData(values=rows), layer=layers, width=width, height=height)


def _spread(arm_ids: list[str]) -> list[str]:
    """At most MAX_PANELS of them, evenly spaced, in order."""
    if len(arm_ids) <= MAX_PANELS:
        return arm_ids
    return [arm_ids[round(k * (len(arm_ids) - 1) / (MAX_PANELS - 1))] for k in range(MAX_PANELS)]
