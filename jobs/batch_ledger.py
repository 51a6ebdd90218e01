"""The durable records of a job's batches: one small file each, replaced whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa

from polythink.errors import LeaseLostError
from polythink.jobs.batch_book import BatchRecord, Entry
from polythink.records import SampleKey
from polythink.storage.archive import Archive
from polythink.storage.damage import parsed
from polythink.storage.lease import Lease
from polythink.storage.rows import utc
from polythink.storage.schema import BATCHES

FOLDER = "batches"
_FIX = "bring it back from a copy: it names samples that may be with the API"
_TOLD = "SELECT number, state FROM batches WHERE job_id = ?"
_RESULTS = """
    SELECT status, error_type, cost_usd, epoch(finished_at) AS finished_at
    FROM attempts JOIN entries USING (problem_id, arm_id, sample_index, attempt) WHERE job_id = ? AND lane = 'batch'
"""


class BatchLedger:
    """All batches of a job, by number. What a method returns is durable."""

    def __init__(self, archive: Archive, job_id: str, lease: Lease) -> None:
        self._archive = archive
        self._job_id = job_id
        self._lease = lease
        self._records = {record.number: record for record in _records(archive, job_id)}

    @property
    def open(self) -> list[BatchRecord]:
        """Those whose samples nobody else may send, oldest first."""
        return [record for record in self._records.values() if record.is_open]

    @property
    def known_ids(self) -> set[str]:
        """Ids of batches that have a record."""
        return {record.batch_id for record in self._records.values() if record.batch_id}

    def next_number(self) -> int:
        return 1 + max(self._records, default=0)

    def catch_up(self) -> None:
        """Do what a run was killed just before. Journals have landed.

        Batches whose every result is in `attempts` are settled, and the table tells what the records say.
        """
        if not self._records:
            return
        told = {row["number"]: row["state"] for row in self._archive.sql(_TOLD, [self._job_id]).to_pylist()}
        for record in self._records.values():
            if told.get(record.number) != record.state:
                self._tell(record)
        for record in [each for each in self.open if each.state == "created"]:
            results = self._results(record)
            if len(results) == record.requests:
                outcomes, cost_usd = _added_up(results)
                ended_at = max(result["finished_at"] for result in results)
                self.keep(record.settled(outcomes=outcomes, cost_usd=cost_usd, ended_at=ended_at))

    def collected(self, record: BatchRecord) -> tuple[Counter[str], float]:
        """Of a batch's results that are in `attempts`: how many of each outcome, and their cost in USD."""
        return _added_up(self._results(record))

    def _results(self, record: BatchRecord) -> list[dict[str, Any]]:
        """The recorded attempts that the entries of a batch were."""
        columns = {
            "problem_id": [entry.key.problem_id for entry in record.entries],
            "arm_id": [entry.key.arm_id for entry in record.entries],
            "sample_index": [entry.key.sample_index for entry in record.entries],
            "attempt": [entry.number for entry in record.entries],
        }
        with self._archive.connect(_RESULTS, [self._job_id]) as connection:
            connection.register("entries", pa.table(columns))
            found: list[dict[str, Any]] = connection.sql(_RESULTS, params=[self._job_id]).to_arrow_table().to_pylist()
            return found

    def keep(self, record: BatchRecord) -> BatchRecord:
        """Make a record durable, and visible in the table `batches`. Raises ArchiveError and LeaseLostError.

        What is intended takes a number that nobody has taken, and is kept only by who owns the job after that too: a
        process that was frozen on the way creates nothing.
        """
        self._lease.check()
        name, text = f"{FOLDER}/{record.number:06d}.json", json.dumps({**_slim(record), "epoch": self._lease.epoch})
        if record.state != "intended":
            self._archive.write_text(self._job_id, name, text)
        elif self._archive.add_text(self._job_id, name, text):
            self._lease.check()
        else:
            place = self._archive.store.place(self._archive.file(self._job_id, name))
            raise LeaseLostError(f"job {self._job_id} was taken over: {place} is another's; resume it to go on")
        self._records[record.number] = record
        self._tell(record)
        return record

    def _tell(self, record: BatchRecord) -> None:
        self._archive.replace_part(BATCHES, self._job_id, f"{record.number:06d}", _row(record))


def open_batches(archive: Archive, job_id: str) -> int:
    """How many batches of a job may still be with the API."""
    return sum(record.is_open for record in _records(archive, job_id))


def _records(archive: Archive, job_id: str) -> list[BatchRecord]:
    kept = [(name, archive.store.get(name)) for name in archive.store.names(archive.file(job_id, FOLDER))]
    return [parsed(archive.store.place(name), data, _read, _FIX) for name, data in kept if data is not None]


def _added_up(results: Sequence[Mapping[str, Any]]) -> tuple[Counter[str], float]:
    return Counter(map(_outcome, results)), sum(result["cost_usd"] or 0.0 for result in results)


def _outcome(result: Mapping[str, Any]) -> str:
    """As the API called the result."""
    if result["status"] == "complete":
        return "succeeded"
    unprocessed = str(result["error_type"]).removeprefix("batch_")
    return unprocessed if unprocessed in ("canceled", "expired") else "errored"


def _slim(record: BatchRecord) -> dict[str, Any]:
    """As JSON; what is over needs no list of its samples, for `attempts` has them."""
    fields = asdict(replace(record, entries=()))
    entries = record.entries if record.is_open else ()
    keys = [(each.key.problem_id, each.key.arm_id, each.key.sample_index, each.number) for each in entries]
    return {**fields, "entries": keys}


def _read(data: bytes) -> BatchRecord:
    fields: dict[str, Any] = json.loads(data)
    fields.pop("epoch", None)  # of the lease it was written under: no two owners write alike
    entries = tuple(
        Entry(key=SampleKey(problem_id=problem_id, arm_id=arm_id, sample_index=index), number=number)
        for problem_id, arm_id, index, number in fields.pop("entries")
    )
    return BatchRecord(entries=entries, **fields)


def _row(record: BatchRecord) -> pa.Table:
    counts = None if record.outcomes is None else Counter(record.outcomes)
    row = {
        "number": record.number,
        "batch_id": record.batch_id,
        "state": record.state,
        "reason": record.reason,
        "endpoint": record.endpoint,
        "model": record.model,
        "requests": record.requests,
        **{name: None if counts is None else counts[name] for name in ("succeeded", "errored", "canceled", "expired")},
        "reserved_usd": record.reserved_usd,
        "cost_usd": record.cost_usd,
        "intended_at": utc(record.intended_at),
        "created_at": utc(record.created_at),
        "ended_at": utc(record.ended_at),
    }
    return pa.Table.from_pylist([row], schema=BATCHES.arrow)
