"""Voting at scale: a million samples to selections and curves, next to comparing answers pair by pair."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import combinations
from random import Random
from typing import Any

import pyarrow as pa

from benchmarks.ratio import Ratio
from polythink.selectors.registry import SelectorConfig
from polythink.selectors.stage import select_job
from polythink.storage import schema
from polythink.storage.archive import Archive

PROBLEMS, SAMPLES = 10_000, 100
PER_PART = 500  # problems
NAIVE_PROBLEMS = 6  # compared pair by pair; the rest is extrapolated
SEED = 20_251
JOB = "bench"
_MEBIBYTE = 1024  # kB

_CHILD = """
import json, resource, sys, time
from benchmarks.selection import select
started = time.perf_counter()
select(sys.argv[1])
kb = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({"seconds": time.perf_counter() - started, "peak_kb": kb}))
"""


def measure() -> list[Ratio]:
    with tempfile.TemporaryDirectory() as folder:
        ballots = write(Archive(folder))
        ran = subprocess.run(
            [sys.executable, "-c", _CHILD, folder], check=True, capture_output=True, text=True, timeout=1_800
        )
        spent: dict[str, float] = json.loads(ran.stdout)
        ours = dict(_winners(Archive(folder)))
    naive, others = _naive(ballots, ours)
    print(f"  the winner is the same in {len(ballots) - len(others)} of {len(ballots)} problems", file=sys.stderr)
    for other in others:
        print(f"  {other}", file=sys.stderr)
    return [
        Ratio(
            name=f"vote over {PROBLEMS * SAMPLES:,} samples, with curves",
            unit="s",
            ours=spent["seconds"],
            baseline=naive,
            baseline_is=f"math-verify of every pair, each answer parsed once; extrapolated from {NAIVE_PROBLEMS}",
        ),
        Ratio(
            name="its peak memory",
            unit="MiB",
            ours=spent["peak_kb"] / _MEBIBYTE,
            baseline=2_048.0,
            baseline_is="the bound of 2 GiB",
        ),
        Ratio(
            name="its winners that are those of the pairs",
            unit="problems",
            ours=len(ballots) - len(others),
            baseline=len(ballots),
            baseline_is="problems compared pair by pair",
        ),
    ]


def select(folder: str) -> None:
    """Selections by majority, and all curves."""
    select_job(Archive(folder), JOB, selectors=[SelectorConfig(name="majority")], equivalence="math", seed=0)


def write(archive: Archive, problems: int = PROBLEMS) -> list[list[str | None]]:
    """The archive of the benchmark; returns the answers of the first NAIVE_PROBLEMS problems."""
    rng = Random(SEED)
    golds, ballots = [], []
    arm = [{"arm_id": "a", "ordinal": 0, "model": "m", "reasoning": "none", "samples": SAMPLES}]
    archive.replace_part(schema.ARMS, JOB, "all", pa.Table.from_pylist(arm, schema=schema.ARMS.arrow))
    for first in range(0, problems, PER_PART):
        rows: dict[str, list[Any]] = {name: [] for name in ("problem_id", "sample_index", "answer", "correct")}
        for p in range(first, min(first + PER_PART, problems)):
            values = _values(rng)
            golds.append({"problem_id": f"p{p}", "ordinal": p, "gold": values[0][0]})
            answers = [_answer(rng, values) for _ in range(SAMPLES)]
            rows["problem_id"] += [f"p{p}"] * SAMPLES
            rows["sample_index"] += range(SAMPLES)
            rows["answer"] += [answer for answer, _ in answers]
            rows["correct"] += [right for _, right in answers]
            if p < NAIVE_PROBLEMS:
                ballots.append([answer for answer, _ in answers])
        archive.replace_part(schema.TRACES, JOB, f"{first // PER_PART:06d}", _traces(rows))
    archive.replace_part(schema.PROBLEMS, JOB, "all", pa.Table.from_pylist(golds, schema=schema.PROBLEMS.arrow))
    return ballots


def _traces(rows: dict[str, list[Any]]) -> pa.Table:
    size = len(rows["answer"])
    rows = rows | {
        "arm_id": ["a"] * size,
        "outcome": ["no_answer" if answer is None else "answered" for answer in rows["answer"]],
        "cost_usd": [0.01] * size,
        "thinking_tokens": [1_000] * size,
    }
    arrays = [
        pa.array(rows[c.name], c.type) if c.name in rows else pa.nulls(size, c.type) for c in schema.TRACES.columns
    ]
    return pa.Table.from_arrays(arrays, schema=schema.TRACES.arrow)


def _values(rng: Random) -> list[list[str]]:
    """The spellings of a problem's answers, the right one first: numbers mostly, some fractions, roots and terms."""
    kind = rng.choices((_integer, _fraction, _root, _term), (70, 15, 10, 5))[0]
    return [kind(rng.randrange(1, 400)) for _ in range(rng.randrange(2, 12))]


