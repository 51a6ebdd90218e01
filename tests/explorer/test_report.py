"""The report: its numbers are the archive's, and whatever a model wrote stays text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from polythink.errors import UnknownJobError
from polythink.explorer import labels
from polythink.explorer.data import read_results
from polythink.explorer.figures import write_figures
from polythink.explorer.report import render, write_report
from polythink.records import SampleKey
from polythink.storage.archive import Archive

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "</style></pre></details><iframe src='https://evil.example/'>",
    "<b unclosed",
    "{{ 7 * 7 }}{% raw %}",
    "nul \x00 and \x1b[31m",
    "right \u202eto left\u2066",
    '" onmouseover="alert(1)',
    "&lt;script&gt;",
    "a" * 50_000,
)
LOADING = {"src", "href", "srcset", "data", "action", "poster", "background", "formaction", "xlink:href"}


class Page(HTMLParser):
    """Everything a test asks of a page: its elements, its text, its tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._table: str | None = None
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "table":
            self._table = dict(attrs).get("id")
        if self._table and tag == "tr":
            self.tables.setdefault(self._table, []).append([])
        if self._table and tag in ("td", "th"):
            self.tables[self._table][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._table = None

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._table and self.tables.get(self._table) and self.tables[self._table][-1]:
            self.tables[self._table][-1][-1] += data

    def count(self, tag: str) -> int:
        return sum(1 for name, _ in self.elements if name == tag)


@pytest.fixture
def hostile_archive(archive: Archive, build: Any) -> Archive:
    problems = [build.problem(f"p{n} {text[:60]}", "42", n, text) for n, text in enumerate(HOSTILE)]
    arms = [build.arm(f"a{n} {text[:60]}", 1024 * (n + 1), n, model=text[:60]) for n, text in enumerate(HOSTILE[:3])]
    samples = [
        build.sample(
            SampleKey(problem_id=p.problem_id, arm_id=a.arm_id, sample_index=index),
            "42" if index else text,
            "42",
            thinking=text,
            text=text,
            thinking_tokens=500 * (a.ordinal + 1),
        )
        for p, text in zip(problems, HOSTILE, strict=True)
        for a in arms
        for index in range(2)
    ]
    build.write_job(archive, "hostile-1", problems, arms, samples, per_problem=2)
    return archive


def test_arms_table_shows_the_numbers_of_the_archive(graded_archive: Callable[..., Archive]) -> None:
    archive = graded_archive()
    page = Page(render(read_results(archive, "sums-1")))
    expected = archive.sql(
        """
        SELECT avg(correct::INT) AS one, avg(thinking_tokens) AS thinking, avg(output_tokens) AS output,
            sum(cost_usd) AS cost, sum(cost_usd) / count_if(correct) AS per_right,
            any_value(m.accuracy) AS majority, any_value(b.accuracy) AS bound
        FROM (SELECT * REPLACE (coalesce(correct, false) AS correct) FROM traces) t JOIN arms a USING (job_id, arm_id)
        JOIN curves m ON m.arm_id = t.arm_id AND m.selector = 'majority' AND m.n = 4
        JOIN curves b ON b.arm_id = t.arm_id AND b.selector = 'pass' AND b.n = 4
        GROUP BY t.arm_id, a.ordinal ORDER BY a.ordinal
        """
    ).to_pylist()
    rows = page.tables["arms"][1:]
    assert len(rows) == len(expected) == 3
    for row, truth in zip(rows, expected, strict=True):
        _, one, majority, bound, thinking, output, cost, per_right = (cell.split()[0] for cell in row)
        assert one == labels.percent(truth["one"])
        assert majority == labels.percent(truth["majority"])
        assert bound == labels.percent(truth["bound"])
        assert (thinking, output) == (labels.tokens(truth["thinking"]), labels.tokens(truth["output"]))
        assert (cost, per_right) == (labels.dollars(truth["cost"]), labels.dollars(truth["per_right"]))


def test_outcomes_are_counted_and_none_is_dropped(graded_archive: Callable[..., Archive]) -> None:
    archive = graded_archive()
    rows = Page(render(read_results(archive, "sums-1"))).tables["outcomes"]
    truth = archive.sql("SELECT arm_id, outcome, count(*)::INT AS n FROM traces GROUP BY ALL").to_pylist()
    for arm_id, row in zip(("haiku.none", "haiku.1024", "haiku.4096"), rows[1:], strict=True):
        counted = {name.replace(" ", "_"): int(n) for name, n in zip(rows[0][1:-1], row[1:-1], strict=True) if n != "0"}
        assert counted == {t["outcome"]: t["n"] for t in truth if t["arm_id"] == arm_id}
        assert int(row[-1]) == sum(counted.values()) == 32


def test_every_figure_is_drawn_for_light_and_dark_and_wide_and_narrow(graded_archive: Callable[..., Archive]) -> None:
    page = Page(render(read_results(graded_archive(), "sums-1")))
    assert [attrs["id"] for tag, attrs in page.elements if tag == "figure"] == [
        "accuracy-over-thinking",
        "accuracy-over-samples",
        "accuracy-over-dollars",
        "accuracy-over-confidence",
    ]
    assert page.count("svg") == 16


def test_each_problem_has_a_line_with_a_mark_per_arm(graded_archive: Callable[..., Archive]) -> None:
    archive = graded_archive()
    page = Page(render(read_results(archive, "sums-1")))
    right = archive.sql("SELECT count_if(correct)::INT AS n FROM selections WHERE selector = 'majority'").to_pylist()
    chips = [attrs["class"] or "" for tag, attrs in page.elements if "chip " in (attrs.get("class") or "")]
    assert page.count("details") == 8
    assert len(chips) == 8 * 3
    assert sum("right" in chip for chip in chips) == right[0]["n"]


def test_confidence_and_gaps_are_the_numbers_of_the_archive(graded_archive: Callable[..., Archive]) -> None:
    archive = graded_archive()
    page = Page(render(read_results(archive, "sums-1")))
    picks = archive.sql(
        "SELECT arm_id, avg(confidence) AS confidence, avg(correct::INT) AS right, count(*)::INT AS n "
        "FROM selections WHERE selector = 'majority' AND correct IS NOT NULL GROUP BY arm_id ORDER BY arm_id"
    ).to_pylist()
    shown = page.tables["calibration"][1:]
    assert sorted(row[1:4] for row in shown) == sorted(
        [f"{p['n']}", labels.percent(p["confidence"]), labels.percent(p["right"])] for p in picks
    )
    best = read_results(archive, "sums-1").gaps
    assert [row[0] for row in page.tables["gaps"][1:]] == [gap.problem_id for gap in best]
    worst = archive.sql("SELECT max(gap) AS gap FROM coverage WHERE n = 4 AND arm_id = 'haiku.4096'").to_pylist()
    assert best[0].gap == worst[0]["gap"] > 0


@pytest.mark.parametrize("mind", ["synthetic", "<b>other</b>"])
def test_simulated_traces_are_said_on_the_face(graded_archive: Callable[..., Archive], mind: str) -> None:
    html = render(read_results(graded_archive(mind), "sums-1"))
    banners = re.findall(r'<p class="banner"[^>]*>(.*?)</p>', html)
    assert len(banners) == 1
    assert banners[0].startswith("Simulated: ")
    assert len(re.findall(r"<tspan[^>]*>Simulated: ", html)) == 16, "every figure says so too"


def test_real_traces_carry_no_banner(graded_archive: Callable[..., Archive]) -> None:
    html = render(read_results(graded_archive(None), "sums-1"))
    assert 'class="banner"' not in html
    assert "Simulated" not in html


def test_hostile_text_is_inert(hostile_archive: Archive) -> None:
    html = render(read_results(hostile_archive, "hostile-1"))
    page = Page(html)
    assert page.count("script") == 1, "the report's own"
    assert page.count("iframe") == page.count("img") == page.count("object") == 0
    assert not [attrs for _, attrs in page.elements if any(name.startswith("on") for name in attrs)]
    assert page.count("html") == page.count("body") == page.count("style") == 1
    assert page.count("details") == len(HOSTILE)
    assert "{{ 7 * 7 }}" in page.text
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]", html)
    assert "[U+202E]" in page.text and "[U+0000]" in page.text


