"""Canonical forms and classes of answers."""

from __future__ import annotations

import calendar
import datetime
import random
import time
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.selectors.equivalence import canonical, class_map, is_judged
from polythink.selectors.math_judge import MathJudge
from polythink.selectors.rationals import parse_rational
from polythink.selectors.sandbox import SandboxLimits


@pytest.mark.parametrize(
    "spelling",
    [
        "1234",
        "1,234",
        "1234.0",
        "2468/2",
        r"\frac{2468}{2}",
        "$1,234$",
        r"\$1{,}234.",
        "1.234e3",
        r"1.234 \times 10^{3}",
    ],
)
@pytest.mark.parametrize("equivalence", ["number", "math"])
def test_spellings_of_a_number_meet(spelling: str, equivalence: str) -> None:
    assert canonical(spelling, equivalence) == "1234"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("50%", Fraction(1, 2)),
        (r"50\%", Fraction(1, 2)),
        ("\u22123/4", Fraction(-3, 4)),
        (r"-\tfrac12", Fraction(-1, 2)),
        (r"3\frac{1}{2}", Fraction(7, 2)),
        ("1/0", None),
        ("1e99999", None),
        ("9" * 5000, None),
        ("12 apples", None),
    ],
)
def test_rationals_are_exact_or_refused(text: str, value: Fraction | None) -> None:
    assert parse_rational(text) == value


@given(st.fractions(max_denominator=10**6))
def test_every_rational_reads_back_from_its_forms(value: Fraction) -> None:
    assert parse_rational(str(value)) == value
    assert parse_rational(f"\\frac{{{value.numerator}}}{{{value.denominator}}}") == value
    assert canonical(canonical(str(value), "number") or "", "number") == str(value)


@given(st.text(max_size=60), st.sampled_from(["string", "number", "lines"]))
def test_canonical_forms_are_their_own_form(answer: str, equivalence: str) -> None:
    form = canonical(answer, equivalence)  # type: ignore[arg-type]
    assert form is None or canonical(form, equivalence) == form  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\left( 3, \dfrac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"),
        (r"90^\circ", "90"),
        (r"5\text{ cm}^2", "5"),
        (r"\text{Evelyn}", "Evelyn."),
        (r"\sqrt3", r"$\sqrt{3}$"),
        (r"x^{2}", "x^2"),
        ("p - q", "p-q"),
    ],
)
def test_latex_that_looks_the_same_meets(one: str, other: str) -> None:
    assert canonical(one, "math") == canonical(other, "math")


@pytest.mark.parametrize(
    ("quantity", "form"),
    [
        ("5 km", "5"),
        ("5km", "5"),
        ("12 square feet", "12"),
        ("1,200 cm^2", "1200"),
        ("60 miles per hour", "60"),
        ("60 km/h.", "60"),
        ("$3.5 million", "3500000"),
        ("3 Million dollars", "3000000"),
        ("40 percent", "2/5"),
        (r"\frac{1}{2} hours", "1/2"),
        ("12 apples", "12 apples"),
        ("5 m", "5 m"),
        ("2 or 3 days", "2 or 3 days"),
        ("kg", "kg"),
    ],
)
def test_known_units_are_dropped(quantity: str, form: str) -> None:
    assert canonical(quantity, "number") == form


@given(st.dates(min_value=datetime.date(1000, 1, 1)))
def test_spellings_of_a_day_meet(day: datetime.date) -> None:
    month = calendar.month_name[day.month]
    spellings = (
        day.isoformat(),
        f"{day.year}/{day.month}/{day.day}",
        f"{month} {day.day}, {day.year}",
        f"{month[:3]}. {day.day} {day.year}",
        f"{day.day} {month.upper()} {day.year}",
        f"the {day.day}th of {month}, {day.year}.",
        rf"\text{{{month} {day.day}, {day.year}}}",
    )
    assert {canonical(spelling, "math") for spelling in spellings} == {day.isoformat()}
    assert not is_judged(day.isoformat())


def test_what_is_no_day_stays_text() -> None:
    texts = ["30 February 2024", "3/5/2024 or so", "May 2024", "2024-3/5"]
    assert [canonical(text, "number") for text in texts] == texts


