"""How a simulator is set up: every option of `polythink simulate`, as one record."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from polythink.simulator.judgement import JudgeTraits
from polythink.simulator.limits import LimitRules
from polythink.simulator.replay import Order

MindName = Literal["synthetic", "replay", "local"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Options of one simulator. All times are seconds of its own clock."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: any free one
    mind: MindName = "synthetic"
    problems: tuple[Path, ...] = ()
    question_field: str | None = None  # None: question, problem or prompt
    recordings: tuple[Path, ...] = ()
    order: Order = "recorded"
    seed: int = 0
    pace: float = 0.0  # output tokens per second; 0: all at once
    latency: float = 0.0  # median seconds before the first byte
    time_scale: float = 1.0  # how much faster than the wall the simulator's clock runs
    redacted: float = 0.0  # share of thinking shown only as a redacted block
    refusals: float = 0.002  # share of synthetic replies that refuse
    unreadable: float = 0.01  # share of synthetic replies that state no answer
    judge: JudgeTraits = field(default_factory=JudgeTraits)  # of the synthetic mind
    slots: int = 4  # concurrent generations of the local mind; more requests wait
    faults: Path | None = None  # YAML plan of what goes wrong
    control: bool = False  # whether plan and limits may be changed over HTTP
    limits: LimitRules = field(default_factory=LimitRules)
    batch_seconds: float = 20.0  # median time that a batch takes
    meter: Path | None = None  # file the meter is written to
