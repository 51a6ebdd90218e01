"""The archive: one folder that holds everything, readable without polythink.

jobs/<job_id>/   spec.yaml, state.json, lock, journal/<segment>.jsonl (requests not yet in Parquet), files/
tables/<table>/job_id=<job_id>/part-*.parquet
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from polythink.errors import ArchiveError, JobBusyError, UnknownJobError
from polythink.storage import schema
from polythink.storage.files import replace_file, replace_text
from polythink.storage.state import JobState, read_state, write_state
from polythink.storage.views import create_views

ROWS_PER_GROUP = 1_000  # small groups cost nothing in size and make reading one trace cheap
ZSTD_LEVEL = 3


class Archive:
    """An archive on a local path. The folder appears with the first write."""

    def __init__(self, root: str | Path) -> None:
        if "://" in str(root):
            raise ArchiveError(f"archive {root!r}: only local folders can be archives; give a path")
        self.root = Path(root).expanduser().absolute()

    def __repr__(self) -> str:
        return f"Archive({str(self.root)!r})"

    # --- jobs

    def job_ids(self) -> list[str]:
        """All jobs, oldest first."""
        states = [state for path in self._state_files() if (state := read_state(path))]
        return [state.job_id for state in sorted(states, key=lambda state: state.created_at)]

    def resolve(self, name_or_id: str) -> str:
        """The id of a job given its id, or its name (the latest job of that name). Raises UnknownJobError."""
        if self.state(name_or_id):
            return name_or_id
        ids = self.job_ids()
        named = [job_id for job_id in ids if (state := self.state(job_id)) and state.name == name_or_id]
        if not named:
            known = ", ".join(ids[-10:]) or "none"
            raise UnknownJobError(f"no job {name_or_id!r} in {self.root}; jobs there: {known}")
        return named[-1]

    def folder(self, job_id: str) -> Path:
        """The folder of a job's spec, state and journals."""
        return self.root / "jobs" / job_id

    def state(self, job_id: str) -> JobState | None:
        """What the job last said of itself."""
        return read_state(self.folder(job_id) / "state.json")

    def write_state(self, state: JobState) -> None:
        write_state(self.folder(state.job_id) / "state.json", state)

    def spec_path(self, job_id: str) -> Path:
        return self.folder(job_id) / "spec.yaml"

    def write_spec(self, job_id: str, text: str) -> None:
        replace_text(self.spec_path(job_id), text)

    @contextmanager
    def lock(self, job_id: str) -> Iterator[None]:
        """Be the one process on this machine that runs the job. Raises JobBusyError. A dead owner's lock is free."""
        folder = self.folder(job_id)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = self.state(job_id)
                by = f" by process {owner.pid} on {owner.host}" if owner else ""
                raise JobBusyError(f"job {job_id} is being run{by}; watch it, or cancel it first") from None
            yield

    # --- tables

    def parts(self, table: str, job_id: str | None = None) -> list[Path]:
        """The Parquet files of a table, of one job or of all."""
        partition = f"job_id={job_id}" if job_id else "job_id=*"
        return sorted((self.root / "tables" / table).glob(f"{partition}/part-*.parquet"))

    def replace_part(self, table: schema.Table, job_id: str, part: str, rows: pa.Table) -> None:
        """Durably write `rows` as one part, in place of a part of the same name. Raises ArchiveError."""
        if rows.schema.names != table.arrow.names:
            raise ValueError(f"rows of {table.name} must have exactly the columns {table.arrow.names}")
        path = self.root / "tables" / table.name / f"job_id={job_id}" / f"part-{part}.parquet"
        rows = rows.cast(table.arrow)
        replace_file(
            path,
            lambda temporary: pq.write_table(
                rows, temporary, compression="zstd", compression_level=ZSTD_LEVEL, row_group_size=ROWS_PER_GROUP
            ),
        )

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A new in-memory DuckDB with the views; it sees the parts that exist now."""
        connection = duckdb.connect()
        parts = {table.name: self.parts(table.name) for table in schema.TABLES}
        create_views(connection, parts, self._state_files())
        return connection

    def sql(self, query: str, params: Sequence[object] | None = None) -> pa.Table:
        """The result of a query over the views; empty for a statement without one. Raises duckdb.Error."""
        with self.connect() as connection:
            relation = connection.sql(query, params=list(params or []))
            return pa.table({}) if relation is None else relation.to_arrow_table()

    def _state_files(self) -> list[Path]:
        return sorted(self.root.glob("jobs/*/state.json"))