def test_programs_meet_line_by_line() -> None:
    assert canonical("  if x:\n      y()  \n\n", "lines") == canonical("if x:\n    y()", "lines")
    assert canonical("if x:\n    y()\nz()", "lines") != canonical("if x:\n    y()\n    z()", "lines")
    assert canonical(" \n\n", "lines") is None


def test_string_only_collapses_space() -> None:
    assert canonical(" a \n b ", "string") == "a b"
    assert canonical("1.0", "string") != canonical("1", "string")
    assert canonical("cafe\u0301", "string") == "caf\u00e9"
    assert canonical(" \n", "string") is None


@pytest.fixture(scope="module")
def judge() -> MathJudge:
    return MathJudge(SandboxLimits(seconds=2.0, memory_bytes=2**30))


@pytest.fixture(scope="module", autouse=True)
def _closed(judge: MathJudge) -> object:
    yield judge
    judge.close()


def test_judge_finds_equal_mathematics(judge: MathJudge) -> None:
    found = judge.same(r"\sqrt{8}", [r"2\sqrt{2}", "2^{3/2}", r"\sqrt{7}", "x", "Evelyn", r"\frac{"])
    assert found == [True, True, False, False, False, False]
    assert judge.same("p-q", ["-q+p", "q-p"]) == [True, False]
    assert judge.same("x=5", ["5"]) == judge.same("5", ["x=5"]) == [True]


def test_values_never_part_what_algebra_joins(judge: MathJudge) -> None:
    spellings = [
        (r"\sqrt{8}", r"2\sqrt{2}", "2^{3/2}"), ("x^2+6", "6+x^2", "x^{2}+2*3"), ("(x+1)^2", "x^2+2x+1"),
        (r"\frac{x}{2}", "0.5x"), (r"\sin^2(x)+\cos^2(x)", "1"), ("y^2+6",), ("x^2+7",), ("6",),
    ]  # fmt: skip
    for group in spellings:
        for form in group:
            found = judge.same(form, [other for others in spellings for other in others])
            assert found == [others is group for others in spellings for _ in others], form


def test_classes_do_not_depend_on_order(judge: MathJudge) -> None:
    forms = [r"\sqrt{8}", r"2\sqrt{2}", "2", "4/2x", "2x", "p-q", "-q+p", "None"]
    maps = []
    for seed in range(3):
        random.Random(seed).shuffle(forms)
        maps.append(class_map(forms, judge))
    assert maps[0] == maps[1] == maps[2]
    assert maps[0][r"\sqrt{8}"] == maps[0][r"2\sqrt{2}"] and len(set(maps[0].values())) == 6


class Asked:
    """Answers no, and counts."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []

    def same(self, form: str, others: Sequence[str]) -> list[bool]:
        self.pairs += [(form, other) for other in others]
        return [False] * len(others)


def test_numbers_and_words_are_never_put_to_the_judge() -> None:
    asked = Asked()
    class_map(["1", "2", "1/3", "Evelyn", "9" * 600, "9^{9^{9^9}}", "x+1"], asked)
    assert {frozenset(pair) for pair in asked.pairs} == {frozenset(("x+1", n)) for n in ("1", "2", "1/3")}


@pytest.mark.parametrize("form", ["9^{9^{9^9}}", "9^9^9", "2^{100000}", "2**99999999", "99999!", "3!!!"])
def test_towers_are_not_sent(form: str) -> None:
    assert not is_judged(form)


def test_hostile_form_costs_one_time_limit(judge: MathJudge) -> None:
    others = [rf"\sqrt{{{n}}}" for n in (2, 3, 5, 6, 7)]
    judge.same(others[0], others)
    started = time.monotonic()
    assert judge.same("(9^{999})^{9999}", others) == [False] * 5
    assert judge.same(others[0], ["(9^{999})^{9999}"]) == [False]
    assert time.monotonic() - started < 2 * 2.0  # the limit is 2 s; five comparisons would take 10
    assert judge.same(r"\sqrt{8}", [r"2\sqrt{2}"]) == [True]


@pytest.mark.parametrize(
    "answer", ["{" * 400, "}" * 400, "\\frac{" * 60, "\0\x1b[2J", "\\" * 301, "$" * 301, "\\left" * 80, "\\text{" * 60]
)
def test_broken_latex_is_only_itself(judge: MathJudge, answer: str) -> None:
    form = canonical(answer, "math")
    assert form is None or judge.same(form, ["5", "x+1"]) == [False, False]
