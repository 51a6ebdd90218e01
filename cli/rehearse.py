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
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from polythink.cli.console import stdout_console
from polythink.cli.exits import STOPPED, exit_code, reported_errors
from polythink.cli.options import JobFile, JsonOption
from polythink.cli.progress import duration
from polythink.cli.run import run_watched
from polythink.cli.simulate import TierChoice
from polythink.explorer.labels import dollars
from polythink.jobs.load import LoadedJob, load_job
from polythink.jobs.price import ArmPrice, price_job
from polythink.jobs.prompt import render
from polythink.jobs.rehearsal import (
    ArmUse,
    Forecast,
    Limit,
    LimitUse,
    credentials,
    forecast,
    model_class,
    own_limits,
    read_rehearsal,
    rehearsed,
)
from polythink.jobs.workload import preview, store
from polythink.simulator.limits import LimitRules
from polythink.simulator.process import SimulatorProcess, SimulatorStartError
from polythink.simulator.service import LATENCY_SPREAD
from polythink.storage.archive import Archive
from polythink.storage.state import JobState

PACE = 70.0  # output tokens per simulated second and stream
LATENCY_S = 1.0  # median simulated seconds before the first byte
MEAN_LATENCY_S = LATENCY_S * math.exp(LATENCY_SPREAD**2 / 2)  # of the log-normal that has this median
BURST_WALL_S = 2.0  # retry-after is in whole seconds: a bucket must not run over while one passes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A rehearsal that has ended."""

    job: str
    total: int  # samples of the real job
    time_scale: float
    state: JobState
    prices: list[ArmPrice]
    uses: list[ArmUse]
    forecast: Forecast | None  # None: no sample was finished


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
        print(json.dumps(_as_json(rehearsal), allow_nan=False))
    else:
        _print_page(stdout_console(), rehearsal, loaded, now=time.time())
    raise typer.Exit(exit_code(rehearsal.state))


