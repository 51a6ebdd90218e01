"""How a running job looks: bars on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from polythink.explorer.labels import clean
from polythink.storage.state import JobState

WINDOW_S = 60.0  # seconds over which rates are measured
BAR_WIDTH = 40  # characters
PLAIN_EVERY_S = 5.0  # seconds between two plain lines


class Rates:
    """Samples and tokens per second over the last minute, from the states seen."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()  # (seconds, done, output tokens)

    def add(self, state: JobState) -> None:
        self._seen.append((state.updated_at, state.done, state.output_tokens))
        while len(self._seen) > 2 and self._seen[-1][0] - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()

    def samples(self) -> float:
        return self._per_second(1)

    def tokens(self) -> float:
        return self._per_second(2)

    def seconds_left(self, state: JobState) -> float | None:
        """Until all is done at this rate; None while nothing has finished."""
        rate = self.samples()
        return (state.wanted - state.done) / rate if rate > 0 else None

    def _per_second(self, column: int) -> float:
        if len(self._seen) < 2:
            return 0.0
        first, last = self._seen[0], self._seen[-1]
        return (last[column] - first[column]) / max(last[0] - first[0], 1e-6)


class ProgressView:
    """A context manager that shows states as they come."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._rates = Rates()
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._last: JobState | None = None
        self._printed_at = 0.0
        self._warned = 0  # warnings of the run that were printed

    def update(self, state: JobState) -> None:
        """Show a state."""
        self._rates.add(state)
        is_news = self._last is None or state.status != self._last.status
        self._last = state
        for warning in state.warnings[self._warned :]:
            self._console.print(f"warning: {clean(warning)}", highlight=False, markup=False, soft_wrap=True)
        self._warned = len(state.warnings)
        if self._console.is_terminal:
            self._live.update(bars(state, self._rates), refresh=True)
        elif is_news or time.monotonic() - self._printed_at >= PLAIN_EVERY_S:
            self._printed_at = time.monotonic()
            self._console.print(line(state, self._rates), highlight=False, soft_wrap=True)

    def __enter__(self) -> ProgressView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()


def line(state: JobState, rates: Rates) -> str:
    """A state on one line."""
    return f"{state.job_id}  {state.status}  {state.done:,}/{state.wanted:,} samples  {_figures(state, rates)}"


def bars(state: JobState, rates: Rates) -> Group:
    """A state as a bar per arm and one for all."""
    table = Table.grid(padding=(0, 1))
    for arm_id, arm in state.arms.items():
        table.add_row(Text(arm_id), _bar(arm.done, arm.wanted), _count(arm.done, arm.wanted))
    table.add_row(Text("all", style="bold"), _bar(state.done, state.wanted), _count(state.done, state.wanted))
    return Group(Text(f"{state.job_id}  {state.status}", style="bold"), table, Text(_figures(state, rates)))


def duration(seconds: float) -> str:
    """
    >>> duration(5), duration(75), duration(7_384)
    ('5 s', '1 min 15 s', '2 h 03 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60:02d} min"


def _bar(done: int, total: int) -> ProgressBar:
    return ProgressBar(total=max(total, 1), completed=done, width=BAR_WIDTH)


def _count(done: int, total: int) -> Text:
    return Text(f"{done:,}/{total:,}", justify="right")


def _figures(state: JobState, rates: Rates) -> str:
    cap = f" of ${state.cap_usd:,.2f}" if state.cap_usd is not None else ""
    parts = [f"${state.spent_usd:,.2f}{cap}"]
    if state.status == "running":
        parts = [f"{rates.tokens():,.0f} tokens/s", *parts, f"{state.in_flight:,} in flight"]
    parts.append(f"{state.retries:,} retries")
    if state.spared:
        parts.append(f"{state.spared:,} spared")
    if state.failed:
        parts.append(f"{state.failed:,} failed")
    left = rates.seconds_left(state)
    if state.status == "running" and left is not None:
        parts.append(f"{duration(left)} left")
    return "  ".join(parts) + (f"\n{clean(state.reason)}" if state.reason else "")
