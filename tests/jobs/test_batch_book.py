"""What may follow from what is known of a batch, and which samples go into one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.jobs.batch_book import (
    CLOCKS_APART_S,
    GRACE_S,
    BatchRecord,
    Entry,
    Listed,
    candidates,
    fate,
)
from polythink.jobs.batch_packing import packed
from polythink.records import SampleKey
from polythink.workers.tasks import Task

NOW = 1e9
KEY = SampleKey(problem_id="p", arm_id="a", sample_index=0)


def intended(requests: int = 3) -> BatchRecord:
    entries = tuple(Entry(key=KEY, number=1) for _ in range(requests))
    return BatchRecord(
        number=1, endpoint="e", model="m", requests=requests, entries=entries, reserved_usd=1.0, intended_at=NOW
    )


verdicts = st.dictionaries(st.text("abc", min_size=1), st.sampled_from([True, False, None]), max_size=5)


@given(verdicts, st.floats(0, 1000))
def test_samples_are_released_only_when_every_candidate_is_ruled_out_and_none_can_appear(
    ours: dict[str, bool | None], seconds: float
) -> None:
    verdict, batch_id = fate(ours, seconds)
    match verdict:
        case "adopt":
            assert batch_id is not None and ours[batch_id] is True
        case "release":
            assert set(ours.values()) <= {False} and seconds >= GRACE_S
        case "wait":
            assert True not in ours.values() and (None in ours.values() or seconds < GRACE_S)


@given(
    st.lists(
        st.builds(
            Listed,
            batch_id=st.text("abcd", min_size=1, max_size=2),
            created_at=st.floats(NOW - 1e6, NOW + 1e6),
            requests=st.integers(1, 5),
            has_ended=st.booleans(),
        )
    ),
    st.sets(st.text("abcd", min_size=1, max_size=2)),
)
def test_no_batch_that_could_be_ours_is_passed_over(listed: list[Listed], known: set[str]) -> None:
    found = candidates(intended(), listed, known)
    passed_over = [batch for batch in listed if batch not in found]
    for batch in passed_over:
        too_early = batch.created_at < NOW - CLOCKS_APART_S
        assert too_early or batch.requests != 3 or batch.batch_id in known
    assert not {batch.batch_id for batch in found} & known


def test_a_batch_that_was_intended_by_a_clock_days_ahead_is_a_candidate() -> None:
    created = Listed(batch_id="b", created_at=NOW - 3 * 86400.0, requests=3, has_ended=True)
    assert candidates(intended(), [created], known=()) == [created]


def test_what_is_over_stays_over() -> None:
    created = intended().created("b", NOW)
    with pytest.raises(ValueError, match="cannot become"):
        created.released("what the API took in may have been billed")
    for over in (intended().released("refused"), created.settled(outcomes={}, cost_usd=0.0, ended_at=NOW)):
        assert not over.is_open
        with pytest.raises(ValueError, match="cannot become"):
            over.created("c", NOW)
        with pytest.raises(ValueError, match="cannot become"):
            over.released("again")
        with pytest.raises(ValueError, match="cannot become"):
            over.settled(outcomes={}, cost_usd=0.0, ended_at=NOW)


def task(model: str, endpoint: str, number: int) -> Task:
    key = SampleKey(problem_id="p", arm_id=model, sample_index=number)
    body = {"model": model, "messages": [{"role": "user", "content": "x" * 100}]}
    return Task(key=key, sample_id=f"{number}", number=1, body=body, endpoint=endpoint, queued_at=NOW)


@given(
    st.lists(st.tuples(st.sampled_from("mn"), st.sampled_from("ef")), max_size=40),
    st.integers(1, 10),
    st.integers(1, 2000),
)
def test_every_task_is_packed_once_with_its_own_kind_and_within_the_limits(
    kinds: list[tuple[str, str]], most: int, most_bytes: int
) -> None:
    tasks = [task(model, endpoint, number) for number, (model, endpoint) in enumerate(kinds)]
    batches = list(packed(tasks, most=most, most_bytes=most_bytes))
    assert sorted(int(each.sample_id) for batch in batches for each in batch) == list(range(len(tasks)))
    for batch in batches:
        assert len({(each.endpoint, each.body["model"]) for each in batch}) == 1
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or len(batch) * 150 <= most_bytes