def _rehearsal(
    loaded: LoadedJob, rules: LimitRules, share: float, time_scale: float, archive: Archive, scratch: Path
) -> Rehearsal:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    rehearsed(loaded, base_url="http://127.0.0.1", share=share, time_scale=time_scale, stamp=stamp)  # or say why not
    prices = price_job(archive, preview(archive, loaded))
    options = _simulator_options(rules, time_scale, _write_problems(loaded, scratch))
    with _environment(loaded), SimulatorProcess.start(options) as simulator:
        print(f"the simulator answers at {simulator.base_url}; starting Ray", file=sys.stderr)
        job = rehearsed(loaded, base_url=simulator.base_url, share=share, time_scale=time_scale, stamp=stamp)
        work = store(archive, job)
        state = run_watched(archive, work)
    uses, timing = read_rehearsal(archive, work, time_scale)
    samples = sum(use.samples for use in uses)
    foretold = (
        None
        if timing is None
        else forecast(
            uses,
            timing,
            limits=_limits(loaded, rules),
            concurrency=loaded.job.concurrency,
            total=loaded.total,
            reply_s=MEAN_LATENCY_S + sum(use.output_tokens for use in uses) / samples / PACE,
            time_scale=time_scale,
        )
    )
    return Rehearsal(
        job=loaded.job.name,
        total=loaded.total,
        time_scale=time_scale,
        state=state,
        prices=prices,
        uses=uses,
        forecast=foretold,
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
    pools = dict.fromkeys((arm.endpoint, model_class(arm.model)) for arm in loaded.arms)
    of_server = [
        Limit(endpoint=endpoint, model_class=kind, dimension=dimension, per_minute=amount)
        for endpoint, kind in pools
        for dimension, amount in rules.per_minute(kind).items()
    ]
    return [*of_server, *own_limits(loaded)]


def _print_page(console: Console, rehearsal: Rehearsal, loaded: LoadedJob, *, now: float) -> None:
    console.print(_cost_table(rehearsal))
    lines = [
        f"rehearsed    {rehearsal.state.done:,} of {rehearsal.total:,} samples, {rehearsal.time_scale:g} x as fast"
    ]
    if rehearsal.state.done < rehearsal.total:
        lines[0] += "; finish, rates and costs are extrapolated"
    if rehearsal.state.reason:
        lines.append(f"ended early  {rehearsal.state.reason}")
    if rehearsal.forecast:
        console.print(_limit_table(rehearsal.forecast))
        lines += _findings(rehearsal, rehearsal.forecast, loaded.job.concurrency, now)
        cap, cost = loaded.job.cap, _projected(rehearsal)
        if cap and cost > cap.usd:
            lines.append(
                f"cap          {dollars(cost)} is above the cap of {dollars(cap.usd)}: the real run would stop there"
            )
    lines.append("simulated    answers are invented: the accuracy of a rehearsal means nothing")
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _findings(rehearsal: Rehearsal, found: Forecast, concurrency: int, now: float) -> list[str]:
    finish = datetime.fromtimestamp(now + found.finish_s).astimezone()
    limited = sum(use.limited for use in rehearsal.uses)
    lines = [
        f"would take   {duration(found.finish_s)}: started now, it ends {finish:%Y-%m-%d %H:%M %Z}",
        f"held by      {_brake(found, concurrency)}",
        f"429s         {limited:,} in the rehearsal; each makes all workers wait a second of the wall's clock or more",
    ]
    if found.advised_time_scale is not None:
        lines.append(
            f"caution      this machine, not the limits, set the pace: {found.slowdown:.1f} x slower than they allow. "
            f"The real run would take {duration(found.soonest_s)} or more; "
            f"rehearse with --time-scale {found.advised_time_scale:g}"
        )
    return lines


def _brake(found: Forecast, concurrency: int) -> str:
    if found.brake == "limit" and found.binding:
        return f"{_name(found.binding.limit)}: {found.binding.limit.per_minute:,.0f} a minute"
    if found.brake == "size":
        return "nothing: every sample is in flight at once, and the longest decides"
    said = f"concurrency: {concurrency:,} in flight, {found.reply_s:.1f} s a reply"
    if found.wanted_concurrency is None:
        return f"{said}; no limits were given (--tier, --requests-per-minute, ...)"
    return f"{said}; raise `concurrency`: {found.wanted_concurrency:,} would use the nearest limit"


def _name(limit: Limit) -> str:
    where = f"{limit.model_class}, the job's own" if limit.is_own else limit.model_class
    return f"{limit.dimension.replace('_', ' ')}, {where} ({limit.endpoint})"


def _limit_table(found: Forecast) -> Table:
    table = Table(title="Simulated: use of the limits, a minute", title_justify="left")
    table.add_column("limit")
    for name in ("used", "allowed", "share"):
        table.add_column(name, justify="right")
    for use in found.limits:
        table.add_row(_name(use.limit), f"{use.per_minute:,.0f}", f"{use.limit.per_minute:,.0f}", f"{use.share:.0%}")
    table.add_row("all requests", f"{found.requests_per_minute:,.0f}", "", "")
    return table


def _cost_table(rehearsal: Rehearsal) -> Table:
    table = Table(title=f"{rehearsal.job}: simulated rehearsal, costs of all samples", title_justify="left")
    table.add_column("arm", no_wrap=True)
    for name in ("at least", "budget used", "at most", "rehearsed", "tokens out", "truncated", "refused", "failed"):
        table.add_column(name, justify="right")
    used = {use.arm_id: use for use in rehearsal.uses}
    for price in rehearsal.prices:
        use = used.get(price.arm.arm_id)
        row = map(dollars, (price.low_usd, price.likely_usd, price.high_usd, _arm_cost(use, price.owed)))
        shares = (use.truncated, use.refused, use.failed) if use else ()
        tokens = [f"{use.output_tokens / use.samples:,.0f}"] if use else []
        table.add_row(price.arm.arm_id, *row, *tokens, *(f"{n / use.samples:.1%}" for n in shares if use))
    table.add_row("all", "", "", "", dollars(_projected(rehearsal)))
    return table


def _arm_cost(use: ArmUse | None, samples: int) -> float | None:
    return use.cost_usd / use.samples * samples if use else None


def _projected(rehearsal: Rehearsal) -> float:
    owed = {price.arm.arm_id: price.owed for price in rehearsal.prices}
    return sum(_arm_cost(use, owed[use.arm_id]) or 0.0 for use in rehearsal.uses)


def _as_json(rehearsal: Rehearsal) -> dict[str, object]:
    found = rehearsal.forecast
    return {
        "simulated": True,
        "job": rehearsal.job,
        "status": rehearsal.state.status,
        "reason": rehearsal.state.reason,
        "samples": rehearsal.total,
        "rehearsed": rehearsal.state.done,
        "time_scale": rehearsal.time_scale,
        "cost_usd": _projected(rehearsal),
        "arms": [_arm_json(price, rehearsal.uses) for price in rehearsal.prices],
        "forecast": None if found is None else {**asdict(found), "limits": _limits_json(found.limits)},
    }


def _arm_json(price: ArmPrice, uses: Sequence[ArmUse]) -> dict[str, object]:
    use = next((use for use in uses if use.arm_id == price.arm.arm_id), None)
    return {
        "arm_id": price.arm.arm_id,
        "low_usd": price.low_usd,
        "likely_usd": price.likely_usd,
        "high_usd": price.high_usd,
        "cost_usd": _arm_cost(use, price.owed),
        "rehearsed": asdict(use) if use else None,
    }


def _limits_json(limits: Sequence[LimitUse]) -> list[dict[str, object]]:
    """As they are; JSON has no number for the ceiling of a limit that nothing uses."""
    return [{**asdict(use), "ceiling": None if math.isinf(use.ceiling) else use.ceiling} for use in limits]
