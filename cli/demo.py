"""`demo`: the main job end to end, on this machine."""

from __future__ import annotations

import shlex
import sys
import time
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from polythink.cli.console import stdout_console
from polythink.cli.exits import STOPPED, exit_code, reported_errors
from polythink.cli.options import ArchiveOption, open_archive
from polythink.cli.results import rich_table
from polythink.cli.run import print_summary, run_watched
from polythink.explorer.figures import write_figures
from polythink.explorer.report import write_report
from polythink.jobs.load import load_job
from polythink.jobs.workload import store
from polythink.simulator.process import SimulatorProcess, SimulatorStartError
from polythink.storage.archive import Archive

LATENCY_S = 0.4  # seconds before the synthetic mind's first byte, so that there is something to watch


class DemoMind(StrEnum):
    synthetic = "synthetic"
    local = "local"


_JOB_FILES = {DemoMind.synthetic: "demo.yaml", DemoMind.local: "demo-local.yaml"}
_QUERY = """\
SELECT arm_id, count(*) AS samples, round(avg(thinking_tokens)) AS thinking_tokens,
       round(avg((correct IS TRUE)::INT), 3) AS accuracy, round(sum(cost_usd), 2) AS cost_usd,
       round(sum(cost_usd) / nullif(count(*) FILTER (correct), 0), 4) AS usd_per_right_answer
FROM traces JOIN arms USING (job_id, arm_id)
WHERE job_id = '{job_id}' GROUP BY arm_id, ordinal ORDER BY ordinal"""


def demo(
    mind: Annotated[DemoMind, typer.Option(help="What answers: invented thoughts, or a real small model.")] = (
        DemoMind.synthetic
    ),
    archive: ArchiveOption = None,
) -> None:
    """The main job end to end, answered by a simulated API on this machine. Costs nothing."""
    with reported_errors():
        where = open_archive(archive)
        job_file = Path(str(resources.files("polythink"))) / "examples" / _JOB_FILES[mind]
        try:
            with SimulatorProcess.start(_simulator_options(mind, job_file)) as simulator:
                print(f"the {mind} mind answers at {simulator.base_url}; starting Ray", file=sys.stderr)
                name = f"{job_file.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
                loaded = load_job(job_file, {"name": name, "endpoint": {"base_url": simulator.base_url}})
                state = run_watched(where, store(where, loaded))
        except SimulatorStartError as error:
            print(f"polythink: {error}", file=sys.stderr)
            raise typer.Exit(STOPPED) from error
        print_summary(where, state)
        _print_query(where, state.job_id)
        _write_pages(where, state.job_id)
    raise typer.Exit(exit_code(state))


def _simulator_options(mind: DemoMind, job_file: Path) -> list[str]:
    if mind is DemoMind.local:
        return ["--mind", "local"]
    problems = job_file.with_name("competition.jsonl")
    return ["--mind", "synthetic", "--problems", str(problems), "--latency", str(LATENCY_S)]


def _print_query(archive: Archive, job_id: str) -> None:
    console = stdout_console()
    query = _QUERY.format(job_id=job_id)
    command = f'polythink query --archive {shlex.quote(archive.root)} "{query}"'
    console.print(f"\n{command}\n", highlight=False, markup=False, soft_wrap=True)
    console.print(rich_table(archive.sql(query)))


def _write_pages(archive: Archive, job_id: str) -> None:
    folder = (archive.store.folder or Path()) / "reports" / job_id  # of an archive in a bucket: here
    for path in [*write_figures(archive, job_id, folder), write_report(archive, job_id, folder / "report.html")]:
        print(path)