def test_long_texts_are_cut_and_say_so(hostile_archive: Archive) -> None:
    html = render(read_results(hostile_archive, "hostile-1"))
    assert len(html) < 3_000_000
    assert "a" * 5_000 not in html
    assert "[... 47400 characters left out ...]" in html


def test_nothing_is_loaded_from_anywhere(hostile_archive: Archive, tmp_path: Path) -> None:
    pages = [write_report(hostile_archive, "hostile-1", tmp_path / "deep" / "report.html")]
    pages += [p for p in write_figures(hostile_archive, "hostile-1", tmp_path / "figures") if p.suffix != ".png"]
    assert len(pages) == 9
    for path in pages:
        html = path.read_text(encoding="utf-8")
        elements = Page(re.sub(r"(?s)<script>.*?</script>", "<script></script>", html)).elements
        loaded = [value for _, attrs in elements for name, value in attrs.items() if name in LOADING]
        assert [value for value in loaded if value and not value.startswith("#")] == []
        assert not re.search(r"(?:@import|url\()\s*['\"]?(?:https?:)?//", html)


def test_scripts_other_than_the_reports_own_may_not_run(graded_archive: Callable[..., Archive]) -> None:
    page = Page(render(read_results(graded_archive(), "sums-1")))
    policies = [attrs["content"] or "" for tag, attrs in page.elements if tag == "meta" and "http-equiv" in attrs]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0]
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}'$", policies[0])


def test_an_unfinished_job_says_so(graded_archive: Callable[..., Archive]) -> None:
    archive = graded_archive()
    state = archive.state("sums-1")
    assert state is not None
    archive.write_state(replace(state, status="stopped", reason="the cap is reached", total=500))
    html = render(read_results(archive, "sums-1"))
    assert "Incomplete: 96 of 500 samples finished; the job is stopped (the cap is reached)" in html


def test_a_job_without_reference_answers_still_has_a_report(archive: Archive, build: Any) -> None:
    problems, arms = [build.problem("p", None, 0)], [build.arm("a", None, 0)]
    keys = [SampleKey(problem_id="p", arm_id="a", sample_index=n) for n in range(3)]
    samples = [build.sample(key, "7", None, cost_usd=None) for key in keys]
    build.write_job(archive, "open-1", problems, arms, samples, per_problem=3, cap_usd=None)
    page = Page(render(read_results(archive, "open")))
    assert page.count("svg") == 0
    assert "No figures: no sample was graded" in page.text
    assert page.tables["arms"][1][1:] and "7" in page.text


def test_an_unknown_job_is_refused(graded_archive: Callable[..., Archive], tmp_path: Path) -> None:
    with pytest.raises(UnknownJobError, match="nonesuch"):
        write_report(graded_archive(), "nonesuch", tmp_path / "report.html")
