"""Landing, views and the state of jobs: what is in the archive is what was kept, once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polythink.errors import ArchiveError, JobBusyError, UnknownJobError
from polythink.records import Attempt, Reading, SampleKey
from polythink.storage import landing, schema
from polythink.storage.archive import Archive
from polythink.storage.journal import encode
from polythink.storage.rows import attempt_rows
from polythink.storage.segments import Journal, SegmentRef, segments
from polythink.storage.state import ArmProgress, JobState
from polythink.storage.view_schema import CALIBRATION, CALIBRATION_SUMMARY, FRONTIER, VIEWS
from tests.s3 import FINE, Bucket, Fault

ROOT = Path(__file__).parents[2]
SQL_TYPES = {
    schema.TEXT: "VARCHAR",
    schema.COUNT: "BIGINT",
    schema.REAL: "DOUBLE",
    schema.FLAG: "BOOLEAN",
    schema.WHEN: "TIMESTAMP WITH TIME ZONE",
    schema.VECTOR: "FLOAT[]",
    pa.date32(): "DATE",
}


def attempt(index: int, status: str = "complete", text: str = "4", number: int = 1) -> Attempt:
    return Attempt(
        key=SampleKey(problem_id="p", arm_id="a", sample_index=index),
        number=number,
        status=status,  # type: ignore[arg-type]
        lane="live",
        endpoint="e",
        queued_at=1.0,
        started_at=2.0,
        finished_at=3.5,
        content='[{"type":"text","text":"' + text + '"}]',
        cost_usd=0.25,
    )


def read(finals: Sequence[Attempt]) -> list[Reading]:
    return [Reading(outcome="answered", answer="4", canonical_answer="4", correct=True) for _ in finals]


def journal(archive: Archive, job_id: str, *blocks: Sequence[Attempt]) -> SegmentRef:
    writer = Journal(archive, job_id).begin()
    for attempts in blocks:
        writer.append(attempts)
    writer.close()
    return writer.ref


def job_state(job_id: str, created_at: float = 1.0, name: str = "job") -> JobState:
    return JobState(
        job_id=job_id,
        name=name,
        status="done",
        created_at=created_at,
        started_at=2.0,
        updated_at=3.0,
        host="h",
        pid=1,
        arms={"a": ArmProgress(done=1, total=2)},
    )


def described(archive: Archive, view: str) -> list[tuple[str, str]]:
    rows = archive.sql(f"DESCRIBE {view}").to_pylist()
    return [(row["column_name"], row["column_type"]) for row in rows]


def columns_of(table: schema.Table) -> list[tuple[str, str]]:
    named = [] if table in VIEWS else [("job_id", "VARCHAR")]
    return [*named, *((column.name, SQL_TYPES[column.type]) for column in table.columns)]


ALL = (*schema.TABLES, *VIEWS)


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_views_over_an_empty_archive_have_the_columns_of_the_schema(archive: Archive, table: schema.Table) -> None:
    assert described(archive, table.name) == columns_of(table)
    assert archive.sql(f"SELECT * FROM {table.name}").num_rows == 0


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_views_over_rows_have_the_columns_of_the_schema(archive: Archive, table: schema.Table) -> None:
    for stored in schema.TABLES:
        nulls = pa.Table.from_pylist([dict.fromkeys(stored.arrow.names)], schema=stored.arrow)
        archive.replace_part(stored, "j1", "all", nulls)
    archive.write_state(job_state("j1"))
    assert described(archive, table.name) == columns_of(table)
    says_nothing = table in (FRONTIER, CALIBRATION, CALIBRATION_SUMMARY)  # of rows without selector or confidence
    assert archive.sql(f"SELECT * FROM {table.name}").num_rows == (0 if says_nothing else 1)


def test_every_parquet_file_carries_the_schema_version_and_no_partition_column(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    landing.land(archive, "j1", journal(archive, "j1", [attempt(0)]), read)
    parts = sorted(tmp_path.rglob("*.parquet"))
    assert len(parts) == 2
    for part in parts:
        stored = pq.ParquetFile(part).schema_arrow
        assert stored.metadata[schema.VERSION_KEY] == b"1"
        assert "job_id" not in stored.names


def test_a_segment_lands_as_attempts_and_traces_and_is_gone(archive: Archive) -> None:
    path = journal(
        archive, "j1", [attempt(0, "retry"), attempt(0, number=2), attempt(1, "failed"), attempt(2, "retry")]
    )
    landing.land(archive, "j1", path, read)
    assert segments(archive, "j1") == []
    traces = archive.sql("SELECT sample_index, attempts, text FROM traces ORDER BY 1").to_pylist()
    assert traces == [
        {"sample_index": 0, "attempts": 2, "text": "4"},
        {"sample_index": 1, "attempts": 1, "text": "4"},
    ]
    assert archive.sql("SELECT * FROM attempts").num_rows == 4
    (spend,) = archive.sql("SELECT * FROM spend").to_pylist()
    assert (spend["attempts"], spend["cost_usd"]) == (4, 1.0)


KILLED = """
    import obstore, os, sys
    from polythink.storage import landing
    from polythink.storage.archive import Archive
    from polythink.storage.segments import segments
    from tests.storage.test_archive import read

    steps = int(sys.argv[2])
    def dying(step):
        def after(*args, **kwargs):
            global steps
            steps -= 1
            if steps < 0:
                os._exit(9)
            return step(*args, **kwargs)
        return after

    for name in ("open", "fsync", "link", "replace", "rename", "unlink"):
        setattr(os, name, dying(getattr(os, name)))
    for name in ("get", "put", "delete"):
        setattr(obstore, name, dying(getattr(obstore, name)))
    archive = Archive(sys.argv[1])
    landing.land(archive, "j1", segments(archive, "j1")[0], read)
