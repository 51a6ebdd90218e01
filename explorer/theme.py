"""Colours and type of the figures, for light and dark pages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

FONT = "Helvetica Neue, Helvetica, Arial, sans-serif"


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """A figure's colours. Those of the series differ for every common kind of colour vision (Okabe and Ito, 2008)."""

    name: str
    page: str  # what the figure lies on
    opaque: bool  # whether it brings that along
    ink: str
    faint: str  # secondary text
    grid: str
    series: tuple[str, ...]
    bound: str  # of pass@N, which no selector can pass


LIGHT = Theme(
    name="light",
    page="#ffffff",
    opaque=False,
    ink="#1c2430",
    faint="#5a6675",
    grid="#e3e7ec",
    series=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9"),
    bound="#7b8794",
)
DARK = Theme(
    name="dark",
    page="#12161c",
    opaque=False,
    ink="#e8ecf1",
    faint="#a3adba",
    grid="#2d3642",
    series=("#56B4E9", "#F2914A", "#2FC79B", "#E3A0C4", "#F0C05A", "#8AB4FF"),
    bound="#8b97a5",
)
PRINT = replace(LIGHT, name="print", opaque=True)


def config(theme: Theme, *, narrow: bool) -> dict[str, Any]:
    """The Vega-Lite configuration of a figure in this theme."""
    size = 11 if narrow else 12
    text = {"labelColor": theme.faint, "titleColor": theme.faint, "labelFontSize": size, "titleFontSize": size}
    return {
        "background": theme.page if theme.opaque else "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            **text,
            "titleFontWeight": "normal",
            "gridColor": theme.grid,
            "domain": False,
            "ticks": False,
            "labelPadding": 6,
            "titlePadding": 10,
        },
        "legend": {
            **text,
            "labelColor": theme.ink,
            "titleFontWeight": "normal",
            "symbolStrokeWidth": 2.5,
            "symbolSize": 90,
        },
        "header": {"labelColor": theme.ink, "labelFontSize": size + 1, "labelFontWeight": "bold", "labelPadding": 4},
        "title": {
            "anchor": "start",
            "color": theme.ink,
            "fontSize": 14 if narrow else 17,
            "subtitleColor": theme.faint,
            "subtitleFontSize": size,
            "subtitlePadding": 5,
            "offset": 14,
        },
    }
