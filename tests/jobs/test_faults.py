"""A few dozen of the kills of `tests.fault_suite`; all of them by `make soak`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fault_suite import Points, chains, main, steps_of, trouble
from tests.s3 import Bucket


@pytest.mark.timeout(900)
def test_killed_at_any_step_of_a_batch_job_nothing_is_lost_or_paid_twice() -> None:
    assert sum(len(chain.kills) for chain in chains(12, lane="batch", seed=7)) >= 12


@pytest.mark.timeout(900)
def test_killed_at_any_step_of_a_live_job_only_what_was_in_flight_is_paid_again() -> None:
    assert sum(len(chain.kills) for chain in chains(8, lane="live", seed=7)) >= 8


@pytest.mark.timeout(900)
def test_killed_at_any_step_of_a_job_on_both_lanes_neither_pays_for_the_other() -> None:
    assert sum(len(chain.kills) for chain in chains(4, lane="auto", seed=7)) >= 4


@pytest.mark.timeout(900)
def test_killed_at_any_step_over_a_bucket_that_fails_nothing_is_lost(bucket: Bucket) -> None:
    bucket.plan = trouble
    assert sum(len(chain.kills) for chain in chains(4, lane="batch", seed=7, bucket=bucket)) >= 4
    assert bucket.faults > 0


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_hundred_kills(tmp_path: Path) -> None:
    main(200, tmp_path / "faults.md", seed=11)
    page = (tmp_path / "faults.md").read_text()
    assert page.count("`verify` was clean") == 5
    steps = {*steps_of("live", is_local=True), *steps_of("batch", is_local=True), *steps_of("live", is_local=False)}
    assert [step for step in steps if f"| {step}, " not in page] == [], "none was left out"


def test_a_point_that_was_drawn_comes_again_only_after_all_others() -> None:
    steps = steps_of("batch", is_local=True)
    points = Points(random.Random(7), steps, is_local=True)
    drawn = [point for _ in range(12) for point in points.draw(4)]
    assert len({(point.step, point.when) for point in drawn}) == len(drawn) == 48
    assert {point.step for point in drawn} == set(steps)
