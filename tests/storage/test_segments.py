"""Whoever lost a job cannot add to what its new owner counts."""

from __future__ import annotations

import pytest

from polythink.errors import LeaseLostError
from polythink.storage import landing
from polythink.storage.archive import Archive
from polythink.storage.segments import Journal, fence, segments
from tests.storage.test_archive import attempt, read

DONE = "SELECT sample_index, count(*) AS n FROM traces GROUP BY ALL ORDER BY ALL"


def taken_over(archive: Archive) -> list[int]:
    """What a new owner finds done, after it has shut out the one before."""
    fence(archive.store, "j1")
    for ref in segments(archive, "j1"):
        landing.land(archive, "j1", ref, read)
    rows = archive.sql(DONE).to_pylist()
    assert {row["n"] for row in rows} <= {1}
    return [row["sample_index"] for row in rows]


def test_a_former_owner_cannot_begin_a_segment_and_what_it_had_kept_is_landed_once(archive: Archive) -> None:
    former = Journal(archive, "j1")
    closed, opened = former.begin(), former.begin()
    closed.append([attempt(0)])
    opened.append([attempt(1)])
    assert taken_over(archive) == [0, 1]
    with pytest.raises(LeaseLostError):
        former.begin().append([attempt(2)])
    for writer in (closed, opened):
        landing.land(archive, "j1", writer.ref, read)
    assert archive.sql(DONE).to_pylist() == [{"sample_index": 0, "n": 1}, {"sample_index": 1, "n": 1}]


def test_nothing_a_former_owner_adds_to_its_segment_comes_to_light(archive: Archive) -> None:
    writer = Journal(archive, "j1").begin()
    writer.append([attempt(0)])
    assert taken_over(archive) == [0]
    if archive.is_remote:
        with pytest.raises(LeaseLostError):
            writer.append([attempt(1)])
    else:
        writer.append([attempt(1)])  # to a file that is no longer anywhere
    landing.land(archive, "j1", writer.ref, read)
    assert taken_over(archive) == [0]


def test_a_new_owner_goes_on_after_the_fence_and_so_does_the_next(archive: Archive) -> None:
    for owner in range(3):
        journal = Journal(archive, "j1")
        writer = journal.begin()
        writer.append([attempt(owner)])
        writer.close()
        assert taken_over(archive) == list(range(owner + 1))
    assert segments(archive, "j1") == []


def test_landing_what_another_has_landed_and_removed_adds_nothing(archive: Archive) -> None:
    writer = Journal(archive, "j1").begin()
    writer.append([attempt(0)])
    writer.append([attempt(1)])
    writer.close()
    landing.land(archive, "j1", writer.ref, read)
    assert landing.land(archive, "j1", writer.ref, read).attempts == ()
    assert [row["sample_index"] for row in archive.sql(DONE).to_pylist()] == [0, 1]
