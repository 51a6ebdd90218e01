"""Kill -9 at named steps of the real command line, again and again, and what must be true in the end.

`python -m tests.fault_suite 200 docs/faults.md` makes so many kills and writes the table.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from polythink.errors import UnknownJobError
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from polythink.storage.journal import final_attempts, read_segment
from polythink.storage.segments import read_blocks, segments
from tests.fault_point import Point, When
from tests.running import EXACTLY_ONCE, job_file, meter
from tests.s3 import FINE, Bucket, Fault, S3Server, environment

ROOT = Path(__file__).parents[1]
CONCURRENCY, SAMPLES, CAP_USD = 8, 12, 3.0
KILLS_PER_JOB = 4
TIMEOUT_S = 600.0
_BEGUN: Mapping[str, int] = {  # step -> how often it happens in a run; in the order in which they first do
    "write lease": 4, "write part of problems": 1, "write part of arms": 1, "write job": 2, "write state": 2,
}  # fmt: skip
_SENT: Mapping[str, Mapping[str, int]] = {
    "live": {"send to workers": 4, "hear from workers": 6},
    "batch": {
        "write batches": 2, "write part of batches": 2, "batch create": 1, "batch look": 1, "batch results": 1,
    },
}  # fmt: skip
_BATCHED: Mapping[str, tuple[str, ...]] = {"live": (), "batch": ("one", "other"), "auto": ("one",)}  # arms, by lane
_KEPT: Mapping[bool, Mapping[str, int]] = {  # by whether the archive is local
    True: {"append to the journal": 2, "close the journal": 1},
    False: {"write journal": 2},
}
_ENDED: Mapping[str, int] = {
    "write part of attempts": 1, "write part of traces": 1, "delete journal": 1,
    "write part of curves": 3, "write part of selections": 1, "write part of comparisons": 2,
}  # fmt: skip
COMPACTING: Mapping[str, int] = {"write part of traces": 1, "write part of attempts": 1, "delete part of traces": 2}
_NEVER_TORN = ("delete", "send", "hear", "batch ", "close")
_ROWS = """
    SELECT sample_id, arm_id, count(*) AS n, count(*) FILTER (status = 'lost') AS lost
    FROM attempts WHERE job_id = ? GROUP BY ALL
