"""How a rehearsal reads: costs, limits and what holds the job back, on one page or as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from rich.console import Console
from rich.table import Table

from polythink.cli.progress import duration
from polythink.explorer.labels import dollars
from polythink.jobs.forecast import ArmUse, Forecast, Limit, LimitUse
from polythink.jobs.load import LoadedJob
from polythink.jobs.price import ArmPrice
from polythink.storage.state import JobState


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


def print_page(console: Console, rehearsal: Rehearsal, loaded: LoadedJob, *, now: float) -> None:
    """The whole page; `now` is in Unix seconds."""
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
        lines += _findings(rehearsal, rehearsal.forecast, loaded.job.most_in_flight, now)
        cap, cost = loaded.job.cap, _projected(rehearsal)
        if cap and cost > cap.usd:
            lines.append(
                f"cap          {dollars(cost)} is above the cap of {dollars(cap.usd)}: the real run would stop there"
            )
    if loaded.job.stop is not None:
        lines.append("at most      the stopping rule is left out here: a real run sends fewer samples")
    lines.append("simulated    answers are invented: the accuracy of a rehearsal means nothing")
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _findings(rehearsal: Rehearsal, found: Forecast, concurrency: int | None, now: float) -> list[str]:
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


def _brake(found: Forecast, concurrency: int | None) -> str:
    if found.brake == "limit" and found.binding:
        return f"{_name(found.binding.limit)}: {found.binding.limit.per_minute:,.0f} a minute"
    if found.brake == "size":
        return "nothing: every sample is in flight at once, and the longest decides"
    if concurrency is None:
        return "nothing: no limits were given (--tier, --requests-per-minute, ...)"
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


def rehearsal_json(rehearsal: Rehearsal) -> dict[str, object]:
    """The same for scripts."""
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
