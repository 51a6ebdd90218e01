"""The progress view: plain lines where there is no terminal, bars where there is one."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from polythink.cli.progress import ProgressView, Rates, line
from polythink.storage.state import ArmProgress, JobState

RUNNING = JobState(
    job_id="sums-1",
    name="sums",
    status="running",
    total=100,
    cap_usd=5.0,
    created_at=0.0,
    started_at=0.0,
    updated_at=0.0,
    host="here",
    pid=1,
    arms={"plain": ArmProgress(done=0, total=100)},
)
LATER = replace(RUNNING, updated_at=10.0, done=20, output_tokens=5_000, spent_usd=1.25, in_flight=8, retries=3)


def test_rates_and_time_left_come_from_the_states() -> None:
    rates = Rates()
    rates.add(RUNNING)
    rates.add(LATER)
    assert (rates.samples(), rates.tokens(), rates.seconds_left(LATER)) == (2.0, 500.0, 40.0)
    assert line(LATER, rates) == (
        "sums-1  running  20/100 samples  500 tokens/s  $1.25 of $5.00  8 in flight  3 retries  40 s left"
    )


def test_rates_forget_what_is_long_past() -> None:
    rates = Rates()
    for second in range(0, 600, 10):
        rates.add(replace(RUNNING, updated_at=float(second), done=second if second > 300 else 0))
    assert rates.samples() == 1.0


def _shown(*, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, color_system=None)
    with ProgressView(console) as view:
        view.update(RUNNING)
        view.update(LATER)
        view.update(replace(LATER, status="stopped", reason="the cap is reached"))
    return out.getvalue()


def test_plain_lines_where_there_is_no_terminal() -> None:
    shown = _shown(terminal=False)
    assert "\x1b" not in shown
    assert shown.splitlines()[0].startswith("sums-1  running  0/100 samples")
    assert shown.splitlines()[-1] == "the cap is reached"


def test_bars_on_a_terminal() -> None:
    shown = _shown(terminal=True)
    assert "plain" in shown
    assert "20/100" in shown
    assert "the cap is reached" in shown


def test_a_warning_is_said_once() -> None:
    out = io.StringIO()
    with ProgressView(Console(file=out, width=40, color_system=None)) as view:
        view.update(RUNNING)
        view.update(replace(RUNNING, warnings=("[1] of these lines is torn, and so the sample is owed",)))
        view.update(replace(LATER, warnings=("[1] of these lines is torn, and so the sample is owed", "more")))
    said = [line for line in out.getvalue().splitlines() if line.startswith("warning")]
    assert said == ["warning: [1] of these lines is torn, and so the sample is owed", "warning: more"]


def test_what_a_model_or_a_function_said_cannot_steer_the_terminal() -> None:
    out = io.StringIO()
    with ProgressView(Console(file=out, width=200, color_system=None)) as view:
        view.update(replace(RUNNING, warnings=("best: returned \x1b[2J",)))
        view.update(replace(LATER, status="stopped", reason="refused \x1b]0;x\x07"))
    assert "\x1b" not in out.getvalue() and "\x07" not in out.getvalue()
    assert "best: returned [U+001B][2J" in out.getvalue() and "refused [U+001B]]0;x[U+0007]" in out.getvalue()
