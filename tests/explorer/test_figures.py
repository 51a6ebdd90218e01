"""The figures: what stands in them, and where labels go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

from polythink.explorer.axes import MAX_ARMS
from polythink.explorer.calibration_figure import FEW, calibration_figure
from polythink.explorer.data import read_results
from polythink.explorer.figures import svg_of, write_figures
from polythink.explorer.frontier_figure import frontier_figure
from polythink.explorer.headlines import frontier_headline, samples_headline, thinking_headline
from polythink.explorer.labels import band, dollars, percent
from polythink.explorer.placing import Box, place_below
from polythink.explorer.replay_figure import replay_figure
from polythink.explorer.samples_figure import samples_figure
from polythink.explorer.theme import DARK, LIGHT
from polythink.explorer.thinking_figure import thinking_figure
from polythink.records import SampleKey
from polythink.selectors.poll import load_poll
from polythink.selectors.replay import replay
from polythink.storage.archive import Archive

boxes = st.builds(Box, st.integers(0, 200), st.integers(0, 200), st.integers(1, 80), st.integers(1, 20))


def _said(svg: str) -> list[str]:
    return [node.attrib["aria-label"] for node in ElementTree.fromstring(svg).iter() if "aria-label" in node.attrib]


def test_each_figure_is_written_as_svg_png_and_page(graded_archive: Callable[..., Archive], tmp_path: Path) -> None:
    paths = write_figures(graded_archive(), "sums-1", tmp_path / "figures")
    assert [path.name for path in paths] == [
        f"accuracy-over-{over}.{kind}"
        for over in ("thinking", "samples", "dollars", "confidence")
        for kind in ("svg", "png", "html")
    ]
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    assert all(path.stat().st_size > 1_000 for path in paths)


def test_each_arm_is_a_point_with_its_accuracy_and_band(graded_archive: Callable[..., Archive]) -> None:
    results = read_results(graded_archive(), "sums-1")
    svg = svg_of(thinking_figure, results, LIGHT, narrow=False)
    assert svg is not None
    said = _said(svg)
    for point in results.thinking:
        assert any(f"{percent(point.accuracy)} right ({band(point.low, point.high)})" in text for text in said)
    assert "budget 4,096" in svg and "no thinking" in svg


def test_an_arm_told_not_to_think_stands_at_zero_though_no_server_measured_it(archive: Archive, build: Any) -> None:
    problems, arms = [build.problem("p", "1", 0)], [build.arm("rest", None, 0), build.arm("think", 1024, 1)]
    keys = [SampleKey(problem_id="p", arm_id=arm.arm_id, sample_index=0) for arm in arms]
    samples = [build.sample(key, "1", "1", thinking_tokens=t) for key, t in zip(keys, (None, 900), strict=True)]
    build.write_job(archive, "z-1", problems, arms, samples, per_problem=1)
    assert [(point.arm_id, point.mean_tokens) for point in read_results(archive, "z-1").thinking] == [
        ("rest", 0.0),
        ("think", 900.0),
    ]


def test_each_curve_point_is_drawn(graded_archive: Callable[..., Archive]) -> None:
    results = read_results(graded_archive(), "sums-1")
    svg = svg_of(samples_figure, results, DARK, narrow=True)
    assert svg is not None
    said = _said(svg)
    assert sum(" over 8 problems" in text for text in said) == len(results.curves) == 3 * 3 * 3
    assert all(name in svg for name in ("pass@N", "majority@N", "first answer"))


def test_many_arms_are_thinned_out_evenly_and_it_says_so(graded_archive: Callable[..., Archive]) -> None:
    results = read_results(graded_archive(budgets=tuple(1024 + 64 * n for n in range(15))), "sums-1")
    svg = svg_of(samples_figure, results, LIGHT, narrow=False)
    assert svg is not None
    drawn = [arm for arm in results.arms if f">budget {arm.budget_tokens:,}<" in svg]
    assert len(drawn) == MAX_ARMS
    assert (drawn[0], drawn[-1]) == (results.arms[0], results.arms[-1])
    assert f"{15 - MAX_ARMS} further arms not drawn" in svg


@pytest.mark.parametrize("budgets", [(None,), (2048,), (2048, 2048 + 1)])
def test_few_arms_are_drawn_too(graded_archive: Callable[..., Archive], budgets: tuple[int | None, ...]) -> None:
    results = read_results(graded_archive(budgets=budgets), "sums-1")
    for figure in (thinking_figure, samples_figure):
        assert svg_of(figure, results, LIGHT, narrow=False)


def test_without_curves_there_is_no_figure_over_samples(
    archive: Archive, graded_archive: Callable[..., Archive]
) -> None:
    graded_archive()
    for part in archive.parts("curves"):
        archive.forget_part(part)
    assert samples_figure(read_results(archive, "sums-1"), LIGHT) is None


def test_headlines_say_what_the_numbers_say(graded_archive: Callable[..., Archive]) -> None:
    results = read_results(graded_archive(), "sums-1")
    ends = {arm.arm_id: results.at_full_n(arm.arm_id, "majority") for arm in results.arms}
    best = max(end.accuracy for end in ends.values() if end)
    assert f"majority of 4 gets {percent(best)} right" in samples_headline(results)
    first, last = results.thinking[1], results.thinking[2]
    assert last.accuracy > first.accuracy
    assert thinking_headline(results).startswith("Each doubling of thinking adds ")


def test_families_are_said_on_the_face(archive: Archive, build: Any) -> None:
    problems = [replace(build.problem(f"p{n}", "1", n), family=f"f{n // 2}") for n in range(4)]
    arms = [build.arm("a", 1024, 0)]
    keys = [SampleKey(problem_id=p.problem_id, arm_id="a", sample_index=n) for p in problems for n in range(2)]
    samples = [build.sample(key, "1", "1", thinking_tokens=900) for key in keys]
    build.write_job(archive, "f-1", problems, arms, samples, per_problem=2)
    results = read_results(archive, "f-1")
    for figure in (thinking_figure, samples_figure, frontier_figure):
        svg = svg_of(figure, results, LIGHT, narrow=False)
        assert svg is not None and "95% bands over 2 families of problems" in svg


def test_the_line_over_thinking_has_a_band(graded_archive: Callable[..., Archive]) -> None:
    results = read_results(graded_archive(), "sums-1")
    (line,) = results.lines
    assert [line.tokens[0], line.tokens[-1]] == pytest.approx([p.mean_tokens for p in results.thinking[1:]])
    assert all(low < line.at(at) < high for at, low, high in zip(line.tokens, line.low, line.high, strict=True))
    svg = svg_of(thinking_figure, results, LIGHT, narrow=False)
    assert svg is not None and svg.count("mark-area") == 1


def test_every_point_has_its_price_and_the_efficient_ones_say_so(graded_archive: Callable[..., Archive]) -> None:
    results = read_results(graded_archive(), "sums-1")
    svg = svg_of(frontier_figure, results, DARK, narrow=True)
    assert svg is not None
    said = [text for text in _said(svg) if " for $" in text]
    places = {(p.arm_id, p.n, round(p.accuracy, 9), p.is_efficient) for p in results.frontier}
    assert len(said) == len(places) < len(results.frontier), "of one sample, both selectors are one point"
    assert sum(text.endswith(", efficient") for text in said) == sum(efficient for *_, efficient in places)
    for point in results.frontier:
        assert any(f"for {dollars(point.usd_per_problem)} a problem" in text for text in said)
    best = max(results.frontier, key=lambda p: p.accuracy)
    assert frontier_headline(results).startswith(f"{percent(best.accuracy)} right costs $")


def test_few_picks_are_drawn_hollow(graded_archive: Callable[..., Archive]) -> None:
    results = read_results(graded_archive(), "sums-1")
    svg = svg_of(calibration_figure, results, LIGHT, narrow=False)
    assert svg is not None
    said = [text for text in _said(svg) if "% confidence, " in text]
    assert len(said) == len(results.bins) and all(found.selections < FEW for found in results.bins)
    assert "hollow: fewer than 10 picks" in svg


def test_without_prices_or_grades_there_is_no_such_figure(archive: Archive, build: Any) -> None:
    problems, arms = [build.problem("p", None, 0)], [build.arm("a", None, 0)]
    sample = build.sample(SampleKey(problem_id="p", arm_id="a", sample_index=0), "7", None, cost_usd=None)
    build.write_job(archive, "open-1", problems, arms, [sample], per_problem=1)
    results = read_results(archive, "open-1")
    assert frontier_figure(results, LIGHT) is None and calibration_figure(results, LIGHT) is None


@pytest.mark.parametrize("narrow", [False, True])
def test_each_rule_is_a_point_with_its_error(graded_archive: Callable[..., Archive], narrow: bool) -> None:
    archive = graded_archive()
    panels = load_poll(archive, "sums-1", "string").panels
    found = {arm_id: replay(panel) for arm_id, panel in panels.items()}
    drawing = replay_figure(found, read_results(archive, "sums-1"), LIGHT, narrow=narrow)
    assert drawing is not None
    said = [text for text in _said(vl_convert.vegalite_to_svg(drawing.to_dict())) if " samples, " in text]
    for each in (row for rows in found.values() for row in rows):
        assert any(f"{each.samples:.1f} of 4 samples, {100 * each.difference:+.2f} ± " in text for text in said)
    assert len(said) == sum(map(len, found.values()))
    assert replay_figure({}, read_results(archive, "sums-1"), LIGHT) is None


@given(st.lists(boxes, max_size=12))
def test_placed_labels_never_overlap_and_only_move_down(wanted: list[Box]) -> None:
    placed = place_below(wanted)
    assert not [(a, b) for i, a in enumerate(placed) for b in placed[:i] if a.overlaps(b)]
    assert all(p.left == w.left and p.top >= w.top for p, w in zip(placed, wanted, strict=True))


def test_where_what_is_free_is_as_good_as_all_that_costs_nothing_is_joined(
    graded_archive: Callable[..., Archive],
) -> None:
    results = read_results(graded_archive(), "sums-1")
    assert results.frontier
    free_is_best = replace(results, frontier=tuple(replace(p, is_efficient=False) for p in results.frontier))
    assert frontier_figure(free_is_best, LIGHT) is None
