"""What a job will cost, before it is run. Pure but for reading what the archive already holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from polythink import facts
from polythink.jobs.prompt import render
from polythink.jobs.requests import OVERHEAD_TOKENS, endpoints
from polythink.jobs.workload import Workload
from polythink.records import Arm, Usage
from polythink.storage.archive import Archive
from polythink.workers.prices import price

BYTES_PER_TOKEN = 4  # of English prose, roughly
SHORT_ANSWER_TOKENS = 50
LONG_ANSWER_TOKENS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPrice:
    """The price range of what one arm still owes: at least at the cheapest of its endpoints, else at the dearest.

    USD; None where the model has no known price.
    """

    arm: Arm
    owed: int  # samples
    kept: int  # samples the archive already holds
    low_usd: float | None  # no thinking, short answers
    likely_usd: float | None  # the whole thinking budget and a long answer; None where no budget is set
    high_usd: float | None  # every sample up to max_tokens


def price_job(archive: Archive, work: Workload) -> list[ArmPrice]:
    """The price range of every arm, in order, on the lane that a run takes for it, once that is decided."""
    query = "SELECT arm_id, count(*) AS kept FROM traces WHERE job_id = ? GROUP BY arm_id"
    kept = {row["arm_id"]: row["kept"] for row in archive.sql(query, [work.job_id]).to_pylist()}
    return [_price_arm(work, arm, kept.get(arm.arm_id, 0)) for arm in work.arms]


def _price_arm(work: Workload, arm: Arm, kept: int) -> ArmPrice:
    owed = len(work.problems) * work.job.samples - kept
    prompts = [render(arm, problem) for problem in work.problems]
    prompt_bytes = sum(len((system or "").encode()) + len(user.encode()) for system, user in prompts) / len(prompts)
    typical, most = int(prompt_bytes / BYTES_PER_TOKEN), int(prompt_bytes) + OVERHEAD_TOKENS
    budget = 0 if arm.reasoning.kind == "none" else arm.reasoning.budget_tokens

    places = endpoints(work)
    lane = work.lane(arm)

    def usd(input_tokens: int, output_tokens: int, pick: Callable[[list[float]], float] = max) -> float | None:
        usage = Usage(input_tokens=input_tokens, output_tokens=min(output_tokens, arm.max_tokens))
        known = [usd for name in arm.endpoints if (usd := price(places[name], arm.model, usage, lane)) is not None]
        return owed * pick(known) if known else None

    return ArmPrice(
        arm=arm,
        owed=owed,
        kept=kept,
        low_usd=usd(typical, SHORT_ANSWER_TOKENS, min),
        likely_usd=None if budget is None else usd(typical, budget + LONG_ANSWER_TOKENS),
        high_usd=usd(most, arm.max_tokens),
    )


def retiring(work: Workload) -> list[str]:
    """Warnings about models that are about to be retired."""
    known = {arm.model: facts.find(arm.model) for arm in work.arms}
    return [f"{model} retires on {f.retires_at}" for model, f in known.items() if f and f.retires_at]
