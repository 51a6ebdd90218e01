"""What a job says of itself to other processes: one small JSON file, replaced whole."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

Status = Literal["submitted", "running", "done", "stopped", "interrupted", "cancelled", "broken", "imported"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmProgress:
    """How far one arm is."""

    done: int  # samples finished
    total: int  # samples asked for
    spared: int = 0  # of these not wanted after all: their problem's vote was decided

    @property
    def wanted(self) -> int:
        return self.total - self.spared


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """The state of a job. Times are Unix seconds (UTC)."""

    job_id: str
    name: str
    status: Status
    reason: str | None = None  # why it stopped
    total: int = 0  # samples asked for
    done: int = 0  # samples finished, failed ones included
    failed: int = 0  # samples given up
    in_flight: int = 0  # requests being answered
    retries: int = 0  # requests of this run that left their sample owed
    output_tokens: int = 0  # billed
    spent_usd: float = 0.0  # settled over all runs
    cap_usd: float | None = None
    created_at: float  # first run
    started_at: float  # this run
    updated_at: float  # last sign of life
    host: str
    pid: int
    address: str | None = None  # the cluster it was submitted to
    submission_id: str | None = None  # its id there
    parent_job_id: str | None = None  # the job whose samples this one judges
    selector: str | None = None  # the selector it judges for
    arms: dict[str, ArmProgress] = field(default_factory=dict)  # by arm_id
    warnings: tuple[str, ...] = ()  # of this run: what went wrong and did not end it

    @property
    def spared(self) -> int:
        """Samples not wanted after all, because their problem's vote was decided without them."""
        return sum(arm.spared for arm in self.arms.values())

    @property
    def wanted(self) -> int:
        return self.total - self.spared


def progress(state: JobState, arm_id: str, total: int) -> ArmProgress:
    """What the state says of an arm that now asks for so many samples; what was spared of fewer counts no more."""
    kept = state.arms.get(arm_id)
    if kept is None:
        return ArmProgress(done=0, total=total)
    return kept if kept.total == total else ArmProgress(done=kept.done, total=total)


def to_json(state: JobState) -> str:
    return json.dumps(asdict(state), indent=1)


def from_json(text: str | bytes) -> JobState:
    fields = json.loads(text)
    arms = {arm_id: ArmProgress(**progress) for arm_id, progress in fields.pop("arms").items()}
    warnings = tuple(fields.pop("warnings", ()))
    return JobState(arms=arms, warnings=warnings, **fields)
