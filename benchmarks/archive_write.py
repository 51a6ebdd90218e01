"""Keeping traces: journal with group commit, and landing as Parquet, next to bare appends and bare pyarrow."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.ratio import Ratio
from polythink.records import Attempt, Reading, SampleKey, Usage
from polythink.storage import schema
from polythink.storage.archive import ROWS_PER_GROUP, ZSTD_LEVEL, Archive
from polythink.storage.journal import JournalWriter, encode
from polythink.storage.landing import land
from polythink.storage.rows import attempt_rows, trace_rows
from polythink.storage.segments import Journal

TRACES = 20_000
GROUP = 100  # traces acknowledged at once
WORDS = ("the", "sum", "of", "both", "sides", "is", "then", "even", "so", "one", "factor", "must", "be", "two")


def measure() -> list[Ratio]:
    attempts = [_attempt(n) for n in range(TRACES)]
    with tempfile.TemporaryDirectory() as folder:
        return [_journal(Path(folder), attempts), _landing(Path(folder), attempts)]


def _journal(folder: Path, attempts: Sequence[Attempt]) -> Ratio:
    groups = [attempts[n : n + GROUP] for n in range(0, TRACES, GROUP)]
    lines = [b"".join(encode(attempt) for attempt in group) for group in groups]
    writer = JournalWriter(folder / "000001-bench.jsonl")

    def journal() -> None:
        for group in groups:
            writer.append(group)

    ours = _per_second(journal)
    writer.close()
    with (folder / "bare").open("wb", buffering=0) as file:

        def bare() -> None:
            for block in lines:
                file.write(block)
                os.fsync(file.fileno())

        baseline = _per_second(bare)
    return Ratio(
        name=f"journal, {GROUP} traces per commit",
        unit="traces/s",
        ours=ours,
        baseline=baseline,
        baseline_is="the same bytes, ready made, written and fsynced",
    )


def _landing(folder: Path, attempts: Sequence[Attempt]) -> Ratio:
    readings = [_reading(attempt) for attempt in attempts]
    archive = Archive(folder / "archive")
    writer = Journal(archive, "bench").begin()
    writer.append(attempts)
    writer.close()
    ours = _per_second(lambda: land(archive, "bench", writer.ref, lambda _: readings))
    tables = attempt_rows("bench", attempts), trace_rows("bench", attempts, readings)

    def bare() -> None:
        for name, table in zip(("attempts", "traces"), tables, strict=True):
            path = folder / f"{name}.parquet"
            pq.write_table(table, path, compression="zstd", compression_level=ZSTD_LEVEL, row_group_size=ROWS_PER_GROUP)

    assert pq.read_schema(archive.store.place(str(archive.parts(schema.TRACES.name)[0]))) == schema.TRACES.arrow
    return Ratio(
        name="journal to Parquet",
        unit="traces/s",
        ours=ours,
        baseline=_per_second(bare),
        baseline_is="bare pyarrow, same rows, ready made",
    )


def _per_second(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return TRACES / (time.perf_counter() - started)


def _attempt(number: int) -> Attempt:
    prose = " ".join(WORDS[(number * 7 + i * i) % len(WORDS)] + str((number * i) % 97) for i in range(900))
    content = [
        {"type": "thinking", "thinking": prose, "signature": "c2ln"},
        {"type": "text", "text": f"It is {number}."},
    ]
    return Attempt(
        key=SampleKey(problem_id=f"p{number % 500}", arm_id="arm", sample_index=number // 500),
        number=1,
        status="complete",
        lane="live",
        endpoint="default",
        queued_at=1.0,
        started_at=2.0,
        first_token_at=3.0,
        finished_at=4.0,
        content=json.dumps(content),
        stop_reason="end_turn",
        usage=Usage(input_tokens=100, output_tokens=2_000, thinking_tokens=1_900),
        cost_usd=0.01,
        model="claude-haiku-4-5",
        request_id=f"req_{number}",
        message_id=f"msg_{number}",
        http_status=200,
    )


def _reading(attempt: Attempt) -> Reading:
    answer = str(attempt.key.sample_index)
    return Reading(outcome="answered", answer=answer, canonical_answer=answer, correct=True)
