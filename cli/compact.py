"""`compact` and `export`: fewer parts, or one file for elsewhere."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import duckdb
import typer

from polythink.cli.exits import reported_errors
from polythink.cli.options import ArchiveOption, JobName, JsonOption, read_archive
from polythink.errors import ArchiveError
from polythink.storage.compaction import compact as compact_job

_FORMATS = {".parquet": "PARQUET, COMPRESSION zstd", ".csv": "CSV, HEADER", ".jsonl": "JSON"}


def compact(job: JobName, archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """Make few large Parquet files of a job's many small ones; no row changes."""
    with reported_errors():
        where = read_archive(archive)
        found = compact_job(where, where.resolve(job))
        if as_json:
            print(json.dumps([asdict(each) for each in found]))
        else:
            for each in found:
                print(f"{each.table}: {each.before:,} parts, now {each.after:,}")


def export(
    job: JobName,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write: .parquet, .csv or .jsonl.")],
    archive: ArchiveOption = None,
) -> None:
    """Write all traces of a job to one file, in the order of the job."""
    if output.suffix not in _FORMATS:
        raise typer.BadParameter(f"{output}: end it in {', '.join(_FORMATS)}", param_hint="--output")
    with reported_errors():
        where = read_archive(archive)
        job_id = where.resolve(job)
        quoted = job_id.replace("'", "''")
        target = str(output).replace("'", "''")
        query = f"SELECT * FROM traces WHERE job_id = '{quoted}' ORDER BY arm_id, problem_id, sample_index"
        try:
            with where.connect(query, [job_id]) as connection:
                connection.execute(f"COPY ({query}) TO '{target}' (FORMAT {_FORMATS[output.suffix]})")
        except duckdb.IOException as error:
            raise ArchiveError(f"cannot write {output}: {str(error).splitlines()[0]}") from error
    print(output)
