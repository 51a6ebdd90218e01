"""A damaged part harms its own job: it is named with its fix, and everything else stays readable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from polythink.cli.main import app
from polythink.errors import ArchiveError
from polythink.jobs.audit_counts import audit_batches
from polythink.jobs.batch_ledger import open_batches
from polythink.jobs.findings import Findings
from polythink.storage import schema
from polythink.storage.archive import Archive
from polythink.storage.compaction import compact
from polythink.storage.damage import DamagedPartWarning
from polythink.storage.state import JobState

COUNT = "SELECT count(*) AS n FROM traces"
Harm = Callable[[bytes], bytes]


def footer(data: bytes) -> int:
    """Bytes of the footer of a Parquet file."""
    return int.from_bytes(data[-8:-4], "little")


HARMS: dict[str, Harm] = {
    "torn": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "rotten within": lambda data: data[:4] + bytes(len(data) - 12 - footer(data)) + data[-8 - footer(data) :],
}


def rows(first: int) -> pa.Table:
    found = [
        {"problem_id": "p", "arm_id": "a", "sample_index": first + n, "text": f"text {n} of {first}"} for n in range(50)
    ]
    return pa.Table.from_pylist(found, schema=schema.TRACES.arrow)


def parts(archive: Archive) -> PurePosixPath:
    """Two parts of one job, one of another; returns the one that is to be harmed."""
    for job_id, number in (("mine", 1), ("mine", 2), ("other", 1)):
        archive.add_part(schema.TRACES, job_id, f"{number:06d}", rows(100 * number))
    return archive.parts("traces", "mine")[1]


def harmed(archive: Archive, harm: Harm) -> PurePosixPath:
    part = parts(archive)
    archive.store.put(str(part), harm(archive.store.get(str(part)) or b""))
    return part


@pytest.mark.parametrize("harm", HARMS)
def test_other_jobs_are_read_and_its_own_is_refused_with_place_and_fix(archive: Archive, harm: str) -> None:
    part = harmed(archive, HARMS[harm])
    texts = "SELECT text FROM traces WHERE job_id = ?"
    with pytest.warns(DamagedPartWarning, match=r"left out: .*000002\.parquet is damaged"):
        assert len(archive.sql("SELECT text FROM traces")) == 100, "asked in general, what can be read is"
    with pytest.raises(ArchiveError, match=r"000002\.parquet is damaged .* `polythink resume mine` then sends"):
        archive.sql(texts, ["mine"])
    with pytest.warns(DamagedPartWarning):
        assert len(archive.sql(texts, ["other"])) == 50
    archive.replace_part(schema.TRACES, "mine", part.stem.removeprefix("part-"), rows(200))
    assert archive.sql(f"{COUNT} WHERE job_id = ?", ["mine"]).to_pylist() == [{"n": 100}], "brought back, it counts"


def test_a_judges_damaged_part_is_its_jobs_too(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.add_part(schema.ATTEMPTS, "mine.judge-1", "000001", schema.ATTEMPTS.arrow.empty_table())
    archive.store.put(str(archive.parts("attempts")[0]), b"torn")
    with pytest.raises(ArchiveError, match="damaged"):
        archive.sql("SELECT * FROM attempts JOIN jobs USING (job_id) WHERE parent_job_id = ?", ["mine"])


def stored(archive: Archive, job_id: str) -> None:
    name, now = job_id.rpartition("-")[0], 1.0
    archive.write_state(
        JobState(
            job_id=job_id, name=name, status="done", created_at=now, started_at=now, updated_at=now, host="h", pid=1
        )
    )


def test_a_damaged_state_hides_no_other_job_and_nobody_takes_its_place(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    stored(archive, "mine-1")
    stored(archive, "mine-2")
    stored(archive, "other-1")
    archive.write_text("mine-2", "state.json", '{"job_id": "mi')
    with pytest.warns(DamagedPartWarning, match="state.json is damaged"):
        assert archive.job_ids() == ["mine-1", "other-1"]
    with pytest.warns(DamagedPartWarning):
        assert archive.resolve("other") == "other-1"
    with pytest.raises(ArchiveError, match=r"mine-2/state.json is damaged .* bring it back"):
        archive.resolve("mine")


def test_a_damaged_lease_says_what_to_remove(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.write_text("mine-1", "lease.json", "")
    with pytest.raises(ArchiveError, match=r"lease.json is damaged .* and remove it"), archive.lock("mine-1"):
        pass


def test_a_damaged_record_of_a_batch_stops_its_job_only_and_is_named(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    archive.write_text("mine-1", "batches/000001.json", '{"number": 1, "endp')
    with pytest.raises(ArchiveError, match=r"batches/000001.json is damaged .* may be with the API"):
        open_batches(archive, "mine-1")
    assert open_batches(archive, "other-1") == 0
    findings = Findings()
    audit_batches(archive, "mine-1", findings)
    assert findings.differing == {"batches": 1} and "000001.json" in findings.differences[0].found


def test_it_is_not_compacted_away(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    part = harmed(archive, HARMS["torn"])
    with pytest.raises(ArchiveError, match=r"000002\.parquet is damaged"):
        compact(archive, "mine")
    assert part in archive.parts("traces", "mine")


def test_a_query_of_the_command_line_says_what_it_left_out(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    harmed(archive, HARMS["torn"])
    asked = CliRunner().invoke(app, ["query", "--format", "csv", COUNT, "--archive", archive.root])
    assert (asked.exit_code, asked.stdout.split()) == (0, ['"n"', "100"])
    export = CliRunner().invoke(app, ["export", "mine", "-o", str(tmp_path / "x.csv"), "--archive", archive.root])
    assert export.exit_code != 0 and not (tmp_path / "x.csv").exists()
