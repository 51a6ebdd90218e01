"""What the terminal shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from polythink.explorer.canvas import Frame, Mark, draw
from polythink.explorer.data import read_results
from polythink.explorer.labels import percent
from polythink.explorer.terminal import ANSWERS_SHOWN, summary
from polythink.records import SampleKey
from polythink.storage.archive import Archive


def _printed(archive: Archive, job: str, width: int = 80) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(summary(read_results(archive, job)))
    return captured.get()


@pytest.mark.parametrize("mind", [None, "synthetic"])
def test_summary_shows_every_arm_both_figures_and_the_answers(
    graded_archive: Callable[..., Archive], mind: str | None
) -> None:
    archive = graded_archive(mind)
    results, printed = read_results(archive, "sums-1"), _printed(archive, "sums-1")
    for arm in results.arms:
        end = results.at_full_n(arm.arm_id, "majority")
        assert end is not None
        assert percent(end.accuracy) in printed
    assert "majority@4" in printed and "pass@4" in printed
    assert "thinking tokens per sample" in printed and "samples per problem" in printed
    assert all(problem.problem_id in printed for problem in results.problems[:ANSWERS_SHOWN])
    assert ("Simulated: " in printed) == (mind is not None)


def test_summary_fits_eighty_columns(graded_archive: Callable[..., Archive]) -> None:
    assert max(map(len, _printed(graded_archive(), "sums-1", width=200).splitlines())) <= 80


def test_markup_and_control_characters_of_a_model_are_shown_as_text(archive: Archive, build: Any) -> None:
    problems = [build.problem("[bold]p[/bold]", "[red]7[/red]", 0)]
    arms = [build.arm("a", 1024, 0)]
    key = SampleKey(problem_id="[bold]p[/bold]", arm_id="a", sample_index=0)
    answer = "[red]7[/red]\x1b[2J"
    build.write_job(archive, "m-1", problems, arms, [build.sample(key, answer, None)], per_problem=1)
    printed = _printed(archive, "m-1")
    assert "[bold]p[/bold]" in printed and "[red]7[/red][U+001B][2J" in printed
    assert "\x1b" not in printed


def test_a_job_without_traces_has_a_summary(archive: Archive, build: Any) -> None:
    build.write_job(archive, "e-1", [build.problem("p", "1", 0)], [build.arm("a", 1024, 0)], [], per_problem=1)
    assert "budget 1,024" in _printed(archive, "e-1")


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1)), min_size=1, max_size=20))
def test_a_chart_keeps_its_shape_and_shows_its_last_mark(points: list[tuple[float, float]]) -> None:
    frame = Frame(columns=40, rows=8, left=0, right=10, bottom=0, top=1)
    marks = [Mark(x=x, y=y, letter="o", style="") for x, y in points[:-1]]
    marks.append(Mark(x=points[-1][0], y=points[-1][1], letter="#", style="", name="the last"))
    lines = draw(frame, marks, [(0, "0%"), (1, "100%")], [(0, "a"), (10, "b")]).plain.splitlines()
    assert len(lines) == 8 + 2
    assert all(len(line) == 4 + 2 + 40 for line in lines[:8])
    assert lines[frame.row(points[-1][1])][6 + frame.column(points[-1][0])] == "#"
