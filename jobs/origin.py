"""Simulated and real replies are never kept under one job: which a reply is, and how an unlike one is set apart."""

from __future__ import annotations

from dataclasses import replace

from polythink.records import Attempt
from polythink.workers.tasks import Failure, Result

_NAMES = {True: "simulated", False: "real"}
_FIXES = {
    True: "give the simulated job a name of its own, or send to the real endpoint",
    False: "give the real job a name of its own, or send to a simulator with --base-url",
}


def is_simulated(attempt: Attempt) -> bool | None:
    """Whether a simulator answered; None where nobody did."""
    return None if attempt.http_status is None else attempt.simulator is not None


def mixture(kept: bool | None, attempt: Attempt) -> str | None:
    """Why a reply must not be kept beside traces that are simulated (`kept`) or not; None if it may be.

    `kept` is None while no trace says either.
    """
    answered = is_simulated(attempt)
    if kept is None or answered is None or answered == kept:
        return None
    who = "a simulator answers" if answered else "a real endpoint answers"
    return f"{who}, but the traces kept of this job are {_NAMES[kept]}: {_FIXES[answered]}"


def set_apart(result: Result, reason: str) -> Result:
    """The result as an attempt that made no trace: its cost and content stay, its sample is owed."""
    failure = result.failure or Failure(disposition="stop_job", error_type="unlike_server", message=reason)
    attempt = replace(
        result.attempt,
        status="retry",
        error_type=result.attempt.error_type or failure.error_type,
        error_message=result.attempt.error_message or failure.message,
    )
    return Result(attempt=attempt, failure=replace(failure, disposition="stop_job"))
