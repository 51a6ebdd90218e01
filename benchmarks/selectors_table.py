"""Every selector, and every rule that stops early, on whole jobs of the synthetic mind: `docs/selectors-measured.md`.

All jobs run in the batch lane: there requests are answered in the order of the grid, so that sample 3 of a problem is
the same in a job of 8 samples, of 40, and in one that stops early, and the table is the same on every machine.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import polythink
from benchmarks.ratio import Ratio
from benchmarks.selectors_page import Bias, Measured, Point, Stopped, page
from polythink.selectors.bands import bootstrap, standard_error
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive

PROBLEMS = Path("examples/competition.jsonl")
SAMPLES, SEED, MODEL, BUDGET = 40, 0, "claude-haiku-4-5", 4_096
TOURNAMENTS_AT = (8, 16)  # all of them: of 40 samples one pairwise tournament asks for 160 verdicts
BIASED = 0.5  # share of a biased judge's choices that fall on what is shown first
STOPS: tuple[dict[str, float], ...] = (
    {"beta": 0.9}, {"beta": 0.95}, {"beta": 0.99}, {"dirichlet": 0.95}, {"window": 4}, {"greedy": 0.25},
    {"greedy": 0.5},
)  # fmt: skip
JOB = "table"
JUDGE = {"model": MODEL}
BY_CURVE: tuple[Any, ...] = (
    "majority", "first", "shortest", {"judge": JUDGE}, {"judge": {**JUDGE, "use": "weighted", "as": "judge-weighted"}},
    "scorer", {"scorer": {"use": "weighted", "as": "scorer-weighted"}},
    {"scorer": {"scores": ["judge"], "as": "scorer-judge"}},
    {"scorer": {"scores": ["judge"], "use": "weighted", "as": "scorer-judge-weighted"}},
)  # fmt: skip
CHOICES: tuple[Any, ...] = ({"genselect": JUDGE}, {"consistency": JUDGE})
TOURNAMENTS: tuple[Any, ...] = ({"pairwise": JUDGE}, {"knockout": JUDGE}, {"swiss": JUDGE})

_OURS = "JOIN jobs USING (job_id) WHERE parent_job_id IS NULL"  # not the jobs that hold verdicts
_CURVES = f"SELECT c.selector, n, accuracy, low, high FROM curves c {_OURS} ORDER BY c.selector, n"
_PICKS = f"""
    SELECT s.selector, problem_id, n, correct IS TRUE AS correct, selector_cost_usd FROM selections s {_OURS}
    ORDER BY s.selector, problem_id
"""
_SAMPLE_USD = f"SELECT sum(cost_usd) / count(*) AS usd FROM traces {_OURS}"
_FIRST_PLACE = """
    SELECT count_if(answer = '1') / count(*) AS share FROM traces JOIN jobs USING (job_id)
    WHERE parent_job_id IS NOT NULL AND selector = 'pairwise' AND answer IN ('1', '2')
