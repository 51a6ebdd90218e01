"""The cost of what a job still owes, measured on samples of its own or of an earlier job with the same arms."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from polythink.jobs.estimate import Estimate, Interval, Ints, Reals, estimate, total
from polythink.jobs.requests import Requests, endpoints
from polythink.jobs.workload import Workload
from polythink.records import Arm, SampleKey, Usage
from polythink.storage.archive import Archive
from polythink.workers.prices import price
from polythink.workers.tasks import Endpoint

Way = Literal["live", "cached", "batch"]
MOST_MEASURED = 20_000  # samples of an arm that are looked at
_PREDICTION = "prediction.json"
_ARMS = """
    WITH kept AS (
        SELECT arms.* EXCLUDE (ordinal, endpoint, samples), count(*) AS samples, bool_or(simulated) AS simulated
        FROM arms JOIN traces USING (job_id, arm_id) WHERE traces.cost_usd IS NOT NULL GROUP BY ALL
    )
    SELECT * FROM kept ORDER BY job_id = ? DESC, simulated, samples DESC
"""
_MEASURED = """
    SELECT problem_id, input_tokens + cache_read_tokens + cache_write_tokens AS input_tokens, output_tokens, simulated
    FROM traces WHERE job_id = ? AND arm_id = ? AND cost_usd IS NOT NULL
    ORDER BY sample_index, problem_id LIMIT ?
"""
_EXTRA = """
    SELECT coalesce(sum(cost_usd), 0.0) / (SELECT sum(cost_usd) FROM traces WHERE job_id = $1 AND arm_id = $2) AS ratio
    FROM attempts WHERE job_id = $1 AND arm_id = $2