"""


_HELD = "SELECT sum(cost_usd) + coalesce(sum(reserved_usd), 0.0) AS usd FROM attempts WHERE job_id = ?"


@dataclass(slots=True)
class Chain:
    """One job, killed several times and brought to its end."""

    lane: str
    kills: list[Point] = field(default_factory=list)
    starts: int = 0
    samples: int = 0
    served: int = 0  # requests, by the simulator's meter
    billed_usd: float = 0.0
    lost: int = 0  # rows of requests whose end was not seen


def steps_of(lane: str, *, is_local: bool) -> Mapping[str, int]:
    """All steps at which a run may be killed, in the order in which they first happen, and how often each does."""
    sent = _SENT.get(lane) or {**_SENT["live"], **_SENT["batch"]}
    return {**_BEGUN, **sent, **_KEPT[is_local], **_ENDED}


class Points:
    """Points drawn like cards: none comes again before all have come. One that was not reached goes back."""

    def __init__(self, rng: random.Random, steps: Mapping[str, int], *, is_local: bool) -> None:
        self._rng, self._steps, self._is_local = rng, steps, is_local
        self._left: list[Point] = []

    def draw(self, count: int) -> list[Point]:
        """So many, in the order in which a run comes by."""
        while len(self._left) < count:
            fresh = [self._point(step, when) for step in self._steps for when in self._whens(step)]
            self._rng.shuffle(fresh)
            self._left = fresh + self._left
        drawn, self._left = self._left[-count:], self._left[:-count]
        order = list(self._steps)
        return sorted(drawn, key=lambda point: order.index(point.step))

    def back(self, missed: Point, others: Sequence[Point]) -> None:
        self._left = [replace(missed, nth=1), *self._left, *others]

    def _point(self, step: str, when: When) -> Point:
        return Point(step=step, when=when, nth=self._rng.randint(1, self._steps[step]))

    def _whens(self, step: str) -> tuple[When, ...]:
        can_tear = self._is_local and not step.startswith(_NEVER_TORN)
        return ("before", "torn", "after") if can_tear else ("before", "after")


def call(arguments: Sequence[str], where: Point | None = None) -> int:
    """The command line in a process of its own; returns its exit code."""
    program = ["-m", "polythink"] if where is None else ["-m", "tests.fault_point", str(where)]
    ended = subprocess.run(
        [sys.executable, *program, *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False,
        timeout=TIMEOUT_S,
    )  # fmt: skip
    if where is None and ended.returncode not in (0, 3):
        raise AssertionError(
            f"{arguments} ended with {ended.returncode}: {(ended.stdout + ended.stderr).decode()[-4000:]}"
        )
    return ended.returncode


def chain(folder: Path, root: str, base_url: str, points: Points, *, lane: str, seed: int, kills: int) -> Chain:
    """Kill a job so often, at points that are drawn, bring it to its end, and hold it to what is promised."""
    rng, found = random.Random(f"{lane} {seed}"), Chain(lane)
    name = f"{lane}-{seed}"
    where = ["--archive", root]
    path = job_file(
        folder, base_url, name=name, lane=lane, samples=SAMPLES, concurrency=CONCURRENCY, cap={"usd": CAP_USD},
        select=["majority"], prompt={"template": "{{ problem }} Put the answer in \\boxed{}."},
        arms=[
            {"id": arm, "model": "claude-haiku-4-5", "reasoning": "none", "endpoint": arm} for arm in ("one", "other")
        ],
        endpoint={"one": {"base_url": base_url}, "other": _other(base_url, lane)},
    )  # fmt: skip
    ahead = points.draw(kills)
    while ahead:
        at = ahead.pop(0)
        found.starts += 1
        code = call(["run", str(path), *where], at)
        if code == -signal.SIGKILL:
            found.kills.append(at)
            _check_acknowledged(Archive(root), name, at)
        elif code == 0:  # it came to its end without passing there
            points.back(at, ahead)
            break
        else:
            raise AssertionError(f"{name} at {at} ended with {code}")
    found.starts += 1
    assert call(["run", str(path), *where]) == 0, f"{name} after {found.kills}"
    _compact_under_fire(found, name, where, rng)
    _check(found, Archive(root), name, base_url)
    assert call(["verify", name, *where]) == 0
    return found


def _other(base_url: str, lane: str) -> dict[str, str]:
    """Where an arm must not wait, its endpoint is of a provider without batches; its key, any word that is set."""
    if lane != "auto":
        return {"base_url": base_url}
    return {"base_url": base_url, "provider": "foundry", "api_key_env": "PATH"}


def _compact_under_fire(found: Chain, name: str, where: Sequence[str], rng: random.Random) -> None:
    (at,) = Points(rng, COMPACTING, is_local=False).draw(1)
    found.starts += 2
    if call(["compact", name, *where], at) == -signal.SIGKILL:
        found.kills.append(Point(step=f"compact: {at.step}", when=at.when, nth=at.nth))
    assert call(["compact", name, *where]) == 0


def _check_acknowledged(archive: Archive, name: str, at: Point) -> None:
    """What a killed run had said to be done is in Parquet or in its journal."""
    try:
        job_id = archive.resolve(name)
    except UnknownJobError:  # killed before it was stored
        return
    state = archive.state(job_id)
    assert state is not None
    kept = set(archive.sql("SELECT sample_id FROM traces WHERE job_id = ?", [job_id])["sample_id"].to_pylist())
    journal = (read_segment(read_blocks(archive, ref) or []) for ref in segments(archive, job_id))
    kept |= {end.key.sample_id(job_id) for segment in journal for end in final_attempts(segment.attempts)}
    assert state.done <= len(kept), f"{name} killed at {at}: {state.done} were said to be done, {len(kept)} are kept"


def _check(found: Chain, archive: Archive, name: str, base_url: str) -> None:
    job_id = archive.resolve(name)
    (row,) = archive.sql(f"{EXACTLY_ONCE} WHERE job_id = ?", [job_id]).to_pylist()
    found.samples = 3 * 2 * SAMPLES
    assert row == {"rows": found.samples, "samples": found.samples, "failed": 0}, f"{name} after {found.kills}: {row}"
    account = meter(base_url)["samples"]
    rows = {each["sample_id"]: each for each in archive.sql(_ROWS, [job_id]).to_pylist()}
    served = {sample: account.get(sample, {"requests": 0, "cost_usd": 0.0}) for sample in rows}
    found.served = sum(tally["requests"] for tally in served.values())
    found.billed_usd = sum(tally["cost_usd"] for tally in served.values())
    found.lost = sum(each["lost"] for each in rows.values())
    again = found.served - found.samples
    most = 0 if found.lane == "batch" else len(found.kills) * int(1.25 * CONCURRENCY)
    assert 0 <= again <= most, f"{name} after {found.kills}: {found.served} requests were billed"
    batched = {sample for sample, each in rows.items() if each["arm_id"] in _BATCHED[found.lane]}
    twice = [sample for sample in batched if served[sample]["requests"] != 1]
    assert not twice, f"{name} after {found.kills}: batched and not billed once: {twice}"
    unexplained = [sample for sample, tally in served.items() if tally["requests"] > rows[sample]["n"]]
    assert not unexplained, f"{name} after {found.kills}: billed and not on record: {unexplained}"
    assert found.billed_usd <= CAP_USD
    held = archive.sql(_HELD, [job_id])["usd"][0].as_py()
    assert found.billed_usd - 1e-9 <= held <= CAP_USD, f"{name} after {found.kills}: {held} settled and held"


@contextmanager
def simulator(folder: Path) -> Iterator[SimulatorProcess]:
    """One that takes its time, and loses the reply to the creation of a batch now and then."""
    plan = folder / "faults.yaml"
    plan.write_text(yaml.safe_dump({"faults": [{"kind": "lost_batch_reply", "probability": 0.2}]}))
    job_file(folder, "http://127.0.0.1:1")
    options = ["--latency", "0.15", "--batch-seconds", "0.5", "--refusals", "0", "--faults", str(plan)]
    with SimulatorProcess.start([*options, "--problems", str(folder / "problems.jsonl")]) as server:
        yield server


def chains(kills: int, *, lane: str, seed: int, bucket: Bucket | None = None) -> Iterator[Chain]:
    """Jobs with at least so many kills in all, on a local archive or in a bucket that fails and dawdles."""
    with tempfile.TemporaryDirectory() as name, simulator(Path(name)) as server:
        root, left = str(Path(name) / "archive") if bucket is None else bucket.root, kills
        is_local = bucket is None
        points = Points(random.Random(f"{lane} {seed}"), steps_of(lane, is_local=is_local), is_local=is_local)
        while left > 0:
            most = min(KILLS_PER_JOB, left)
            found = chain(Path(name), root, server.base_url, points, lane=lane, seed=seed, kills=most)
            left, seed = left - len(found.kills), seed + 1
            yield found


def trouble(method: str, path: str, before: int) -> Fault:
    """Every ninth write is answered 500, half of these done all the same; every fifth takes its time."""
    if method == "PUT" and before % 9 == 4:
        return Fault(status=500, reaches_server=before % 2 == 0)
    return Fault(delay_s=0.1) if method == "PUT" and before % 5 == 0 else FINE


def table(where: str, chains: Sequence[Chain]) -> list[str]:
    """A row for each step."""
    kills = Counter(f"{point.step}, {point.when}" for each in chains for point in each.kills)
    samples, served = sum(each.samples for each in chains), sum(each.served for each in chains)
    starts, lost = sum(each.starts for each in chains), sum(each.lost for each in chains)
    return [
        f"## {where}",
        "",
        f"{sum(kills.values())} kills in {len(chains)} jobs, {starts} starts of the command. {samples:,} samples, each",
        f"with exactly one trace; {served:,} requests billed, {served - samples:,} of them beyond one for each sample;",
        f"{lost:,} rows of status `lost`. `verify` was clean after every job.",
        "",
        "| killed at | kills |",
        "|---|---:|",
        *(f"| {step} | {count} |" for step, count in sorted(kills.items())),
        "",
    ]


def main(kills: int, output: Path, seed: int) -> None:
    """Make the kills, a job of each kind in turn, and write the table anew after each job."""
    with S3Server() as server:
        bucket = server.bucket()
        bucket.plan = trouble
        failing = "an S3 server that answers every ninth write with 500 and delays every fifth"
        with environment(bucket):
            runs = {
                "Batch lane, local archive": chains(kills * 3 // 10, lane="batch", seed=seed),
                "Live lane, local archive": chains(kills * 3 // 10, lane="live", seed=seed),
                "Both lanes (`auto`), local archive": chains(kills // 5, lane="auto", seed=seed),
                f"Batch lane, {failing}": chains(kills // 10, lane="batch", seed=seed + 1000, bucket=bucket),
                f"Live lane, {failing}": chains(kills // 10, lane="live", seed=seed + 1000, bucket=bucket),
            }
            found: dict[str, list[Chain]] = {where: [] for where in runs}
            while runs:
                for where in list(runs):
                    if (ended := next(runs[where], None)) is None:
                        del runs[where]
                        continue
                    found[where].append(ended)
                    _write(output, kills, seed, found)


def _write(output: Path, kills: int, seed: int, found: Mapping[str, Sequence[Chain]]) -> None:
    made = sum(len(each.kills) for several in found.values() for each in several)
    lines = [
        "# Killed at every step",
        "",
        "`kill -9` of the real command line at named steps, before, after, or in the middle of a write (`torn`),",
        "several times for each job, then once more to its end. Held to: exactly one trace per sample; batch samples",
        "billed once; live samples billed once, and again at most for what was in flight at a kill, each with its row",
        "in `attempts`; the cap; `polythink verify` without a difference. The simulator loses one in five replies to",
        "the creation of a batch.",
        f"{made} kills, by `python -m tests.fault_suite {kills} docs/faults.md --seed {seed}`.",
        "",
    ]
    for where, several in found.items():
        lines += table(where, several)
    output.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[4]) if "--seed" in sys.argv else 0)