def _integer(n: int) -> list[str]:
    n *= 7
    return [str(n), f"{n:,}", f"{n}.0", f"${n}$", rf"\text{{{n}}}", f"{n}."]


def _fraction(n: int) -> list[str]:
    return [rf"\frac{{{n}}}{{16}}", rf"\dfrac{{{n}}}{{16}}", f"{n}/16", f"{n / 16}", rf"\frac{{{2 * n}}}{{32}}"]


def _root(n: int) -> list[str]:
    n = n % 60 + 2
    return [rf"{n}\sqrt{{3}}", rf"\sqrt{{{3 * n * n}}}", rf"{n} \sqrt 3", rf"$\left({n}\sqrt{{3}}\right)$"]


def _term(n: int) -> list[str]:
    n = n % 60 + 2
    return [f"x^2+{n}", f"{n}+x^2", f"x^{{2}} + {n}", rf"\left(x^2+{n}\right)"]


def _answer(rng: Random, values: Sequence[Sequence[str]]) -> tuple[str | None, bool | None]:
    """One sample's answer and whether it is right; a few have none, a few are found by no other sample."""
    draw = rng.random()
    if draw < 0.04:
        return None, None
    if draw < 0.08:
        return str(rng.randrange(10**6)), False
    place = min(int(rng.expovariate(0.9)), len(values) - 1)
    return rng.choice(values[place]), values[place][0] == values[0][0]


def _winners(archive: Archive) -> list[tuple[str, int]]:
    rows = archive.sql("SELECT problem_id, winner_index FROM selections WHERE selector = 'majority'").to_pylist()
    return [(row["problem_id"], row["winner_index"]) for row in rows]


def _naive(ballots: Sequence[Sequence[str | None]], ours: dict[str, int]) -> tuple[float, list[str]]:
    """Seconds that the pairwise way would take for all problems, and where its winner is another than ours, and why.

    A winner is the same if math-verify finds the two answers equal, in whatever spelling: it does not find every two
    spellings of one value equal, so spellings of one answer have different counts. Of two answers with as many votes
    each may win.
    """
    from math_verify import LatexExtractionConfig, parse, verify

    config, others = [LatexExtractionConfig()], list[str]()
    parse("$1$", config, parsing_timeout=None)
    started = time.perf_counter()
    for p, ballot in enumerate(ballots):
        parsed = {i: parse(f"${a.strip('$.')}$", config, parsing_timeout=None) for i, a in enumerate(ballot) if a}
        same = dict.fromkeys(parsed, 0)
        for i, j in combinations(parsed, 2):
            if verify(parsed[i], parsed[j], timeout_seconds=None):
                same[i], same[j] = same[i] + 1, same[j] + 1
        best = max(same, key=lambda i: same[i])
        picked = ours[f"p{p}"]
        if same[best] != same[picked] and not verify(parsed[best], parsed[picked], timeout_seconds=None):
            counts = f"{ballot[best]!r} with {same[best] + 1} votes, not {ballot[picked]!r} with {same[picked] + 1}"
            others.append(f"p{p}: pair by pair the winner is {counts}")
    return (time.perf_counter() - started) / len(ballots) * PROBLEMS, others
