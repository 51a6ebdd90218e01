"""What every store promises, and what a bucket promises through lost replies and failing servers."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from polythink.errors import ArchiveError
from polythink.storage.archive import Archive
from tests.s3 import FINE, Bucket, Fault

NAMES = [
    "jobs/j1/state.json",
    "jobs/j1/journal/000001.jsonl",
    "jobs/j2/a b%20c.json",
    "tables/t/job_id=j1/part-x.parquet",
]
WRITERS = 6


def test_what_was_put_is_there_and_what_was_deleted_is_not(archive: Archive) -> None:
    store = archive.store
    for name in NAMES:
        assert store.get(name) is None
        store.put(name, name.encode())
        store.put(name, b"again " + name.encode())
        assert store.get(name) == b"again " + name.encode()
    assert store.names("jobs") == sorted(NAMES[:3])
    assert store.names("jobs/j") == [], "a folder, not the beginning of a name"
    assert store.folders("jobs") == ["j1", "j2"] and store.folders("nothing") == []
    for _ in range(2):
        store.delete(NAMES[0])
    assert store.names("jobs/j1") == [NAMES[1]]


def test_of_many_who_create_a_name_one_does(archive: Archive) -> None:
    def create(writer: int) -> bool:
        return archive.store.put_if_absent("jobs/one", b"%d" % writer) is not None

    with ThreadPoolExecutor(WRITERS) as pool:
        wins = list(pool.map(create, range(WRITERS)))
    assert sum(wins) == 1
    assert archive.store.get("jobs/one") == b"%d" % wins.index(True)


def test_of_many_who_replace_a_version_one_does_and_a_stale_one_never(archive: Archive) -> None:
    store, stale = archive.store, list[str]()
    for turn in range(5):
        store.put("jobs/one", b"start %d" % turn)
        found = store.read("jobs/one")
        assert found is not None
        stale.append(found.version)

        def replace(writer: int, version: str = found.version, turn: int = turn) -> str | None:
            return store.put_if_match("jobs/one", b"%d by %d" % (turn, writer), version)

        with ThreadPoolExecutor(WRITERS) as pool:
            versions = list(pool.map(replace, range(WRITERS)))
        (winner,) = [writer for writer, version in enumerate(versions) if version]
        there = store.read("jobs/one")
        assert there is not None
        assert (there.data, there.version) == (b"%d by %d" % (turn, winner), versions[winner])
    assert [store.put_if_match("jobs/one", b"late", version) for version in stale] == [None] * 5
    assert store.put_if_match("jobs/none", b"x", stale[-1]) is None


def test_a_put_whose_reply_was_lost_is_known_to_be_ones_own(bucket: Bucket) -> None:
    store = Archive(bucket.root).store
    lost = Fault(status=500)
    bucket.plan = lambda method, _path, before: lost if method == "PUT" and before % 2 == 0 else FINE
    assert store.put_if_absent("jobs/one", b"mine") is not None
    assert store.put_if_absent("jobs/one", b"another's") is None
    found = store.read("jobs/one")
    assert found is not None and found.data == b"mine"
    assert store.put_if_match("jobs/one", b"mine again", found.version) is not None
    assert store.put_if_match("jobs/one", b"too late", found.version) is None
    assert store.get("jobs/one") == b"mine again"
    assert bucket.faults >= 2


def test_a_request_that_never_arrived_is_made_again(bucket: Bucket) -> None:
    store = Archive(bucket.root).store
    bucket.plan = lambda _method, _path, before: Fault(status=503, reaches_server=False) if before % 2 == 0 else FINE
    store.put("jobs/one", b"1")
    assert (store.get("jobs/one"), store.names("jobs")) == (b"1", ["jobs/one"])
    assert bucket.faults >= 3


def test_a_refusal_names_the_place_and_the_fix_and_no_secret(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "c0ffee")
    bucket.plan = lambda method, _path, _before: Fault(status=403, reaches_server=False)
    store = Archive(bucket.root).store
    with pytest.raises(ArchiveError, match=r"cannot write s3://bucket-\d+/an archive/jobs/one: .*credentials") as told:
        store.put("jobs/one", b"1")
    assert "c0ffee" not in str(told.value) and len(str(told.value)) < 600
    for refused in (lambda: store.get("jobs/one"), lambda: store.names("jobs"), lambda: store.delete("jobs/one")):
        with pytest.raises(ArchiveError, match="s3://bucket"):
            refused()


@pytest.mark.parametrize("write", ["put", "put_if_absent"])
def test_a_local_write_is_on_the_disk_with_its_name_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    synced: list[str] = []  # the bytes of a file, or the names in a folder, as they were when they were synced
    sync = os.fsync

    def note(handle: int) -> None:
        place = Path(os.readlink(f"/proc/self/fd/{handle}"))
        synced.append(",".join(os.listdir(place)) if place.is_dir() else place.read_text())
        sync(handle)

    monkeypatch.setattr(os, "fsync", note)
    store = Archive(tmp_path).store
    getattr(store, write)("folder/name", b"content")
    assert synced[0] == "content" and "name" in synced[-1].split(",")
