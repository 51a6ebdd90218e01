"""Coverage per problem equals enumeration, and its rows are the curves' own numbers before they are averaged."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.selectors.coverage import coverage_rows
from polythink.selectors.curves import grid
from polythink.selectors.majorityk import majority_curve
from polythink.selectors.panel import ABSTAINS
from tests.selectors.test_curves import ROWS, Row, majority_of, mean, panel

PROBLEMS = st.lists(ROWS, min_size=1, max_size=4)


@given(PROBLEMS)
def test_every_row_equals_enumeration(problems: list[list[Row]]) -> None:
    problems = [[(form, right and form != ABSTAINS) for form, right in rows] for rows in problems]
    names = [f"p{p}" for p in range(len(problems))]
    found = coverage_rows({"a": panel(*problems)}, {"a": names}, majority_curve).to_pylist()
    ks = grid(max(map(len, problems)))
    assert [(row["problem_id"], row["n"]) for row in found] == [
        (name, n)
        for name, rows in zip(names, problems, strict=True)
        for n in sorted({k for k in ks if k <= len(rows)} | {len(rows)})
    ]
    for row in found:
        rows = problems[names.index(row["problem_id"])]
        subsets = list(combinations(rows, row["n"]))
        passed, voted = mean([any(hit for _, hit in s) for s in subsets]), mean([majority_of(s) for s in subsets])
        assert row["pass_at_n"] == pytest.approx(passed, abs=1e-12)
        assert row["majority_at_n"] == pytest.approx(voted, abs=1e-12)
        assert row["gap"] == pytest.approx(passed - voted, abs=1e-12)
        assert row["right_share"] == mean([hit for _, hit in rows])
        cast = [form for form, _ in rows if form != ABSTAINS]
        shares = [cast.count(form) / len(cast) for form in set(cast)]
        assert row["classes"] == len(shares)
        assert row["entropy"] == pytest.approx(-sum(share * log2(share) for share in shares), abs=1e-12)


def test_averages_over_problems_are_the_points_of_the_curves() -> None:
    rng = np.random.default_rng(2)
    problems: list[list[Row]] = [
        [(int(rng.integers(0, 4)), bool(rng.integers(0, 2))) for _ in range(9)] for _ in range(20)
    ]
    made, names = panel(*problems), [str(p) for p in range(20)]
    rows = coverage_rows({"a": made}, {"a": names}, partial(majority_curve, seed=3)).to_pylist()
    points = majority_curve(made, grid(9), seed=3).values.mean(axis=0)
    averages = [mean([row["majority_at_n"] for row in rows if row["n"] == n]) for n in grid(9)]
    assert averages == pytest.approx(points.tolist(), abs=1e-12)


def test_no_arm_makes_no_rows() -> None:
    assert coverage_rows({}, {}, majority_curve).num_rows == 0
