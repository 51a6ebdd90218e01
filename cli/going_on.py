"""What to type to go on with a job that is not done."""

from __future__ import annotations

import math
import shlex
from datetime import UTC, datetime, timedelta

from polythink.jobs.purse import LATER_DEADLINE, RAISE_TOKENS, RAISE_USD
from polythink.jobs.workload import stored_job
from polythink.storage.archive import Archive
from polythink.storage.state import JobState


def command_to_go_on(archive: Archive, state: JobState, now: float) -> str | None:
    """The command at `now`, in Unix seconds; None for a job that is done, or that sends nothing.

    A cap that was reached is proposed twice as high, a deadline that has passed a day from now. Raises ArchiveError.
    """
    if state.status in ("done", "imported"):
        return None
    command = ["polythink", "resume", state.job_id, "--archive", archive.root]
    return shlex.join(command + _past_the_cap(archive, state, now))


def _past_the_cap(archive: Archive, state: JobState, now: float) -> list[str]:
    reason = state.reason or ""
    if RAISE_USD in reason and state.cap_usd is not None:
        return ["--cap-usd", f"{math.ceil(200 * state.cap_usd) / 100:.2f}"]
    if RAISE_TOKENS in reason:
        cap = stored_job(archive, state.job_id).cap
        return [] if cap is None else ["--cap-output-tokens", str(2 * (cap.output_tokens or 0))]
    if LATER_DEADLINE in reason:
        tomorrow = datetime.fromtimestamp(now, UTC) + timedelta(days=1)
        return ["--deadline", f"{tomorrow:%Y-%m-%dT%H:%M:%SZ}"]
    return []
