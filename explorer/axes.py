"""What the figures share: axes, colours, title and note."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import altair as alt

from polythink.explorer.headlines import models
from polythink.explorer.labels import NAME_CHARACTERS, clean, clipped, model_name, simulated_note
from polythink.explorer.results import Results
from polythink.explorer.theme import Theme, config

Row = dict[str, Any]
WIDTHS = {False: 860, True: 340}  # pixels, by whether the page is narrow
Drawing = alt.HConcatChart | alt.FacetChart
MAX_ARMS = 12  # drawn

_SHORT = (
    "datum.value >= 1e6 ? datum.value / 1e6 + 'M' : datum.value >= 1e3 ? round(datum.value / 1e3) + 'k' : datum.value"
)


def accuracy_axis(field: str, domain: list[float], title: str, *, labelled: bool = True) -> alt.Y:
    """Accuracy in percent. Every layer says the same title, or Vega-Lite would join them."""
    step = 0.1 if domain[1] - domain[0] <= 0.6 else 0.2
    ticks = [share for k in range(11) if domain[0] <= (share := round(k * step, 1)) <= min(domain[1], 1)]
    axis = alt.Axis(format=".0%", values=ticks, labels=labelled)
    scale = alt.Scale(domain=domain, nice=False)
    return alt.Y(f"{field}:Q", title=title if labelled else None, scale=scale, axis=axis)


def domain_of(rows: list[Row]) -> list[float]:
    """From the tenth below the lowest band to the tenth above the highest; whole points fit in at 0 and 1."""
    low, high = min(row["low"] for row in rows), max(row["high"] for row in rows)
    return [max(-0.03, math.floor(low * 10) / 10), min(1.03, math.ceil(high * 10 + 0.01) / 10)]


def token_axis(field: str, low: float, high: float) -> alt.X:
    """Tokens on a logarithmic axis, with powers of two times 1,000 as ticks."""
    ticks = [1000 * 2**k for k in range(-10, 12) if low <= 1000 * 2**k <= high]
    return alt.X(
        f"{field}:Q",
        title="mean thinking tokens per sample (log scale)",
        scale=alt.Scale(type="log", base=2, domain=[low, high], nice=False),
        axis=alt.Axis(values=ticks, labelExpr=_SHORT),
    )


def colour(field: str, names: list[str], colours: Sequence[str], *, legend: bool, narrow: bool) -> alt.Color:
    """A colour for each name, in order; a legend on top if asked for."""
    scale = alt.Scale(domain=names, range=[colours[k % len(colours)] for k in range(len(names))])
    shown = alt.Legend(title=None, orient="top", columns=1 if narrow else len(names), symbolOpacity=1)
    return alt.Color(f"{field}:N", scale=scale, legend=shown if legend else None)


def shown_model(model: str) -> str:
    return clipped(model_name(model), NAME_CHARACTERS)


def dollar_axis(field: str, low: float, high: float, title: str) -> alt.X:
    """Dollars on a logarithmic axis, with 1, 2 and 5 times powers of ten as ticks; fewer where they would be many."""
    steps = (1, 2, 5) if high / low < 500 else (1,)
    ticks = [tick for k in range(-9, 6) for step in steps if low <= (tick := step * 10.0**k) <= high]
    return alt.X(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=ticks, format="$~r", labelOverlap="greedy"),
    )


def spread(arm_ids: list[str]) -> list[str]:
    """At most MAX_ARMS of them, evenly spaced, in order."""
    if len(arm_ids) <= MAX_ARMS:
        return arm_ids
    return [arm_ids[round(k * (len(arm_ids) - 1) / (MAX_ARMS - 1))] for k in range(MAX_ARMS)]


def bands_over(results: Results) -> str:
    """What the bands of a job are drawn over."""
    job = results.job
    over = "problems" if job.families == job.problems else f"{job.families:,} families of problems"
    return f"95% bands over {over}"


def finished(
    chart: Drawing,
    results: Results,
    title: str,
    theme: Theme,
    *,
    narrow: bool,
    omitted: int = 0,
    bands: str | None = None,
) -> Drawing:
    """Title, what it is drawn from, and whether it was simulated, on the figure's face.

    `bands` says what the bands are, where they are not the usual ones.
    """
    per_line, per_title = (58, 40) if narrow else (140, 96)
    names = ", ".join(shown_model(model) for model in models(results))
    facts = (
        f"{names}; {results.job.problems:,} problems, {results.job.traces:,} samples; {bands or bands_over(results)}"
    )
    if omitted:
        facts += f"; {omitted} further arms not drawn"
    note = simulated_note(results.minds, results.job.traces)
    subtitle = [*wrap(clean(facts), per_line), *wrap(note or "", per_line)]
    headed: Drawing = chart.properties(title=alt.TitleParams(wrap(clean(title), per_title), subtitle=subtitle))
    configured: Drawing = headed.configure(**config(theme, narrow=narrow))
    return configured
