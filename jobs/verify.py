"""The audit of a job: everything that can be made again from its raw traces is, and laid beside what is kept.

verify_job -> _audit_parts     every part can be read and is of a schema known here; the journal is whole
           -> audit_rows       identity, reading, grade and price, row by row
           -> audit_counts     traces beside attempts, batches, the job's state
           -> audit_selected   selections, curves, comparisons
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from polythink.errors import ArchiveError
from polythink.jobs.audit_counts import (
    arm_counts,
    audit_attempts,
    audit_batches,
    audit_state,
    audit_traces_once,
    odd_counts,
)
from polythink.jobs.audit_rows import audit_prices, audit_traces
from polythink.jobs.audit_selected import audit_selected
from polythink.jobs.findings import Audit, Findings
from polythink.jobs.graders import job_grader
from polythink.jobs.workload import Workload, recall
from polythink.storage import schema
from polythink.storage.archive import Archive
from polythink.storage.journal import decode
from polythink.storage.segments import read_blocks, segments
from polythink.storage.state import JobState

_CHILDREN = "SELECT job_id FROM jobs WHERE parent_job_id = ? ORDER BY job_id"
_OVER = ("done", "imported")  # of such a job the state and the selections must speak of every trace


def verify_job(archive: Archive, job_id: str) -> list[Audit]:
    """Audit a job, and the jobs that judge its samples. Nothing is written and nothing is sent.

    Where a part cannot be read, nothing else can be compared. Raises UnknownJobError, and ArchiveError where the
    archive cannot be read, for the parts of another job for instance.
    """
    found = {each: Findings() for each in (job_id, *_children(archive, job_id))}
    for each, findings in found.items():
        _audit_parts(archive, each, findings)
    is_whole = not any(findings.differing for findings in found.values())
    try:
        return [_audit(archive, each, findings, is_whole=is_whole) for each, findings in found.items()]
    except duckdb.Error as error:
        raise ArchiveError(f"cannot read the tables of {archive.root}: {error}") from error


def _children(archive: Archive, job_id: str) -> list[str]:
    children: list[str] = archive.sql(_CHILDREN, [job_id])["job_id"].to_pylist()
    return children


def _audit(archive: Archive, job_id: str, findings: Findings, *, is_whole: bool) -> Audit:
    arms: tuple[Mapping[str, object], ...] = ()
    if is_whole:
        _audit_journal(archive, job_id, findings)
        work, state = recall(archive, job_id), archive.state(job_id)
        assert state is not None
        _audit_tables(archive, work, state, findings)
        arms = arm_counts(archive, job_id)
        findings.warnings += odd_counts(arms)
    return Audit(
        job_id=job_id,
        looked_at=dict(findings.looked_at),
        differing=dict(findings.differing),
        differences=tuple(findings.differences),
        warnings=tuple(findings.warnings),
        arms=arms,
    )


def _audit_tables(archive: Archive, work: Workload, state: JobState, findings: Findings) -> None:
    audit_traces_once(archive, work.job_id, findings)
    with job_grader(archive, work) as grader:
        audit_traces(archive, work, grader, findings, imported=state.status == "imported")
    if state.status != "imported":
        audit_prices(archive, work, findings)
        audit_attempts(archive, work.job_id, findings)
        audit_batches(archive, work.job_id, findings)
    if state.status in _OVER:
        audit_state(archive, state, findings)
        audit_selected(archive, work, findings)
    else:
        said = f"the job is {state.status}: its counts and selections may be older than its traces, and were left out"
        findings.warnings.append(said)


def _audit_parts(archive: Archive, job_id: str, findings: Findings) -> None:
    """Every part can be read, and is of a schema known here."""
    for table in schema.TABLES:
        for part in archive.parts(table.name, job_id):
            try:
                kept = _version(archive.store.get(str(part)) or b"")
            except (pa.ArrowException, OSError, ValueError) as error:
                findings.differs("parts", str(part), found=str(error).partition("\n")[0], expected="a Parquet file")
                continue
            if not 1 <= kept <= schema.SCHEMA_VERSION:
                expected = f"1 to {schema.SCHEMA_VERSION}"
                findings.differs("parts", str(part), found=f"schema version {kept}", expected=expected)
            findings.looked("parts", 1)


def _version(data: bytes) -> int:
    """The schema version of a part, every row group of which was read. Raises what pyarrow raises."""
    table = pq.ParquetFile(pa.BufferReader(data))
    for group in range(table.num_row_groups):
        table.read_row_group(group)
    return int((table.schema_arrow.metadata or {}).get(schema.VERSION_KEY, b"0"))


def _audit_journal(archive: Archive, job_id: str, findings: Findings) -> None:
    """Only a last line may be torn: it was never acknowledged."""
    waiting = segments(archive, job_id)
    for ref in waiting:
        for number, line, is_last in _lines(read_blocks(archive, ref) or []):
            findings.looked("journal", 1)
            if decode(line) is None and not is_last:
                where = f"{archive.store.place(ref.entries[0])} line {number}"
                findings.differs("journal", where, found="a damaged line", expected="a finished request")
    if waiting:
        found = f"{len(waiting)} journal segments are not in Parquet yet"
        findings.warnings.append(f"{found}, and were left out; `polythink resume {job_id}` lands them")


def _lines(blocks: list[bytes]) -> Iterator[tuple[int, bytes, bool]]:
    for block in blocks:
        lines = block.splitlines(keepends=True)
        yield from ((number, line, number == len(lines)) for number, line in enumerate(lines, 1))
