"""Auditing the downstream stage: what it wrote, made again and laid beside what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from polythink.jobs.findings import MOST_SHOWN, Findings
from polythink.jobs.selection import notes, select_anew
from polythink.jobs.workload import Workload
from polythink.selectors.stage_rows import STAGE, WHOLE
from polythink.storage import schema
from polythink.storage.archive import Archive

_NAMED = {
    "selections": ("selector", "problem_id", "arm_id"),
    "scores": ("selector", "problem_id", "arm_id", "sample_index"),
    "curves": ("selector", "arm_id", "n"),
    "stops": ("problem_id", "arm_id"),
    "adaptive": ("selector", "arm_id"),
    "comparisons": ("selector", "first_arm", "second_arm"),
    "coverage": ("problem_id", "arm_id", "n"),
}
_LATER = ("scores", "stops", "adaptive", "comparisons", "coverage")  # archives of earlier versions have none
_DIGITS = 9  # after the point, in which numbers must agree


class _Noting(Archive):
    """Reads an archive, and keeps in memory what would be written to it."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.noted: dict[str, list[pa.Table]] = {}

    def replace_part(self, table: schema.Table, job_id: str, part: str, rows: pa.Table) -> None:
        self.noted.setdefault(table.name, []).append(rows)

    def write_text(self, job_id: str, name: str, text: str) -> None:
        """Options of selectors: they are as they were."""

    def remove(self, job_id: str, name: str) -> None:
        """A model is no row."""

    def forget_part(self, part: PurePosixPath) -> None:
        """It shows as rows that nothing makes."""


def audit_selected(archive: Archive, work: Workload, findings: Findings) -> None:
    """Selections, scores, curves and all else of the stage are what their selectors make of the traces."""
    noting = _Noting(archive.root)
    findings.warnings += notes(select_anew(noting, work), work.job_id)
    for table in (*STAGE, *WHOLE):
        expected = pa.concat_tables(noting.noted.get(table.name, [table.arrow.empty_table()]))
        kept = [_columns(archive.store.get(str(part)) or b"") for part in archive.parts(table.name, work.job_id)]
        columns = [column for column in table.columns if all(column.name in part for part in kept)]
        if len(columns) < len(table.columns) or (not kept and expected.num_rows and table.name in _LATER):
            missing = ", ".join(column.name for column in table.columns if column not in columns)
            findings.warnings.append(
                f"{table.name}: an earlier version kept no {missing or 'such rows'}; `polythink select {work.job_id}` "
                "brings it up to date, and till then it was left out"
            )
        if kept or not expected.num_rows or table.name not in _LATER:
            _audit_table(archive, table, columns, work.job_id, expected, findings)


def _columns(part: bytes) -> set[str]:
    return set(pq.ParquetFile(pa.BufferReader(part)).schema_arrow.names)


def _audit_table(
    archive: Archive,
    table: schema.Table,
    columns: Sequence[schema.Column],
    job_id: str,
    expected: pa.Table,
    findings: Findings,
) -> None:
    names = [column.name for column in columns]
    shown = ", ".join(f"round({c.name}, {_DIGITS}) AS {c.name}" if c.type == schema.REAL else c.name for c in columns)
    key = ", ".join(_NAMED[table.name])
    with archive.connect(table.name) as connection:
        connection.register("made_again", expected)
        connection.execute(f"CREATE TEMP TABLE kept AS SELECT {shown} FROM {table.name} WHERE job_id = ?", [job_id])
        connection.execute(f"CREATE TEMP TABLE made AS SELECT {shown} FROM made_again")
        same = " AND ".join(f"kept.{name} = made.{name}" for name in _NAMED[table.name])
        connection.execute("CREATE TEMP TABLE unlike AS FROM kept EXCEPT ALL FROM made")
        connection.execute(
            "CREATE TEMP TABLE absent AS FROM (FROM made EXCEPT ALL FROM kept) made "
            f"WHERE NOT EXISTS (FROM kept WHERE {same})"
        )
        for found, is_kept in (("unlike", True), ("absent", False)):
            shown_rows = connection.execute(f"FROM {found} ORDER BY {key} LIMIT {MOST_SHOWN}").fetchall()
            for values in shown_rows:
                row = dict(zip(names, values, strict=True))
                twin = _twin(connection, table.name, row) if is_kept else None
                _note(table.name, row, twin, is_kept=is_kept, findings=findings)
            ((differing,),) = connection.execute(f"SELECT count(*) FROM {found}").fetchall()
            findings.differs_unshown(table.name, differing - len(shown_rows))
        count = connection.execute("SELECT count(*) FROM kept").fetchone()
    findings.looked(table.name, count[0] if count else 0)


def _twin(connection: duckdb.DuckDBPyConnection, table: str, row: dict[str, object]) -> dict[str, object] | None:
    """The row of the same name among those made again."""
    same = " AND ".join(f"{name} = ?" for name in _NAMED[table])
    found = connection.execute(f"SELECT * FROM made WHERE {same}", [row[name] for name in _NAMED[table]]).fetchone()
    return None if found is None else dict(zip(row, found, strict=True))


def _note(
    table: str, row: dict[str, object], twin: dict[str, object] | None, *, is_kept: bool, findings: Findings
) -> None:
    where = " ".join(str(row[name]) for name in _NAMED[table])
    if twin is None:
        found, expected = ("a row", "none") if is_kept else ("none", "a row")
        findings.differs(table, where, found=found, expected=expected)
        return
    unlike = [name for name in row if row[name] != twin[name]]
    found, expected = (", ".join(f"{name} {each[name]}" for name in unlike) for each in (row, twin))
    findings.differs(table, where, found=found or "a row twice", expected=expected or "once")
