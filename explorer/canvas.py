"""Small charts made of letters. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

Labels = Sequence[tuple[float, str]]  # place on the axis, what to write there

_EMPTY = ("", " ")  # style, letter


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point of a chart."""

    x: float
    y: float
    letter: str
    style: str
    name: str = ""  # written to its right where there is room


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The area of a chart in letters, and what its edges stand for."""

    columns: int
    rows: int
    left: float
    right: float
    bottom: float
    top: float

    def column(self, x: float) -> int:
        return round((x - self.left) / ((self.right - self.left) or 1) * (self.columns - 1))

    def row(self, y: float) -> int:
        """From 0 at the top."""
        return round((self.top - y) / ((self.top - self.bottom) or 1) * (self.rows - 1))


def draw(frame: Frame, marks: Sequence[Mark], y_labels: Labels, x_labels: Labels) -> Text:
    """The chart with labels to the left and below. Later marks cover earlier ones; a name covers nothing."""
    grid = [[_EMPTY] * frame.columns for _ in range(frame.rows)]
    for mark in marks:
        grid[frame.row(mark.y)][frame.column(mark.x)] = (mark.style, mark.letter)
    for mark in marks:
        _write_name(grid[frame.row(mark.y)], frame.column(mark.x) + 2, mark)
    margin = max((len(label) for _, label in y_labels), default=0)
    by_row = {frame.row(y): label for y, label in y_labels}
    chart = Text(no_wrap=True)
    for number, cells in enumerate(grid):
        chart.append(f"{by_row.get(number, ''):>{margin}} {'┤' if number in by_row else '│'}", "dim")
        for style, letter in cells:
            chart.append(letter, style)
        chart.append("\n")
    chart.append(f"{'':{margin}} └{'─' * frame.columns}\n", "dim")
    return chart.append(f"{'':{margin}}  {_label_line(frame, x_labels)}", "dim")


def _write_name(cells: list[tuple[str, str]], start: int, mark: Mark) -> None:
    end = start + len(mark.name)
    if mark.name and end <= len(cells) and all(cell == _EMPTY for cell in cells[start - 1 : end]):
        cells[start:end] = [("", letter) for letter in mark.name]


def _label_line(frame: Frame, labels: Sequence[tuple[float, str]]) -> str:
    """Labels centred under their columns; one that would touch the one before it is left out."""
    line = ""
    for x, label in labels:
        start = max(0, min(frame.column(x) - len(label) // 2, frame.columns - len(label)))
        if not line or start > len(line):
            line = f"{line:<{start}}{label}"
    return line
