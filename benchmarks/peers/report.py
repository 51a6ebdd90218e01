"""The tables of a comparison, in Markdown. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TypeVar

from benchmarks.peers.measure import Crash, Speed
from benchmarks.peers.peers import Work

MS = 1e3

Run = TypeVar("Run", Speed, Crash)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one peer. A reason stands where there is no number."""

    title: str
    versions: Sequence[str]
    speeds: Mapping[float, Sequence[Speed]]  # runs by the server's delay in milliseconds
    crashes: Sequence[Crash]  # runs
    failures: Mapping[str, str]  # reason by what failed: "set-up", "0 ms", "500 ms", "kill"


def typical(runs: Sequence[Run]) -> Run:
    """Each number the median of its own over the runs; a count that falls between two is rounded."""
    values = {name: median(asdict(run)[name] for run in runs) for name in asdict(runs[0])}
    whole = {name for name, value in asdict(runs[0]).items() if isinstance(value, int)}
    return type(runs[0])(**{name: round(value) if name in whole else value for name, value in values.items()})


def speed_table(outcomes: Sequence[Outcome], work: Work, delay_ms: float) -> str:
    """One row per peer: time, CPU and memory of a whole run."""
    headings = (
        "",
        "wall s",
        "start-up s",
        "first request to last reply s",
        "CPU s",
        "of it start-up",
        "CPU ms a generation after start-up",
        "peak MiB",
        "results kept",
    )

    def row(outcome: Outcome) -> Sequence[str]:
        run = typical(outcome.speeds[delay_ms])
        each_ms = (run.cpu_s - run.startup_cpu_s) / work.generations * MS
        return (
            f"{run.wall_s:.1f}",
            f"{run.startup_s:.1f}",
            f"{run.sending_s:.1f}",
            f"{run.cpu_s:.1f}",
            f"{run.startup_cpu_s:.1f}",
            f"{each_ms:.1f}",
            f"{run.memory_mb:,.0f}",
            f"{run.results:,}",
        )

    return _table(headings, outcomes, lambda outcome: bool(outcome.speeds.get(delay_ms)), row, f"{delay_ms:.0f} ms")


def crash_table(outcomes: Sequence[Outcome], work: Work) -> str:
    """One row per peer: what a kill at half way and a rerun lose or pay again."""
    headings = (
        "",
        "answered by the kill",
        "unanswered at the kill",
        "requests in all",
        "paid again",
        "of these already answered",
        "results at the end",
        "lost",
        "rerun s",
    )

    def row(outcome: Outcome) -> Sequence[str]:
        crash = typical(outcome.crashes)
        again = crash.requests - work.generations
        return (
            f"{crash.answered_at_kill:,}",
            f"{crash.unanswered:,}",
            f"{crash.requests:,}",
            f"{again:,}",
            f"{max(0, again - crash.unanswered):,}",
            f"{crash.results:,}",
            f"{work.generations - crash.results:,}",
            f"{crash.rerun_wall_s:.1f}",
        )

    return _table(headings, outcomes, lambda outcome: bool(outcome.crashes), row, "kill")


def versions_table(outcomes: Sequence[Outcome]) -> str:
    return _lines(("", "versions"), [(outcome.title, ", ".join(outcome.versions)) for outcome in outcomes])


def _table(
    headings: Sequence[str],
    outcomes: Sequence[Outcome],
    is_there: Callable[[Outcome], bool],
    row: Callable[[Outcome], Sequence[str]],
    what: str,
) -> str:
    rows = []
    for outcome in outcomes:
        if is_there(outcome):
            rows.append((outcome.title, *row(outcome)))
        else:
            reason = outcome.failures.get("set-up") or outcome.failures.get(what) or "not run"
            rows.append((outcome.title, reason, *[""] * (len(headings) - 2)))
    return _lines(headings, rows)


def _lines(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:" if len(headings) > 2 else "---"] * (len(headings) - 1)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, rule, *rows))