"""
_KEPT = "SELECT problem_id, arm_id, count(*) AS n FROM traces WHERE job_id = ? GROUP BY ALL"
_SPENT = "SELECT coalesce(sum(cost_usd), 0.0) AS usd FROM attempts WHERE job_id = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmForecast:
    """What an arm's owed samples will cost, each way they could be sent; a way that does not apply is left out."""

    arm_id: str
    source: str  # the job that was measured
    samples: int  # measured
    simulated: bool  # whether a simulator made any of them
    ways: Mapping[Way, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a whole job was expected to cost before most of it was sent. USD."""

    samples: int  # of the whole job
    measured: int  # samples it rests on
    expected: float
    low: float
    high: float
    made_at: float  # Unix seconds


def measure(archive: Archive, work: Workload) -> list[ArmForecast]:
    """The forecast of every arm that was measured anywhere in the archive, in the job's order.

    Evidence are the job's own samples; where they are none or too few, those of the job that has most of an arm that
    asks the same, a real one before one that was simulated.
    """
    kept = archive.sql(_ARMS, [work.job_id]).to_pylist()
    owed, requests = _owed(archive, work), Requests(work)
    found = []
    for arm in work.arms:
        sources = [(row["job_id"], row["arm_id"]) for row in kept if _asks_the_same(arm, row)]
        tried = (_measure(archive, work, arm, source, owed[arm.arm_id], requests) for source in sources)
        if (forecast := next(filter(None, tried), None)) is not None:
            found.append(forecast)
    return found


def chosen_way(work: Workload, forecast: ArmForecast) -> Way:
    """How the job sends the samples of an arm."""
    if forecast.arm_id in work.batched:
        return "batch"
    return "cached" if "cached" in forecast.ways else "live"


def whole_interval(archive: Archive, work: Workload, forecasts: list[ArmForecast]) -> Interval | None:
    """What the whole job costs, with what was spent already; None unless every arm was measured."""
    if len(forecasts) < len(work.arms):
        return None
    owed = total(forecast.ways[chosen_way(work, forecast)] for forecast in forecasts)
    spent: float = archive.sql(_SPENT, [work.job_id])["usd"][0].as_py()
    return Interval(expected=spent + owed.expected, low=spent + owed.low, high=spent + owed.high)


def predict(archive: Archive, work: Workload) -> None:
    """Keep what the job is expected to cost, for its end to be compared with; the first word on its size stands."""
    kept = prediction(archive, work.job_id)
    if kept is not None and kept.samples == work.total:
        return
    forecasts = measure(archive, work)
    whole = whole_interval(archive, work, forecasts)
    if whole is None or not _owed_samples(archive, work):
        return
    measured = sum(forecast.samples for forecast in forecasts)
    said = Prediction(samples=work.total, measured=measured, made_at=time.time(), **asdict(whole))
    archive.write_text(work.job_id, _PREDICTION, json.dumps(asdict(said), indent=1))


def prediction(archive: Archive, job_id: str) -> Prediction | None:
    """What was predicted of a job; None if it never was."""
    text = archive.read_text(job_id, _PREDICTION)
    return None if text is None else Prediction(**json.loads(text))


def prediction_line(said: Prediction, spent_usd: float, spared: int = 0) -> str:
    """
    >>> said = Prediction(samples=100, measured=10, expected=2.0, low=1.5, high=2.5, made_at=0.0)
    >>> prediction_line(said, 2.1)
    '$2.00 ($1.50 to $2.50) predicted for all 100 from 10 samples; $2.10 spent, +5.0%'
    """
    where = f"({usd(said.low)} to {usd(said.high)}) predicted for all {said.samples:,} from {said.measured:,} samples"
    off = f", {spent_usd / said.expected - 1:+.1%}" if said.expected else ""
    kept_back = f", {spared:,} of them spared by the stopping rule" if spared else ""
    return f"{usd(said.expected)} {where}{kept_back}; {usd(spent_usd)} spent{off}"


def usd(amount: float) -> str:
    """With cents, or where these say nothing, two digits that do.

    >>> usd(12.345), usd(0.00123), usd(0)
    ('$12.35', '$0.0012', '$0.00')
    """
    return f"${amount:,.2f}" if amount >= 0.1 or not amount else f"${amount:.2g}"


def _asks_the_same(arm: Arm, row: Mapping[str, object]) -> bool:
    asked = (arm.model, arm.reasoning.kind, arm.reasoning.budget_tokens, arm.reasoning.effort, arm.max_tokens)
    kept = (row["model"], row["reasoning"], row["budget_tokens"], row["effort"], row["max_tokens"])
    return (*asked, arm.system, arm.template) == (*kept, row["system"], row["template"])


def _measure(
    archive: Archive, work: Workload, arm: Arm, source: tuple[str, str], owed: Ints, requests: Requests
) -> ArmForecast | None:
    rows = archive.sql(_MEASURED, [*source, MOST_MEASURED])
    place = {problem.problem_id: n for n, problem in enumerate(work.problems)}
    problem = np.array([place.get(problem_id, -1) for problem_id in rows["problem_id"].to_pylist()], dtype=np.int64)
    tokens = list(zip(rows["input_tokens"].to_pylist(), rows["output_tokens"].to_pylist(), strict=True))
    extra: float = archive.sql(_EXTRA, list(source))["ratio"][0].as_py() or 1.0  # failed attempts cost too
    ways: dict[Way, Estimate] = {}
    for way in _ways(work, arm, requests):
        costs = _costs(endpoints(work)[arm.endpoints[0]], arm, tokens, way, work.job.samples)
        found = None if costs is None else estimate(costs * extra, problem, owed)
        if found is not None:
            ways[way] = found
    if "live" not in ways:
        return None
    simulated = any(rows["simulated"].to_pylist())
    return ArmForecast(arm_id=arm.arm_id, source=source[0], samples=len(rows), simulated=simulated, ways=ways)


def _ways(work: Workload, arm: Arm, requests: Requests) -> list[Way]:
    first = SampleKey(problem_id=work.problems[0].problem_id, arm_id=arm.arm_id, sample_index=0)
    is_cached = work.job.samples > 1 and requests.is_cached(first)
    return ["live", *(["cached"] if is_cached else []), "batch"]  # type: ignore[list-item]


def _costs(endpoint: Endpoint, arm: Arm, tokens: list[tuple[int, int]], way: Way, samples: int) -> Reals | None:
    """USD of each measured sample, had it been sent this way; None where no price is known."""
    lane: Literal["live", "batch"] = "batch" if way == "batch" else "live"

    def cost(**usage: int) -> float | None:
        return price(endpoint, arm.model, Usage(**usage), lane)

    if cost(input_tokens=1) is None:
        return None
    if way != "cached":
        return np.array([cost(input_tokens=read, output_tokens=out) for read, out in tokens], dtype=np.float64)
    writes = np.array([cost(cache_write_5m_tokens=read, output_tokens=out) for read, out in tokens], dtype=np.float64)
    reads = np.array([cost(cache_read_tokens=read, output_tokens=out) for read, out in tokens], dtype=np.float64)
    mean: Reals = (writes + (samples - 1) * reads) / samples
    return mean


def _owed(archive: Archive, work: Workload) -> dict[str, Ints]:
    """[P] samples to come of each problem, by arm."""
    place = {problem.problem_id: n for n, problem in enumerate(work.problems)}
    owed = {arm.arm_id: np.full(len(place), work.job.samples, dtype=np.int64) for arm in work.arms}
    for row in archive.sql(_KEPT, [work.job_id]).to_pylist():
        if row["arm_id"] in owed and row["problem_id"] in place:
            owed[row["arm_id"]][place[row["problem_id"]]] -= row["n"]
    return {arm_id: np.maximum(counts, 0) for arm_id, counts in owed.items()}


def _owed_samples(archive: Archive, work: Workload) -> int:
    return int(sum(counts.sum() for counts in _owed(archive, work).values()))
