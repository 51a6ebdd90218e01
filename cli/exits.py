"""Exit codes, and how errors become them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from polythink.errors import (
    JobBusyError,
    JobChangedError,
    PolythinkError,
    SpecError,
    UnknownJobError,
    UnknownProblemError,
)
from polythink.storage.state import JobState

DONE = 0
FAILED_SAMPLES = 1
BAD_USAGE = 2
STOPPED = 3
INTERRUPTED = 4
DIFFERENCE = 5

_USAGE_ERRORS = (SpecError, JobChangedError, UnknownJobError, UnknownProblemError, JobBusyError)


def exit_code(state: JobState) -> int:
    """What the end of a run means to a script.

    >>> from dataclasses import replace
    >>> ended = JobState(job_id="j", name="j", status="done", created_at=0, started_at=0, updated_at=0, host="", pid=0)
    >>> [exit_code(ended), exit_code(replace(ended, failed=1)), exit_code(replace(ended, status="cancelled"))]
    [0, 1, 3]
    """
    match state.status:
        case "done":
            return FAILED_SAMPLES if state.failed else DONE
        case "interrupted":
            return INTERRUPTED
        case _:
            return STOPPED


@contextmanager
def reported_errors() -> Iterator[None]:
    """Errors raised on purpose are said on stderr, without a traceback, and end the command."""
    try:
        yield
    except PolythinkError as error:
        print(f"polythink: {error}", file=sys.stderr)
        raise typer.Exit(BAD_USAGE if isinstance(error, _USAGE_ERRORS) else STOPPED) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
