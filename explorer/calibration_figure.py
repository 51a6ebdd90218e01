"""Figure 4: how often picks are right over how confident they are, a panel per arm."""

from __future__ import annotations

from typing import Any

import altair as alt

from polythink.explorer.axes import WIDTHS, Drawing, Row, finished, spread
from polythink.explorer.headlines import calibration_headline
from polythink.explorer.labels import NAME_CHARACTERS, arm_names, band, clipped, percent
from polythink.explorer.results import ConfidenceBin, Results
from polythink.explorer.theme import Theme

FEW = 10  # picks; a tenth with fewer is drawn hollow
_SHARES = [0, 0.25, 0.5, 0.75, 1]
_CONFIDENCE, _RIGHT = "confidence of the pick", "picks right"


def calibration_figure(results: Results, theme: Theme, *, narrow: bool = False) -> Drawing | None:
    """Accuracy over confidence of the shown selector's picks by tenths; None where no pick was graded.

    On the diagonal, confidence is the chance of being right. Of more than MAX_ARMS arms, evenly spaced ones are drawn.
    """
    graded = {found.arm_id for found in results.bins}
    drawn = spread([arm.arm_id for arm in results.arms if arm.arm_id in graded])
    if not drawn:
        return None
    names = {arm_id: clipped(name, NAME_CHARACTERS) for arm_id, name in arm_names(results.arms).items()}
    rows = [_row(found, names[found.arm_id]) for found in results.bins if found.arm_id in drawn]
    rows += [{"arm": names[arm_id], "diagonal": True, "confidence": k, "right": k} for arm_id in drawn for k in (0, 1)]
    columns = min(2 if narrow else 4, len(drawn))
    width = min((WIDTHS[narrow] - 60) // columns - 22, 300)
    layers = alt.LayerChart(data=alt.InlineData(values=rows), layer=_layers(theme), width=width, height=min(width, 240))
    order = [names[arm_id] for arm_id in drawn]
    chart = layers.facet(facet=alt.Facet("arm:N", title=None, sort=order), columns=columns, spacing=22)
    bands = f"picks by tenths of confidence, 95% Wilson bands; hollow: fewer than {FEW} picks"
    omitted = len(graded) - len(drawn)
    title = calibration_headline(results)
    return finished(chart, results, title, theme, narrow=narrow, omitted=omitted, bands=bands)


def _row(found: ConfidenceBin, name: str) -> Row:
    return {
        "arm": name,
        "diagonal": False,
        "confidence": found.confidence,
        "right": found.accuracy,
        "low": found.accuracy_low,
        "high": found.accuracy_high,
        "picks": found.selections,
        "few": found.selections < FEW,
        "said": f"{name}: {found.selections} {'pick' if found.selections == 1 else 'picks'} at "
        f"{percent(found.confidence)} confidence, {percent(found.accuracy)} right "
        f"({band(found.accuracy_low, found.accuracy_high)})",
    }


def _layers(theme: Theme) -> list[alt.Chart]:
    """The diagonal; bars; points, larger for more picks."""
    x = alt.X("confidence:Q", **_share_axis(_CONFIDENCE))
    y, low = (alt.Y(f"{field}:Q", **_share_axis(_RIGHT)) for field in ("right", "low"))
    size = alt.Size("picks:Q", scale=alt.Scale(type="sqrt", range=[25, 220], domainMin=1), legend=None)
    hue, said = theme.series[0], {"description": "said:N", "tooltip": "said:N"}
    bins = alt.Chart().transform_filter("!datum.diagonal")
    marks = [
        bins.transform_filter(f"{'' if few else '!'}datum.few")
        .mark_point(color=hue, opacity=1, fill=theme.page if few else hue, strokeWidth=1.6)
        .encode(x=x, y=y, size=size, **said)
        for few in (True, False)
    ]
    return [
        alt.Chart()
        .transform_filter("datum.diagonal")
        .mark_line(color=theme.bound, strokeDash=[4, 4], strokeWidth=1.3)
        .encode(x=x, y=y),
        bins.mark_rule(color=hue, strokeWidth=2, opacity=0.5).encode(x=x, y=low, y2="high:Q"),
        *marks,
    ]


def _share_axis(title: str) -> dict[str, Any]:
    scale = alt.Scale(domain=[-0.03, 1.03], nice=False)
    return {"title": title, "scale": scale, "axis": alt.Axis(format=".0%", values=_SHARES)}
