"""The computed views, laid beside the same numbers counted by hand."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.storage import schema
from polythink.storage.archive import Archive


def write(archive: Archive, table: schema.Table, rows: list[dict[str, Any]], job: str = "j") -> None:
    archive.replace_part(table, job, "test", pa.Table.from_pylist(rows, schema=table.arrow))


def point(arm: str, selector: str, n: int, accuracy: float, problems: int = 4) -> dict[str, Any]:
    return {"arm_id": arm, "selector": selector, "n": n, "accuracy": accuracy, "low": 0.0, "high": 1.0} | {
        "problems": problems
    }


def frontier(archive: Archive) -> dict[tuple[str, str, int], tuple[float | None, bool | None]]:
    rows = archive.sql("SELECT * FROM frontier WHERE job_id = 'j'").to_pylist()
    return {(r["arm_id"], r["selector"], r["n"]): (r["usd_per_problem"], r["is_efficient"]) for r in rows}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return Archive(tmp_path_factory.mktemp("views"))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def test_a_point_costs_what_all_requests_of_its_samples_and_its_judges_cost(archive: Archive) -> None:
    write(archive, schema.TRACES, [{"arm_id": "a", "problem_id": "p", "cost_usd": 0.2}] * 4)
    paid = [{"arm_id": "a", "cost_usd": usd} for usd in (0.2, 0.2, 0.2, 0.2, 0.4, None)]  # one failed at a price
    write(archive, schema.ATTEMPTS, paid)
    judged: list[dict[str, Any]] = [
        {"arm_id": "a", "selector": "judge", "n": 2, "selector_cost_usd": usd} for usd in (0.1, 0.3)
    ]
    voted: list[dict[str, Any]] = [{"arm_id": "a", "selector": "majority", "n": 2}] * 2
    write(archive, schema.SELECTIONS, judged + voted)
    curves = [point("a", name, n, 0.5) for name in ("majority", "judge", "pass", "all") for n in (1, 2)]
    write(archive, schema.CURVES, curves)
    sample = 1.2 / 4
    assert {key: usd for key, (usd, _) in frontier(archive).items()} == pytest.approx(
        {("a", "majority", n): n * sample for n in (1, 2)} | {("a", "judge", n): n * (sample + 0.1) for n in (1, 2)}
    )


def test_imported_samples_cost_what_was_recorded_and_unpriced_ones_nothing_known(archive: Archive) -> None:
    traces: list[dict[str, Any]] = [{"arm_id": "a", "cost_usd": 0.5}, {"arm_id": "a"}, {"arm_id": "b"}]
    write(archive, schema.TRACES, traces)
    write(archive, schema.CURVES, [point("a", "first", 2, 0.5), point("b", "first", 1, 0.9)])
    assert frontier(archive) == {("a", "first", 2): (1.0, True), ("b", "first", 1): (None, None)}


def test_a_point_that_some_problems_do_not_reach_is_left_out(archive: Archive) -> None:
    write(archive, schema.TRACES, [{"arm_id": "a", "cost_usd": 1.0}])
    write(archive, schema.CURVES, [point("a", "first", 1, 0.5), point("a", "first", 2, 0.9, problems=1)])
    assert list(frontier(archive)) == [("a", "first", 1)]


def test_curves_of_an_arm_stopped_early_cost_what_a_sample_of_a_problem_costs(archive: Archive) -> None:
    cells = [("easy", 0.1)] * 2 + [("hard", 1.0)] * 8
    spent: list[dict[str, Any]] = [
        {"arm_id": arm, "problem_id": p, "cost_usd": usd} for p, usd in cells for arm in "ab"
    ]
    write(archive, schema.TRACES, spent)
    write(archive, schema.ATTEMPTS, spent)
    judged: list[dict[str, Any]] = [
        {"arm_id": "a", "selector": "judge", "problem_id": p, "n": n, "selector_cost_usd": usd}
        for p, n, usd in (("easy", 2, 0.2), ("hard", 8, 2.4))
    ]
    write(archive, schema.SELECTIONS, judged)
    write(archive, schema.CURVES, [point(arm, "judge", 2, 0.5, problems=2) for arm in "ab"])
    write(archive, schema.ADAPTIVE, [point("a", "judge", 0, 0.6) | {"n": 5.0}])
    assert {key: usd for key, (usd, _) in frontier(archive).items()} == pytest.approx(
        {("a", "judge", 2): 2 * (0.55 + 0.2), ("a", "judge", 5): 8.2 / 2 + 2.6 / 2, ("b", "judge", 2): 2 * 0.82}
    )


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 6), st.integers(0, 5)), max_size=8, unique_by=lambda p: p[:2]
    )
)
def test_efficient_is_what_nothing_as_cheap_beats_and_nothing_cheaper_equals(
    shared: Archive, points: list[tuple[str, int, int]]
) -> None:
    write(shared, schema.TRACES, [{"arm_id": "a", "cost_usd": 1.0}, {"arm_id": "b", "cost_usd": 2.0}])
    write(shared, schema.CURVES, [point(arm, "first", n, right / 5) for arm, n, right in points])
    write(shared, schema.CURVES, [point("a", "first", 1, 1.0)], job="other")
    price = {"a": 1.0, "b": 2.0}
    assert frontier(shared) == {
        (arm, "first", n): (
            n * price[arm],
            not any(
                (k * price[other] <= n * price[arm] and more > right)
                or (k * price[other] < n * price[arm] and more == right)
                for other, k, more in points
            ),
        )
        for arm, n, right in points
    }


PICKS = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=40)


@given(PICKS)
def test_bins_and_errors_are_those_counted_by_hand(shared: Archive, picks: list[tuple[int, bool]]) -> None:
    rows: list[dict[str, Any]] = [
        {"arm_id": "a", "selector": "m", "confidence": votes / 20, "correct": right} for votes, right in picks
    ]
    silent = [{"arm_id": "a", "selector": "m", "confidence": 0.5}, {"arm_id": "a", "selector": "m", "correct": True}]
    write(shared, schema.SELECTIONS, rows + silent)
    tenths: dict[int, list[tuple[float, bool]]] = {}
    for votes, right in picks:
        tenths.setdefault(min(votes // 2, 9), []).append((votes / 20, right))
    error = 0.0
    found = {row["bin"]: row for row in shared.sql("SELECT * FROM calibration").to_pylist()}
    assert sorted(found) == sorted(tenths)
    for number, inside in tenths.items():
        row, size = found[number], len(inside)
        share, z = sum(right for _, right in inside) / size, 1.959963984540054
        middle = (share + z * z / (2 * size)) / (1 + z * z / size)
        reach = z / (1 + z * z / size) * sqrt(share * (1 - share) / size + z * z / (4 * size * size))
        assert [row["low"], row["high"], row["selections"]] == pytest.approx([number / 10, (number + 1) / 10, size])
        assert [row["accuracy"], row["accuracy_low"], row["accuracy_high"]] == pytest.approx(
            [share, max(middle - reach, 0), min(middle + reach, 1)], abs=1e-12
        )
        error += size / len(picks) * abs(share - sum(confidence for confidence, _ in inside) / size)
    (summary,) = shared.sql("SELECT * FROM calibration_summary").to_pylist()
    brier = sum((votes / 20 - right) ** 2 for votes, right in picks) / len(picks)
    assert (summary["selections"], summary["arm_id"], summary["selector"]) == (len(picks), "a", "m")
    assert [summary["calibration_error"], summary["brier"]] == pytest.approx([error, brier], abs=1e-12)


def test_arms_stopped_early_and_confidences_that_are_no_number_say_nothing(archive: Archive) -> None:
    kept: dict[str, Any] = {"selector": "m", "confidence": 0.5, "correct": True}
    marks = [("a", False), ("a", True), ("b", False), ("c", None)]  # archives of before have no mark
    rows = [kept | {"arm_id": arm, "stopped": stopped} for arm, stopped in marks]
    write(archive, schema.SELECTIONS, [*rows, kept | {"arm_id": "b", "confidence": float("nan")}])
    for view in ("calibration", "calibration_summary"):
        found = archive.sql(f"SELECT arm_id, selections, confidence FROM {view} ORDER BY arm_id").to_pylist()
        assert [tuple(row.values()) for row in found] == [("b", 1, 0.5), ("c", 1, 0.5)]
