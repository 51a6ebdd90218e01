"""`polythink simulate`: the Claude API on localhost, for rehearsals and tests."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from polythink.simulator.limits import LimitRules
from polythink.simulator.local import LocalMindError
from polythink.simulator.problems import ProblemFileError
from polythink.simulator.process import LISTENING
from polythink.simulator.server import serve
from polythink.simulator.settings import Settings

BAD_USAGE = 2


class MindChoice(StrEnum):
    synthetic = "synthetic"
    replay = "replay"
    local = "local"


class TierChoice(StrEnum):
    start = "start"
    build = "build"
    scale = "scale"


class OrderChoice(StrEnum):
    recorded = "recorded"
    shuffled = "shuffled"


def simulate(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    mind: Annotated[MindChoice, typer.Option(help="What answers.")] = MindChoice.synthetic,
    problems: Annotated[
        list[Path] | None, typer.Option(help="Problem files (JSONL, CSV, Parquet) the synthetic mind knows.")
    ] = None,
    question_field: Annotated[
        str | None, typer.Option(help="Field with the question; default question, problem or prompt.")
    ] = None,
    recordings: Annotated[list[Path] | None, typer.Option(help="Recorded generations (JSONL) for replay.")] = None,
    order: Annotated[OrderChoice, typer.Option(help="Order of replayed recordings.")] = OrderChoice.recorded,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    pace: Annotated[float, typer.Option(min=0, help="Output tokens per second and stream; 0 sends all at once.")] = 0,
    latency: Annotated[float, typer.Option(min=0, help="Median seconds before the first byte.")] = 0,
    time_scale: Annotated[float, typer.Option(help="How much faster than the wall its clock runs.")] = 1,
    redacted: Annotated[float, typer.Option(min=0, max=1, help="Share of thinking sent as redacted blocks.")] = 0,
    refusals: Annotated[float, typer.Option(min=0, max=1, help="Share of synthetic replies that refuse.")] = 0.002,
    unreadable: Annotated[
        float, typer.Option(min=0, max=1, help="Share of synthetic replies that state no answer.")
    ] = 0.01,
    slots: Annotated[int, typer.Option(min=1, help="Concurrent generations of the local mind.")] = 4,
    faults: Annotated[Path | None, typer.Option(help="Fault plan (YAML): what goes wrong, how often, when.")] = None,
    control: Annotated[
        bool, typer.Option("--control", help="Let PUT /_simulator/faults and /_simulator/limits change it.")
    ] = False,
    tier: Annotated[TierChoice | None, typer.Option(help="Rate limits and spend cap of a tier; default none.")] = None,
    requests_per_minute: Annotated[float | None, typer.Option(min=1, help="Requests of each model class.")] = None,
    input_tokens_per_minute: Annotated[float | None, typer.Option(min=1, help="Uncached input of each class.")] = None,
    output_tokens_per_minute: Annotated[float | None, typer.Option(min=1, help="Output of each class.")] = None,
    burst_seconds: Annotated[float, typer.Option(min=0.1, help="Seconds of its limit that a full bucket holds.")] = 5,
    spend_cap: Annotated[float | None, typer.Option(help="USD an organization may spend.")] = None,
    ramp_floor: Annotated[
        float | None, typer.Option(help="Requests a minute from which usage may only double per minute.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests in flight at one time.")] = None,
    batch_seconds: Annotated[float, typer.Option(min=0, help="Median seconds that a batch takes.")] = 20,
    meter: Annotated[Path | None, typer.Option(help="File to keep the meter in.")] = None,
) -> None:
    """Serve the Claude API on localhost: same requests, same events, same errors, no charge."""
    settings = Settings(
        host=host,
        port=port,
        mind=mind.value,
        problems=tuple(problems or ()),
        question_field=question_field,
        recordings=tuple(recordings or ()),
        order=order.value,
        seed=seed,
        pace=pace,
        latency=latency,
        time_scale=time_scale,
        redacted=redacted,
        refusals=refusals,
        unreadable=unreadable,
        slots=slots,
        faults=faults,
        control=control,
        limits=LimitRules(
            tier=tier.value if tier else None,
            requests_per_minute=requests_per_minute,
            input_tokens_per_minute=input_tokens_per_minute,
            output_tokens_per_minute=output_tokens_per_minute,
            burst_seconds=burst_seconds,
            spend_cap_usd=spend_cap,
            ramp_floor=ramp_floor,
            concurrency=concurrency,
        ),
        batch_seconds=batch_seconds,
        meter=meter,
    )
    try:
        asyncio.run(serve(settings, lambda url: print(f"{LISTENING}{url}", flush=True)))
    except (ProblemFileError, LocalMindError, ValueError, OSError) as error:
        typer.echo(f"simulate: {error}", err=True)
        raise typer.Exit(BAD_USAGE) from error


if __name__ == "__main__":
    typer.run(simulate)