"""


def measure(write: Path | None = None) -> list[Ratio]:
    """The claim on stopping early, in numbers; the page is printed, or written there."""
    found = run()
    text = page(found)
    if write is None:
        print(text)
    else:
        write.write_text(text)
    beta = next(each for each in found.stopped if each.rule == "beta 0.95")
    fixed = found.points["majority"][SAMPLES]
    return [
        Ratio(
            name="stop at beta 0.95: samples per problem",
            unit="samples",
            ours=beta.samples,
            baseline=SAMPLES,
            baseline_is="all, for the same problems",
        ),
        Ratio(
            name="the same: accuracy of its majority",
            unit="share",
            ours=beta.accuracy,
            baseline=fixed.accuracy,
            baseline_is=f"the majority of all; difference {beta.difference:+.4f}, standard error {beta.error:.4f}",
        ),
    ]


def run() -> Measured:
    """All jobs, one after the other."""
    points: dict[str, dict[int, Point]] = {}
    with _job(SAMPLES) as archive:
        _select(archive, [*BY_CURVE, *CHOICES])
        right, usd = _right(archive), _sample_usd(archive)
        _add_curves(points, archive, usd)
        _add_picks(points, archive, usd)
    biases = []
    for n, bias in ((TOURNAMENTS_AT[0], 0.1), (TOURNAMENTS_AT[0], BIASED), (TOURNAMENTS_AT[1], 0.1)):
        with _job(n, judge_position_bias=bias) as archive:
            _select(archive, [*CHOICES, *TOURNAMENTS])
            if bias != BIASED:
                _add_picks(points, archive, usd)
            if n == TOURNAMENTS_AT[0]:
                biases.append(_bias(archive, bias))
    stopped = []
    for stop in STOPS:
        with _job(SAMPLES, stop=stop) as archive:
            stopped.append(_stopped(archive, stop, right["majority"]))
    return Measured(
        model=MODEL,
        budget=BUDGET,
        samples=SAMPLES,
        seed=SEED,
        problems=len(right["majority"]),
        points=points,
        stopped=stopped,
        biases=biases,
        right=right,
    )


@contextmanager
def _job(
    samples: int, *, judge_position_bias: float = 0.1, stop: Mapping[str, float] | None = None
) -> Iterator[Archive]:
    """The archive of a job of so many samples, its simulator still there."""
    print(f"  {samples} samples, judge's bias {judge_position_bias}, stop {stop} ...", file=sys.stderr)
    options = ["--problems", str(PROBLEMS), "--seed", str(SEED), "--batch-seconds", "0.05"]
    options += ["--judge-position-bias", str(judge_position_bias)]
    with tempfile.TemporaryDirectory() as folder, SimulatorProcess.start(options) as simulator:
        job = {
            "name": JOB,
            "problems": {"path": str(PROBLEMS.resolve()), "gold": "answer"},
            "prompt": {"template": "{{ problem }}\n\nPut the final answer in \\boxed{}."},
            "arms": [{"id": "deep", "model": MODEL, "reasoning": {"budget_tokens": BUDGET}}],
            "samples": samples,
            "answer": {"extract": "boxed", "equivalence": "math"},
            "select": ["majority"],
            "lane": "batch",
            "endpoint": {"base_url": simulator.base_url},
            **({} if stop is None else {"stop": dict(stop)}),
        }
        path = Path(folder) / "job.yaml"
        path.write_text(yaml.safe_dump(job))
        archive = Archive(Path(folder) / "archive")
        state = polythink.run(path, archive)
        if state.status != "done":
            raise RuntimeError(f"the job ended as {state.status}: {state.reason}")
        yield archive


def _select(archive: Archive, selectors: Sequence[object]) -> None:
    picked = polythink.select(JOB, selectors, archive)
    if picked.failed or picked.broken_off is not None:
        raise RuntimeError(f"not all was selected: {picked.failed} {picked.broken_off}")


def _right(archive: Archive) -> dict[str, dict[str, bool]]:
    found: dict[str, dict[str, bool]] = {}
    for row in archive.sql(_PICKS).to_pylist():
        found.setdefault(row["selector"], {})[row["problem_id"]] = row["correct"]
    return found


def _sample_usd(archive: Archive) -> float:
    return float(archive.sql(_SAMPLE_USD)["usd"][0].as_py())


def _add_curves(points: dict[str, dict[int, Point]], archive: Archive, usd: float) -> None:
    asked = f"SELECT selector, coalesce(sum(selector_cost_usd), 0) / sum(n) AS usd FROM ({_PICKS}) GROUP BY selector"
    judging = {row["selector"]: row["usd"] for row in archive.sql(asked).to_pylist()}
    for row in archive.sql(_CURVES).to_pylist():
        name, n = row["selector"], row["n"]
        points.setdefault(name, {})[n] = Point(
            accuracy=row["accuracy"],
            low=row["low"],
            high=row["high"],
            sample_usd=n * usd,
            judge_usd=n * judging.get(name.replace("scorer-judge", "judge"), 0.0),
        )


def _add_picks(points: dict[str, dict[int, Point]], archive: Archive, usd: float) -> None:
    """Selectors without a curve, at all samples of this job."""
    rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in archive.sql(_PICKS).to_pylist():
        rows.setdefault((row["selector"], row["n"]), []).append(row)
    for (name, n), picks in rows.items():
        if name not in points or n not in points[name]:
            band = bootstrap(np.array([[float(row["correct"])] for row in picks]))
            points.setdefault(name, {})[n] = Point(
                accuracy=float(band.mean[0]),
                low=float(band.low[0]),
                high=float(band.high[0]),
                sample_usd=n * usd,
                judge_usd=float(np.mean([row["selector_cost_usd"] or 0.0 for row in picks])),
            )


def _bias(archive: Archive, bias: float) -> Bias:
    right = _right(archive)
    return Bias(
        bias=bias,
        first_place=float(archive.sql(_FIRST_PLACE)["share"][0].as_py()),
        accuracy={name: float(np.mean(list(each.values()))) for name, each in right.items()},
    )


def _stopped(archive: Archive, stop: Mapping[str, float], fixed: Mapping[str, bool]) -> Stopped:
    rows = archive.sql(f"SELECT * FROM ({_PICKS}) WHERE selector = 'majority'").to_pylist()
    apart = np.array([float(row["correct"]) - float(fixed[row["problem_id"]]) for row in rows])
    (kind, value), samples = next(iter(stop.items())), float(np.mean([row["n"] for row in rows]))
    return Stopped(
        rule=f"{kind} {value:g}",
        samples=samples,
        accuracy=float(np.mean([row["correct"] for row in rows])),
        difference=float(apart.mean()),
        error=standard_error(apart),
        usd=samples * _sample_usd(archive),
    )
