"""The figures as files: SVG, PNG and a page that can be pointed at. All drawn offline, nothing is fetched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vl_convert

from polythink.explorer.axes import Drawing
from polythink.explorer.calibration_figure import calibration_figure
from polythink.explorer.data import read_results
from polythink.explorer.frontier_figure import frontier_figure
from polythink.explorer.results import Results
from polythink.explorer.samples_figure import samples_figure
from polythink.explorer.theme import PRINT, Theme
from polythink.explorer.thinking_figure import thinking_figure
from polythink.storage.archive import Archive

PNG_SCALE = 2.0  # pixels of the image per pixel of the figure

Figure = Callable[..., Drawing | None]
FIGURES: dict[str, Figure] = {
    "accuracy-over-thinking": thinking_figure,
    "accuracy-over-samples": samples_figure,
    "accuracy-over-dollars": frontier_figure,
    "accuracy-over-confidence": calibration_figure,
}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{name}</title></head>
<body style="margin: 2rem; background: #fff"><div id="figure"></div>
<script>{library}</script>
<script>vegaEmbed("#figure", {spec}, {{actions: false, renderer: "svg"}});</script>
</body>
</html>
"""


def write_figures(archive: Archive, job_id: str, folder: str | Path) -> list[Path]:
    """Write each figure as .svg, .png and .html; those with nothing to show are left out.

    Raises UnknownJobError.
    """
    results = read_results(archive, job_id)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in FIGURES.items():
        drawing = figure(results, PRINT)
        if drawing is not None:
            written += [write_figure(drawing, target / f"{name}{suffix}") for suffix in FORMATS]
    return written


def write_figure(drawing: Drawing, path: Path) -> Path:
    """Write a figure in the format that the path's suffix names, one of FORMATS. Raises KeyError for another."""
    content = FORMATS[path.suffix](path.stem, drawing.to_dict())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _page(name: str, spec: dict[str, Any]) -> str:
    """A page with the drawing library inside. A text in the figure cannot end the script it stands in."""
    data = json.dumps(spec).replace("<", "\\u003c")
    library = vl_convert.javascript_bundle(snippet=None)  # type: ignore[arg-type]  # None is what it takes by default
    return _PAGE.format(name=name, library=library, spec=data)


FORMATS: dict[str, Callable[[str, dict[str, Any]], bytes]] = {  # by suffix, from a name and a Vega-Lite drawing
    ".svg": lambda name, spec: vl_convert.vegalite_to_svg(spec).encode(),
    ".png": lambda name, spec: vl_convert.vegalite_to_png(spec, scale=PNG_SCALE),
    ".html": lambda name, spec: _page(name, spec).encode(),
}


def svg_of(figure: Figure, results: Results, theme: Theme, *, narrow: bool) -> str | None:
    """The figure as an SVG element; None if it has nothing to show."""
    drawing = figure(results, theme, narrow=narrow)
    return None if drawing is None else vl_convert.vegalite_to_svg(drawing.to_dict())
