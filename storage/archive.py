"""The archive: one folder, or one place in a bucket, that holds everything, readable without polythink.

jobs/<job_id>/   spec.yaml, state.json, lease.json, journal/<number>.jsonl (requests not yet in Parquet), files/
tables/<table>/job_id=<job_id>/part-*.parquet
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from polythink.errors import ArchiveError, UnknownJobError
from polythink.storage import damage, schema
from polythink.storage.lease import Lease, hold, is_held_here
from polythink.storage.part_names import counted
from polythink.storage.segments import fence
from polythink.storage.state import JobState, from_json, to_json
from polythink.storage.store import open_store
from polythink.storage.views import READ_BY, create_views

ROWS_PER_GROUP = 1_000  # small groups cost nothing in size and make reading one trace cheap
ZSTD_LEVEL = 3
STATE = "state.json"
_FIX_OF_STATE = "bring it back from a copy; until then the job cannot be gone on with"
_PARTED = {table.name for table in schema.TABLES}
_WORD = re.compile(r"\w+")
_CAUSE = re.compile(r"(?m)^\w*(?:Error|Exception): .*(?:\n.*)?")  # the last line of a traceback


class Archive:
    """An archive at a local path or a URL (`s3://bucket/prefix`, `gs://`, `az://`). It appears with the first write."""

    def __init__(self, root: str | Path) -> None:
        self.store = open_store(root)
        self._damaged: dict[PurePosixPath, str] = {}  # parts that could not be read, and what to say of each

    def __repr__(self) -> str:
        return f"Archive({self.root!r})"

    @property
    def root(self) -> str:
        """As `--archive` takes it: an absolute path or a URL."""
        return self.store.root

    @property
    def is_remote(self) -> bool:
        return self.store.folder is None

    def exists(self) -> bool:
        """Whether anything was ever kept here."""
        return not {"jobs", "tables"}.isdisjoint(self.store.folders(""))

    # --- jobs

    def job_ids(self) -> list[str]:
        """All jobs, oldest first."""
        return [state.job_id for state in sorted(self._states(), key=lambda state: state.created_at)]

    def resolve(self, name_or_id: str) -> str:
        """The id of a job given its id, or its name (the latest of that name). Raises UnknownJobError, ArchiveError."""
        if self.state(name_or_id):
            return name_or_id
        ids = self.job_ids()
        for job_id in set(self.store.folders("jobs")) - set(ids):
            if job_id.rpartition("-")[0] == name_or_id:
                self.state(job_id)  # if it is damaged, another of that name would be taken for it
        named = [job_id for job_id in ids if (state := self.state(job_id)) and state.name == name_or_id]
        if not named:
            known = ", ".join(ids[-10:]) or "none"
            raise UnknownJobError(f"no job {name_or_id!r} in {self.root}; jobs there: {known}")
        return named[-1]

    def file(self, job_id: str, name: str) -> str:
        """The name, in the store, of a file among a job's spec, state and journals."""
        return f"jobs/{job_id}/{name}"

    def state(self, job_id: str) -> JobState | None:
        """What the job last said of itself. Raises ArchiveError if that is damaged."""
        name = self.file(job_id, STATE)
        data = self.store.get(name)
        return None if data is None else damage.parsed(self.store.place(name), data, from_json, _FIX_OF_STATE)

    def write_state(self, state: JobState) -> None:
        self.write_text(state.job_id, STATE, to_json(state))

    def read_text(self, job_id: str, name: str) -> str | None:
        """A text kept with a job, None if there is none."""
        data = self.store.get(self.file(job_id, name))
        return None if data is None else data.decode("utf-8")

    def write_text(self, job_id: str, name: str, text: str) -> None:
        """Durably replace a text kept with a job. Raises ArchiveError."""
        self.store.put(self.file(job_id, name), text.encode("utf-8"))

    def add_text(self, job_id: str, name: str, text: str) -> bool:
        """Durably keep a text with a job unless there is one of that name; whether there was none. Raises ArchiveError.

        The text must be unlike any that another process may write there.
        """
        return self.store.put_if_absent(self.file(job_id, name), text.encode("utf-8")) is not None

    def remove(self, job_id: str, name: str) -> None:
        """Durably remove a file kept with a job; it need not be there. Raises ArchiveError."""
        self.store.delete(self.file(job_id, name))

    def as_file(self, job_id: str, name: str) -> AbstractContextManager[Path]:
        """A file kept with a job as a local file; of a remote archive, a copy for as long as the context lasts."""
        return self.store.as_file(self.file(job_id, name))

    @contextmanager
    def lock(self, job_id: str, *, force: bool = False) -> Iterator[Lease]:
        """Be the one process anywhere that runs the job. Raises JobBusyError.

        An owner on this machine whose process is gone is replaced at once, one on another when it has shown no sign of
        life for a while; with `force`, any. An owner that was replaced can add nothing more to the job.
        """
        with hold(self.store, self.file(job_id, "lease.json"), f"job {job_id}", force=force) as lease:
            if lease.is_takeover:
                with lease.given_back_only_if_done():
                    fence(self.store, job_id)
            yield lease

    def lock_name(self, name: str) -> AbstractContextManager[Lease]:
        """Wait to be the one process that stores a job of that name: two would make two of it."""
        return hold(self.store, f"jobs/.{name}.lease.json", f"job name {name}", waits=True)

    def is_locked(self, job_id: str) -> bool:
        """Whether a live process of this machine runs the job."""
        return is_held_here(self.store, self.file(job_id, "lease.json"))

    # --- tables

    def parts(self, table: str, job_id: str | None = None) -> list[PurePosixPath]:
        """The Parquet files of a table, of one job or of all, by their names in the store; those that count."""
        prefix = f"tables/{table}/job_id={job_id}" if job_id else f"tables/{table}"
        found = [part for part in map(PurePosixPath, self.store.names(prefix)) if part.match("part-*.parquet")]
        return counted(found)

    def replace_part(self, table: schema.Table, job_id: str, part: str, rows: pa.Table) -> None:
        """Durably write `rows` as one part, in place of a part of the same name. Raises ArchiveError."""
        name = _part(table, job_id, part)
        self.store.put(name, _parquet(table, rows))
        self._damaged.pop(PurePosixPath(name), None)

    def add_part(self, table: schema.Table, job_id: str, part: str, rows: pa.Table) -> None:
        """Durably write `rows` as one part, unless there is one of that name. Raises ArchiveError."""
        self.store.put_if_absent(_part(table, job_id, part), _parquet(table, rows))

    def forget_part(self, part: PurePosixPath) -> None:
        """Durably remove one of `parts`. Raises ArchiveError."""
        self.store.delete(str(part))

    def connect(self, query: str | None = None, asked: Sequence[object] = ()) -> duckdb.DuckDBPyConnection:
        """A new in-memory DuckDB with the views; it sees the parts that exist now.

        For one `query`, views that it does not name are left empty: to open a part takes several round trips to a
        bucket. A damaged part is left out with a warning, unless its job is among what is `asked` for: then, or if the
        store cannot be read, raises ArchiveError.
        """
        named = _named(query)
        with _reading(self.root):
            try:
                return self._connected(named, asked)
            except duckdb.Error as error:
                self._find_damaged(named, error)
                return self._connected(named, asked)

    def sql(self, query: str, params: Sequence[object] | None = None) -> pa.Table:
        """The result of a query over the views; empty for a statement without one.

        Raises duckdb.Error, and ArchiveError if the store cannot be read or a part is damaged of a job whose id is
        among `params`; damaged parts of other jobs are left out with a warning.
        """
        asked = list(params or [])
        with _reading(self.root):
            try:
                return self._result(query, asked)
            except duckdb.Error as error:
                self._find_damaged(_named(query), error)
                return self._result(query, asked)

    def _result(self, query: str, asked: list[object]) -> pa.Table:
        with self._connected(_named(query), asked) as connection:
            relation = connection.sql(query, params=asked)
            return pa.table({}) if relation is None else relation.to_arrow_table()

    def _connected(self, named: set[str], asked: Sequence[object]) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        if (filesystem := self.store.filesystem()) is not None:
            connection.register_filesystem(filesystem)
        parts = {name: self._readable(name, asked) for name in named & _PARTED}
        create_views(connection, parts, self._states() if "jobs" in named else [])
        return connection

    def _readable(self, table: str, asked: Sequence[object]) -> list[str]:
        """The places of a table's parts, but for damaged ones that nobody asks for."""
        parts = self.parts(table)
        for part in self._damaged.keys() & parts:
            if any(damage.is_of(part, each) for each in asked):
                raise ArchiveError(self._damaged[part])
            damage.warn_left_out(self._damaged[part])
        return [self.store.place(str(part)) for part in parts if part not in self._damaged]

    def _find_damaged(self, named: set[str], error: duckdb.Error) -> None:
        """After a failure to read: note which parts are damaged. Raises it if the query or the store is to blame."""
        if isinstance(error, damage.WRONG_QUERIES):
            raise error
        for part in [part for name in named & _PARTED for part in self.parts(name)]:
            try:
                data = self.store.get(str(part))
            except ArchiveError:
                raise error from None
            if data is not None and (why := damage.why_unreadable(data)):
                self._damaged[part] = damage.told(self.store.place(str(part)), part, why)

    def _states(self) -> list[JobState]:
        paths = map(PurePosixPath, self.store.names("jobs"))
        found = [self._state_or_warning(path.parent.name) for path in paths if path.match(f"jobs/*/{STATE}")]
        return [state for state in found if state]

    def _state_or_warning(self, job_id: str) -> JobState | None:
        try:
            return self.state(job_id)
        except ArchiveError as error:
            damage.warn_left_out(str(error))
            return None


def _named(query: str | None) -> set[str]:
    """The views that a query may read."""
    words = set(_WORD.findall(query.lower())) if query else _PARTED | {"jobs"}
    return words.union(*(READ_BY[name] for name in words & READ_BY.keys()))


@contextmanager
def _reading(root: str) -> Iterator[None]:
    """What a bucket refuses comes out of DuckDB as the traceback of the file system underneath."""
    try:
        yield
    except duckdb.Error as error:
        causes = _CAUSE.findall(str(error))
        if not causes:
            raise
        raise ArchiveError(f"cannot read the tables of {root}: {' '.join(causes[-1].split())[:300]}") from error


def _part(table: schema.Table, job_id: str, part: str) -> str:
    return f"tables/{table.name}/job_id={job_id}/part-{part}.parquet"


def _parquet(table: schema.Table, rows: pa.Table) -> bytes:
    if rows.schema.names != table.arrow.names:
        raise ValueError(f"rows of {table.name} must have exactly the columns {table.arrow.names}")
    buffer = pa.BufferOutputStream()
    pq.write_table(
        rows.cast(table.arrow),
        buffer,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        row_group_size=ROWS_PER_GROUP,
    )
    return bytes(buffer.getvalue())
