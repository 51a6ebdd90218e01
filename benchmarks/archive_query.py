"""Asking the archive: the views next to bare DuckDB over the same files."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.ratio import Ratio
from polythink.storage import schema
from polythink.storage.archive import Archive

ROWS = 200_000
PARTS = 50  # as an overnight job leaves behind
RUNS = 5
AGGREGATE = "SELECT arm_id, avg(correct::INT), sum(cost_usd), avg(thinking_tokens) FROM {} GROUP BY arm_id"


def measure() -> list[Ratio]:
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(folder)
        for part in range(PARTS):
            archive.replace_part(schema.TRACES, "bench", f"{part:06d}", _rows(part))
        bare = f"read_parquet('{Path(folder) / 'tables/traces/*/*.parquet'}', hive_partitioning = true)"
        return [
            Ratio(
                name=name,
                unit="ms",
                ours=_milliseconds(partial(archive.sql, sql.format("traces"))),
                baseline=_milliseconds(partial(_bare, sql.format(bare))),
                baseline_is="bare DuckDB, glob over the same files",
            )
            for name, sql in (("aggregate over small columns", AGGREGATE), ("count", "SELECT count(*) FROM {}"))
        ]


def _bare(sql: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(sql).fetchall()


def _milliseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1e3)
    return median(times)


def _rows(part: int) -> pa.Table:
    rng = np.random.default_rng(part)
    count = ROWS // PARTS
    made: dict[pa.DataType, Callable[[], Any]] = {
        schema.TEXT: lambda: [f"text {n}" for n in rng.integers(0, 9, count)],
        schema.COUNT: lambda: rng.integers(0, 10_000, count),
        schema.REAL: lambda: rng.random(count),
        schema.FLAG: lambda: rng.random(count) < 0.5,
        schema.WHEN: lambda: [datetime(2026, 1, 1, tzinfo=UTC)] * count,
    }
    columns = [pa.array(made[column.type](), column.type) for column in schema.TRACES.columns]
    return pa.Table.from_arrays(columns, schema=schema.TRACES.arrow)
