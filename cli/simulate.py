"""`polythink simulate`: the Claude API on localhost, for rehearsals and tests."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from polythink.simulator.judgement import JudgeTraits
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


PortOption = Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")]
HostOption = Annotated[str, typer.Option(help="Address to listen on.")]
MindOption = Annotated[MindChoice, typer.Option(help="What answers.")]
ProblemsOption = Annotated[
    list[Path] | None, typer.Option(help="Problem files (JSONL, CSV, Parquet) the synthetic mind knows.")
]
QuestionFieldOption = Annotated[
    str | None, typer.Option(help="Field with the question; default question, problem or prompt.")
]
RecordingsOption = Annotated[list[Path] | None, typer.Option(help="Recorded generations (JSONL) for replay.")]
OrderOption = Annotated[OrderChoice, typer.Option(help="Order of replayed recordings.")]
SeedOption = Annotated[int, typer.Option(help="Seed of everything random.")]
PaceOption = Annotated[float, typer.Option(min=0, help="Output tokens per second and stream; 0 sends all at once.")]
LatencyOption = Annotated[float, typer.Option(min=0, help="Median seconds before the first byte.")]
TimeScaleOption = Annotated[float, typer.Option(help="How much faster than the wall its clock runs.")]
RedactedOption = Annotated[float, typer.Option(min=0, max=1, help="Share of thinking sent as redacted blocks.")]
RefusalsOption = Annotated[float, typer.Option(min=0, max=1, help="Share of synthetic replies that refuse.")]
UnreadableOption = Annotated[float, typer.Option(min=0, max=1, help="Share of synthetic replies that state no answer.")]
JudgeSensitivityOption = Annotated[
    float, typer.Option(min=0, max=1, help="Chance that a synthetic judge takes a right answer for right.")
]
JudgeSpecificityOption = Annotated[float, typer.Option(min=0, max=1, help="Likewise, a wrong answer for wrong.")]
JudgePositionBiasOption = Annotated[
    float, typer.Option(min=0, max=1, help="Share of its choices that fall on what is shown first.")
]
SlotsOption = Annotated[int, typer.Option(min=1, help="Concurrent generations of the local mind.")]
FaultsOption = Annotated[Path | None, typer.Option(help="Fault plan (YAML): what goes wrong, how often, when.")]
ControlOption = Annotated[
    bool, typer.Option("--control", help="Let PUT /_simulator/faults and /_simulator/limits change it.")
]
TierOption = Annotated[TierChoice | None, typer.Option(help="Rate limits and spend cap of a tier; default none.")]
RequestsPerMinuteOption = Annotated[float | None, typer.Option(min=1, help="Requests of each model class.")]
InputTokensPerMinuteOption = Annotated[float | None, typer.Option(min=1, help="Uncached input of each class.")]
OutputTokensPerMinuteOption = Annotated[float | None, typer.Option(min=1, help="Output of each class.")]
BurstSecondsOption = Annotated[float, typer.Option(min=0.1, help="Seconds of its limit that a full bucket holds.")]
SpendCapOption = Annotated[float | None, typer.Option(help="USD an organization may spend.")]
RampFloorOption = Annotated[
    float | None, typer.Option(help="Requests a minute from which usage may only double per minute.")
]
ConcurrencyOption = Annotated[int | None, typer.Option(min=1, help="Requests in flight at one time.")]
BatchSecondsOption = Annotated[float, typer.Option(min=0, help="Median seconds that a batch takes.")]
MeterOption = Annotated[Path | None, typer.Option(help="File to keep the meter in.")]


def simulate(
    port: PortOption = 0,
    host: HostOption = "127.0.0.1",
    mind: MindOption = MindChoice.synthetic,
    problems: ProblemsOption = None,
    question_field: QuestionFieldOption = None,
    recordings: RecordingsOption = None,
    order: OrderOption = OrderChoice.recorded,
    seed: SeedOption = 0,
    pace: PaceOption = 0,
    latency: LatencyOption = 0,
    time_scale: TimeScaleOption = 1,
    redacted: RedactedOption = 0,
    refusals: RefusalsOption = 0.002,
    unreadable: UnreadableOption = 0.01,
    judge_sensitivity: JudgeSensitivityOption = 0.85,
    judge_specificity: JudgeSpecificityOption = 0.75,
    judge_position_bias: JudgePositionBiasOption = 0.1,
    slots: SlotsOption = 4,
    faults: FaultsOption = None,
    control: ControlOption = False,
    tier: TierOption = None,
    requests_per_minute: RequestsPerMinuteOption = None,
    input_tokens_per_minute: InputTokensPerMinuteOption = None,
    output_tokens_per_minute: OutputTokensPerMinuteOption = None,
    burst_seconds: BurstSecondsOption = 5,
    spend_cap: SpendCapOption = None,
    ramp_floor: RampFloorOption = None,
    concurrency: ConcurrencyOption = None,
    batch_seconds: BatchSecondsOption = 20,
    meter: MeterOption = None,
) -> None:
    """Serve the Claude API on localhost: same requests, same events, same errors, no charge."""
    _serve(
        Settings(
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
            judge=JudgeTraits(
                sensitivity=judge_sensitivity,
                specificity=judge_specificity,
                position_bias=judge_position_bias,
            ),
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
    )


def _serve(settings: Settings) -> None:
    """Serve until it is stopped; what it cannot serve with is bad usage."""
    try:
        asyncio.run(serve(settings, lambda url: print(f"{LISTENING}{url}", flush=True)))
    except (ProblemFileError, LocalMindError, ValueError, OSError) as error:
        typer.echo(f"simulate: {error}", err=True)
        raise typer.Exit(BAD_USAGE) from error


if __name__ == "__main__":
    typer.run(simulate)
