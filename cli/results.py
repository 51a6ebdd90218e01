"""`query` and `show`: reading the archive."""

from __future__ import annotations

import json
import math
import sys
from enum import StrEnum
from typing import Annotated, Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from polythink.cli.console import stdout_console
from polythink.cli.exits import BAD_USAGE, reported_errors
from polythink.cli.options import ArchiveOption, JsonOption, read_archive
from polythink.explorer.labels import clean
from polythink.storage.archive import Archive

_CELL = 60  # characters of a cell shown in a table


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"
    markdown = "markdown"


def query(
    sql: Annotated[
        str,
        typer.Argument(
            metavar="SQL",
            help="DuckDB SQL over jobs, problems, arms, traces, attempts, batches, selections, scores, embeddings, "
            "curves, comparisons, coverage, stops, adaptive, spend, frontier, calibration, "
            "calibration_summary.",
        ),
    ],
    archive: ArchiveOption = None,
    format: Annotated[Format, typer.Option(help="How to print the result.")] = Format.table,
) -> None:
    """Ask the archive in SQL."""
    with reported_errors():
        where = read_archive(archive)
        try:
            result = where.sql(sql)
        except duckdb.Error as error:
            print(f"polythink: {error}", file=sys.stderr)
            raise typer.Exit(BAD_USAGE) from error
    try:
        print_result(result, format)
    except pa.ArrowInvalid as error:  # a list in a CSV cell
        print(f"polythink: --format {format.value}: {error}", file=sys.stderr)
        raise typer.Exit(BAD_USAGE) from error


def print_result(result: pa.Table, format: Format) -> None:
    """A query's result on stdout."""
    match format:
        case Format.table:
            stdout_console().print(rich_table(result))
        case Format.csv:
            pa_csv.write_csv(result, sys.stdout.buffer)
        case Format.json:
            rows = [{name: _finite(value) for name, value in row.items()} for row in result.to_pylist()]
            print(json.dumps(rows, ensure_ascii=False, default=str, indent=1))
        case Format.parquet:
            pq.write_table(result, pa.PythonFile(sys.stdout.buffer, mode="w"), compression="zstd")
        case Format.markdown:
            print(markdown(result))


def rich_table(result: pa.Table) -> Table:
    """A result for people: long cells cut, numbers to the right."""
    table = Table()
    for field in result.schema:
        numeric = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        table.add_column(escape(field.name), justify="right" if numeric else "left")
    for row in result.to_pylist():
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    return table


def markdown(result: pa.Table) -> str:
    """A result as a Markdown table."""
    lines = [result.schema.names, ["---"] * result.num_columns]
    lines += [[_cell(value).replace("|", "\\|") for value in row.values()] for row in result.to_pylist()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def show(
    sample: Annotated[str, typer.Argument(metavar="SAMPLE", help="A sample_id, or problem/arm/index.")],
    archive: ArchiveOption = None,
    job: Annotated[str | None, typer.Option(help="The job, where problem/arm/index alone could mean several.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Read one trace: what was thought, what was answered, what it cost."""
    with reported_errors():
        where = read_archive(archive)
        found = _find(where, sample, where.resolve(job) if job else None)
    if len(found) != 1:
        what = "no trace" if not found else f"{len(found)} traces (name one with --job)"
        print(f"polythink: {what} for {sample!r} in {where.root}", file=sys.stderr)
        raise typer.Exit(BAD_USAGE)
    if as_json:
        print(json.dumps(found[0], ensure_ascii=False, default=str))
    else:
        _print_trace(stdout_console(), found[0])


_FIND = """
    SELECT traces.*, gold FROM traces JOIN problems USING (job_id, problem_id)
    WHERE (sample_id = $sample OR problem_id || '/' || arm_id || '/' || sample_index = $sample)
        AND ($job IS NULL OR job_id = $job)
"""


def _find(archive: Archive, sample: str, job_id: str | None) -> list[dict[str, Any]]:
    with archive.connect(_FIND, [job_id]) as connection:
        found = connection.sql(_FIND, params={"sample": sample, "job": job_id})
        return list(found.to_arrow_table().to_pylist())


def _print_trace(console: Console, trace: dict[str, Any]) -> None:
    answer = "-" if trace["answer"] is None else trace["answer"]
    verdict = {True: "right", False: "wrong", None: "not graded"}[trace["correct"]]
    mind = f"  simulated by the {trace['simulator']} mind" if trace["simulated"] else ""
    facts = [
        f"{trace['problem_id']}  {trace['arm_id']}  sample {trace['sample_index']}  of {trace['job_id']}",
        f"{trace['outcome']}: {answer}  ({verdict}; gold {trace['gold']})",
        f"{trace['model']}  {trace['output_tokens'] or 0:,} tokens out, {trace['thinking_tokens'] or 0:,} thinking, "
        f"{trace['input_tokens'] or 0:,} in  ${trace['cost_usd'] or 0:.6f}{mind}",
        _when(trace),
    ]
    if trace["error_message"]:
        facts.append(f"{trace['error_type']}: {trace['error_message']}")
    console.print(Text(clean("\n".join(facts)), style="bold"), soft_wrap=True)
    for name in ("thinking", "text"):
        console.rule(name)
        console.print(Text(clean(trace[name] or "(none)")), soft_wrap=True)


def _when(trace: dict[str, Any]) -> str:
    if trace["finished_at"] is None:
        return f"imported  {trace['metadata'] or ''}"
    return f"{trace['finished_at']:%Y-%m-%d %H:%M:%S} UTC  {trace['attempts']} attempts  request {trace['request_id']}"


def _finite(value: object) -> object:
    """JSON has no word for infinity or for what is not a number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:,.6g}" if isinstance(value, float) else str(value)
    text = clean(text.replace("\n", " "))
    return text if len(text) <= _CELL else text[: _CELL - 1] + "\N{HORIZONTAL ELLIPSIS}"
