"""`rehearse`: a job against its own limits on the simulator, on a faster clock, before it costs anything."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from polythink.cli.console import stdout_console
from polythink.cli.exits import STOPPED, exit_code, reported_errors
from polythink.cli.options import JobFile, JsonOption
from polythink.cli.rehearsal_page import Rehearsal, print_page, rehearsal_json
from polythink.cli.run import run_watched
from polythink.cli.simulate import TierChoice
from polythink.jobs.forecast import ArmUse, Forecast, Limit, Timing, by_arm, forecast
from polythink.jobs.lanes import on_their_lanes
from polythink.jobs.load import LoadedJob, load_job
from polythink.jobs.price import price_job
from polythink.jobs.prompt import render
from polythink.jobs.rehearsal import credentials, model_class, own_limits, read_rehearsal, rehearsed
from polythink.jobs.workload import preview, store
from polythink.simulator.limits import LimitRules
from polythink.simulator.process import SimulatorProcess, SimulatorStartError
from polythink.simulator.service import LATENCY_SPREAD
from polythink.storage.archive import Archive

PACE = 70.0  # output tokens per simulated second and stream
LATENCY_S = 1.0  # median simulated seconds before the first byte
MEAN_LATENCY_S = LATENCY_S * math.exp(LATENCY_SPREAD**2 / 2)  # of the log-normal that has this median
BURST_WALL_S = 2.0  # retry-after is in whole seconds: a bucket must not run over while one passes


def rehearse(
    job_file: JobFile,
    tier: Annotated[TierChoice | None, typer.Option(help="Rate limits and spend cap of a tier.")] = None,
    requests_per_minute: Annotated[float | None, typer.Option(min=1, help="Your limit, for each model class.")] = None,
    input_tokens_per_minute: Annotated[float | None, typer.Option(min=1, help="Your limit, uncached input.")] = None,
    output_tokens_per_minute: Annotated[
        float | None, typer.Option(min=1, help="Your limit, thinking included.")
    ] = None,
    time_scale: Annotated[float, typer.Option(min=1, help="How much faster than the wall the clock runs.")] = 60,
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of each problem's samples; at least one.")] = 1,
    keep: Annotated[str | None, typer.Option(metavar="DIR", help="Archive to keep the rehearsal in.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a job on the simulator against your limits, faster than real: when it ends, what holds it, what it costs."""
    rules = LimitRules(
        tier=tier.value if tier else None,
        requests_per_minute=requests_per_minute,
        input_tokens_per_minute=input_tokens_per_minute,
        output_tokens_per_minute=output_tokens_per_minute,
        burst_seconds=max(LimitRules().burst_seconds, BURST_WALL_S * time_scale),
    )
    with reported_errors(), tempfile.TemporaryDirectory(prefix="polythink-rehearsal-") as scratch:
        loaded = load_job(job_file)
        try:
            rehearsal = _rehearsal(
                loaded, rules, share, time_scale, Archive(keep or f"{scratch}/archive"), Path(scratch)
            )
        except SimulatorStartError as error:
            print(f"polythink: {error}", file=sys.stderr)
            raise typer.Exit(STOPPED) from error
    if as_json:
        print(json.dumps(rehearsal_json(rehearsal), allow_nan=False))
    else:
        print_page(stdout_console(), rehearsal, loaded, now=time.time())
    raise typer.Exit(exit_code(rehearsal.state))


def _rehearsal(
    loaded: LoadedJob, rules: LimitRules, share: float, time_scale: float, archive: Archive, scratch: Path
) -> Rehearsal:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    rehearsed(loaded, base_url="http://127.0.0.1", share=share, time_scale=time_scale, stamp=stamp)  # or say why not
    prices = price_job(archive, on_their_lanes(preview(archive, loaded), time.time()))
    options = _simulator_options(rules, time_scale, _write_problems(loaded, scratch))
    with _environment(loaded), SimulatorProcess.start(options) as simulator:
        print(f"the simulator answers at {simulator.base_url}; starting Ray", file=sys.stderr)
        job = rehearsed(loaded, base_url=simulator.base_url, share=share, time_scale=time_scale, stamp=stamp)
        work = store(archive, job)
        state = run_watched(archive, work)
    uses, timing = read_rehearsal(archive, work, time_scale)
    return Rehearsal(
        job=loaded.job.name,
        total=loaded.total,
        time_scale=time_scale,
        state=state,
        prices=prices,
        uses=list(by_arm(uses).values()),
        forecast=_foretold(loaded, rules, uses, timing, time_scale) if timing else None,
    )


def _foretold(
    loaded: LoadedJob, rules: LimitRules, uses: Sequence[ArmUse], timing: Timing, time_scale: float
) -> Forecast:
    tokens, samples = sum(use.output_tokens for use in uses), sum(use.samples for use in uses)
    return forecast(
        uses,
        timing,
        limits=_limits(loaded, rules),
        concurrency=loaded.job.most_in_flight,
        total=loaded.total,
        reply_s=MEAN_LATENCY_S + tokens / samples / PACE,
        time_scale=time_scale,
    )


def _write_problems(loaded: LoadedJob, folder: Path) -> Path:
    """The job's problems as the simulator knows them best: each by the whole of its prompt."""
    path = folder / "problems.jsonl"
    arms = {arm.template: arm for arm in loaded.arms}.values()
    with path.open("w", encoding="utf-8") as lines:
        for problem in loaded.problems:
            for arm in arms:
                own = {"question_id": problem.problem_id, "question": render(arm, problem)[1], "gold": problem.gold}
                lines.write(json.dumps({**problem.fields, **own}, default=str) + "\n")
    return path


def _simulator_options(rules: LimitRules, time_scale: float, problems: Path) -> list[str]:
    options = {
        "problems": problems,
        "pace": PACE,
        "latency": LATENCY_S,
        "time-scale": time_scale,
        "burst-seconds": rules.burst_seconds,
        "tier": rules.tier,
        "requests-per-minute": rules.requests_per_minute,
        "input-tokens-per-minute": rules.input_tokens_per_minute,
        "output-tokens-per-minute": rules.output_tokens_per_minute,
    }
    return [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]


@contextmanager
def _environment(loaded: LoadedJob) -> Iterator[None]:
    """Made-up keys, and no cluster: its machines could not reach a simulator on this one."""
    keys, address = credentials(loaded), os.environ.pop("RAY_ADDRESS", None)
    os.environ.update(keys)
    try:
        yield
    finally:
        for variable in keys:
            del os.environ[variable]
        if address is not None:
            os.environ["RAY_ADDRESS"] = address


def _limits(loaded: LoadedJob, rules: LimitRules) -> list[Limit]:
    pools = dict.fromkeys((endpoint, model_class(arm.model)) for arm in loaded.arms for endpoint in arm.endpoints)
    of_server = [
        Limit(endpoint=endpoint, model_class=kind, dimension=dimension, per_minute=amount)
        for endpoint, kind in pools
        for dimension, amount in rules.per_minute(kind).items()
    ]
    return [*of_server, *own_limits(loaded)]
