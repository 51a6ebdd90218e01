"""Compaction changes how rows are stored and nothing else, whatever is killed when."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from polythink.errors import ArchiveError, JobBusyError
from polythink.storage import landing, schema
from polythink.storage.archive import Archive
from polythink.storage.compaction import compact
from polythink.storage.rows import attempt_rows
from polythink.storage.segments import Journal
from tests.storage.test_archive import attempt, journal, read, rows_of

ROOT = Path(__file__).parents[2]
SEGMENTS = 4


def filled(archive: Archive, segments: int = SEGMENTS) -> Archive:
    for index in range(segments):
        kept = [attempt(index, "retry"), attempt(index, number=2)]
        landing.land(archive, "j1", journal(archive, "j1", kept), read)
    return archive


def test_small_parts_become_one_and_every_row_is_there_once(archive: Archive) -> None:
    before = rows_of(filled(archive))
    assert [(each.table, each.before, each.after) for each in compact(archive, "j1")] == [
        ("traces", SEGMENTS, 1),
        ("attempts", SEGMENTS, 1),
    ]
    assert rows_of(archive) == before
    assert len(archive.store.names("tables")) == 2
    landing.land(archive, "j1", journal(archive, "j1", [attempt(9)]), read)
    assert [each.after for each in compact(archive, "j1")] == [1, 1]
    assert len(rows_of(archive)) == len(before) + 2
    assert [part.stem for part in archive.parts("traces")] == [f"part-000001_{SEGMENTS + 1:06d}"]


def test_parts_grow_to_a_size_and_no_further(archive: Archive) -> None:
    before = rows_of(filled(archive))
    one = len(archive.store.get(str(archive.parts("traces")[0])) or b"")
    (traces, _) = compact(archive, "j1", part_bytes=2 * one + one // 2)
    assert (traces.before, traces.after) == (4, 2)
    assert rows_of(archive) == before
    assert compact(archive, "j1", part_bytes=1)[0].after == 2, "a large part is left alone"


def test_a_part_that_a_former_owner_writes_late_no_longer_counts(archive: Archive) -> None:
    before = rows_of(filled(archive))
    compact(archive, "j1")
    archive.add_part(schema.ATTEMPTS, "j1", "000002", attempt_rows("j1", [attempt(1)]))
    assert rows_of(archive) == before
    compact(archive, "j1")
    assert len(archive.store.names("tables")) == 2


def test_a_job_that_runs_or_has_a_journal_is_refused(archive: Archive) -> None:
    filled(archive)
    with archive.lock("j1"), pytest.raises(JobBusyError):
        compact(archive, "j1")
    Journal(archive, "j1").begin().append([attempt(7)])
    with pytest.raises(ArchiveError, match="job j1 has requests that are not in Parquet yet; resume it first"):
        compact(archive, "j1")


KILLED = """
    import obstore, os, sys
    from polythink.storage.archive import Archive
    from polythink.storage.compaction import compact

    steps = int(sys.argv[2])
    def dying(step):
        def after(*args, **kwargs):
            global steps
            steps -= 1
            if steps < 0:
                os._exit(9)
            return step(*args, **kwargs)
        return after

    for name in ("fsync", "link", "replace", "unlink"):
        setattr(os, name, dying(getattr(os, name)))
    for name in ("put", "delete"):
        setattr(obstore, name, dying(getattr(obstore, name)))
    compact(Archive(sys.argv[1]), "j1")
"""


def test_compaction_killed_between_any_two_steps_leaves_each_row_once_and_can_be_done_again(root: str) -> None:
    whole = rows_of(filled(Archive(f"{root}/whole"), 2))
    deaths, step, died = 0, 0, 9
    while died == 9:
        archive = filled(Archive(f"{root}/{step}"), 2)
        script = [sys.executable, "-c", textwrap.dedent(KILLED), archive.root, str(step)]
        died = subprocess.run(script, cwd=ROOT, check=False).returncode
        assert rows_of(archive) == whole, f"killed before step {step}"
        assert [each.after for each in compact(archive, "j1")] == [1, 1]
        assert rows_of(archive) == whole and len(archive.store.names("tables")) == 2
        deaths, step = deaths + 1, step + 2
    assert died == 0 and deaths >= 4