"""


def rows_of(archive: Archive) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = archive.sql(
        "SELECT 't' AS kind, sample_index, attempts AS n FROM traces "
        "UNION ALL SELECT status, sample_index, attempt FROM attempts ORDER BY ALL"
    ).to_pylist()
    return rows


def test_landing_killed_between_any_two_steps_and_run_again_leaves_each_row_once(root: str) -> None:
    whole = Archive(f"{root}/whole")
    kept = [attempt(0), attempt(1, "retry"), attempt(1, number=2)]
    landing.land(whole, "j1", journal(whole, "j1", kept), read)
    deaths = 0
    for steps in range(40):
        archive = Archive(f"{root}/{steps}")
        journal(archive, "j1", kept[:2], kept[2:])
        script = [sys.executable, "-c", textwrap.dedent(KILLED), archive.root, str(steps)]
        died = subprocess.run(script, cwd=ROOT, check=False).returncode
        assert died in (0, 9)
        deaths += died == 9
        for path in segments(archive, "j1"):
            landing.land(archive, "j1", path, read)
        assert rows_of(archive) == rows_of(whole), f"killed before step {steps}"
        if died == 0:
            break
    assert deaths >= 6, "the steps were not counted"


def test_a_segment_of_damaged_lines_lands_what_can_be_read_and_counts_the_rest(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    ref = journal(archive, "j1", [attempt(0), attempt(1)])
    path, torn = Path(archive.root) / ref.entries[0], encode(attempt(2))
    path.write_bytes(path.read_bytes() + torn[: len(torn) // 2])
    segment = landing.land(archive, "j1", ref, read)
    assert segment.damaged == 1
    assert archive.sql("SELECT count(*) AS n FROM traces").to_pylist() == [{"n": 2}]


def test_new_segments_never_take_the_name_of_a_landed_one(archive: Archive) -> None:
    names = []
    for index in range(3):
        path = journal(archive, "j1", [attempt(index)])
        names.append(path.name)
        landing.land(archive, "j1", path, read)
    assert sorted(names) == names and len(set(names)) == 3
    assert archive.sql("SELECT count(*) AS n FROM traces").to_pylist() == [{"n": 3}]


words = st.text(st.characters(exclude_categories=()), max_size=20)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(words, min_size=1, max_size=5))
def test_any_text_survives_parquet_but_for_lone_surrogates(tmp_path: Path, texts: list[str]) -> None:
    archive = Archive(tmp_path / "one")
    shutil.rmtree(archive.root, ignore_errors=True)
    kept = [replace(attempt(index), error_message=text) for index, text in enumerate(texts)]
    archive.replace_part(schema.ATTEMPTS, "j1", "x", attempt_rows("j1", kept))
    found = archive.sql("SELECT error_message FROM attempts ORDER BY sample_index")["error_message"].to_pylist()
    assert found == [text.encode("utf-8", "replace").decode() for text in texts]


@pytest.mark.parametrize(
    "job_id",
    ["1e5-abcdef", "007", "null", "a.b_c-d", "2024-01-01", "true", "0x1f", "it's", "a b"],
)
def test_job_ids_are_text_whatever_they_look_like(tmp_path: Path, job_id: str) -> None:
    archive = Archive(tmp_path)
    landing.land(archive, job_id, journal(archive, job_id, [attempt(0)]), read)
    archive.write_state(job_state(job_id))
    for view in ("traces", "attempts", "jobs"):
        assert archive.sql(f"SELECT job_id FROM {view}")["job_id"].to_pylist() == [job_id]
    assert archive.sql("SELECT 1 FROM traces WHERE job_id = ?", [job_id]).num_rows == 1


@pytest.mark.parametrize("folder", ["with space", "it's", "year=2026", "[abc]", "a*b", "q?", "ünï", "50%"])
def test_an_archive_may_stand_in_a_folder_of_any_name(tmp_path: Path, folder: str) -> None:
    archive = Archive(tmp_path / folder)
    landing.land(archive, "j1", journal(archive, "j1", [attempt(0)]), read)
    archive.write_state(job_state("j1"))
    assert archive.sql("SELECT job_id, sample_index FROM traces").to_pylist() == [{"job_id": "j1", "sample_index": 0}]
    assert archive.sql("SELECT job_id FROM jobs").to_pylist() == [{"job_id": "j1"}]


def test_two_jobs_stand_side_by_side(archive: Archive) -> None:
    for created, job_id in enumerate(("j1", "j10")):
        landing.land(archive, job_id, journal(archive, job_id, [attempt(0), attempt(1)][: created + 1]), read)
        archive.write_state(job_state(job_id, created_at=float(created)))
    counts = archive.sql("SELECT job_id, count(*) AS n FROM traces GROUP BY ALL ORDER BY ALL").to_pylist()
    assert counts == [{"job_id": "j1", "n": 1}, {"job_id": "j10", "n": 2}]
    assert len(archive.parts("traces", "j1")) == 1
    assert archive.job_ids() == ["j1", "j10"]
    assert archive.resolve("job") == "j10", "the latest of that name"
    assert archive.resolve("j1") == "j1"
    with pytest.raises(UnknownJobError, match="j1, j10"):
        archive.resolve("other")


def test_a_state_comes_back_whole_and_its_times_are_timestamps(archive: Archive) -> None:
    assert archive.state("j1") is None
    archive.write_state(job_state("j1"))
    assert archive.state("j1") == job_state("j1")
    assert archive.sql("SELECT epoch(updated_at) AS t FROM jobs").to_pylist() == [{"t": 3.0}]


def test_one_process_runs_a_job_and_a_dead_one_frees_it(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    with archive.lock("j1"), pytest.raises(JobBusyError, match="j1"), archive.lock("j1"):
        pass
    hold = "import os; from polythink.storage.archive import Archive; import sys\n"
    hold += "with Archive(sys.argv[1]).lock('j1'): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", hold, str(tmp_path)], cwd=ROOT, check=False).returncode == -9
    with archive.lock("j1"):
        pass


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="traces"):
        Archive(tmp_path).replace_part(schema.TRACES, "j1", "x", pa.table({"a": [1]}))


def test_a_part_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    landing.land(archive, "j1", journal(archive, "j1", [attempt(0)]), read)
    (tmp_path / "tables" / "arms").write_text("a file where a folder should be")
    with pytest.raises(ArchiveError, match="cannot write"):
        archive.replace_part(schema.ARMS, "j1", "all", schema.ARMS.arrow.empty_table())
    assert archive.sql("SELECT count(*) AS n FROM traces").to_pylist() == [{"n": 1}]


@pytest.mark.parametrize("url", ["ftp://bucket/x", "s3:///x", "s3://key:secret@bucket/x", "s3://bucket/x?secret=1"])
def test_a_url_that_can_be_no_archive_is_refused_without_what_may_be_secret(url: str) -> None:
    with pytest.raises(ArchiveError, match=r"archive.*: ") as refused:
        Archive(url)
    assert "secret" not in str(refused.value)


def test_a_wrong_query_says_so(tmp_path: Path) -> None:
    with pytest.raises(duckdb.Error, match="nowhere"):
        Archive(tmp_path).sql("SELECT * FROM nowhere")


def test_a_column_that_a_part_is_too_old_to_have_reads_as_null(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    point = {"arm_id": "a", "selector": "pass", "n": 1, "accuracy": 0.5, "error": 0.1}
    archive.replace_part(schema.CURVES, "new", "pass", pa.Table.from_pylist([point], schema=schema.CURVES.arrow))
    query = "SELECT job_id, n, accuracy, error FROM curves ORDER BY job_id"
    old = tmp_path / "tables/curves/job_id=old/part-pass.parquet"
    old.parent.mkdir()
    pq.write_table(pa.Table.from_pylist([point], schema=schema.CURVES.arrow).drop_columns("error"), old)
    both = archive.sql(query).to_pylist()
    assert [row["error"] for row in both] == [0.1, None]
    shutil.rmtree(tmp_path / "tables/curves/job_id=new")
    assert archive.sql(query).to_pylist() == both[1:]


def test_a_bucket_that_cannot_be_read_is_an_error_of_the_archive_and_a_wrong_query_is_not(bucket: Bucket) -> None:
    archive = Archive(bucket.root)
    landing.land(archive, "j1", journal(archive, "j1", [attempt(0)]), read)
    bucket.plan = lambda _method, path, _before: Fault(status=403, reaches_server=False) if ".parquet" in path else FINE
    with pytest.raises(ArchiveError, match=r"cannot read the tables of s3://bucket-\d+/an archive: PermissionDenied"):
        archive.sql("SELECT * FROM traces")
    assert archive.sql("SELECT count(*) AS n FROM problems").to_pylist() == [{"n": 0}], "a query reads what it names"
    bucket.plan = lambda _method, _path, _before: FINE
    with pytest.raises(duckdb.Error, match="nowhere"):
        archive.sql("SELECT nowhere FROM traces")
