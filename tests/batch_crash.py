"""A run of the batch lane that kills itself at a named step: `python -m tests.batch_crash ARCHIVE JOB STEP`.

The wrappers stand around the edges (the API's calls, the durable writes) and change nothing else.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from polythink.jobs.batch_ledger import BatchLedger
from polythink.jobs.keeper import Keeper
from polythink.storage.archive import Archive
from polythink.workers.batches import BatchEndpoint
from tests.running import run

STEPS = (
    "before the intent",
    "before create",
    "after create",
    "after the id",
    "before the first results are kept",
    "after the first results are kept",
    "before settling",
    "after settling",
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def around(
    owner: type, name: str, *, before: bool, when: Callable[[Sequence[Any]], bool] = lambda arguments: True
) -> None:
    """Die before or after a method's call whose arguments are such."""
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        if before and when(arguments):
            die()
        result = original(*arguments, **options)
        if not before and when(arguments):
            die()
        return result

    setattr(owner, name, wrapped)


def arrange(step: str) -> None:
    match step:
        case "before the intent":
            around(BatchLedger, "keep", before=True)
        case "before create":
            around(BatchEndpoint, "create", before=True)
        case "after create":
            around(BatchEndpoint, "create", before=False)
        case "after the id":
            around(BatchLedger, "keep", before=False, when=lambda given: given[1].state == "created")
        case "before the first results are kept":
            around(Keeper, "keep", before=True, when=lambda given: bool(given[1]))
        case "after the first results are kept":
            around(Keeper, "keep", before=False, when=lambda given: bool(given[1]))
        case "before settling":
            around(BatchLedger, "keep", before=True, when=lambda given: given[1].state == "settled")
        case "after settling":
            around(BatchLedger, "keep", before=False, when=lambda given: given[1].state == "settled")
        case _:
            raise ValueError(f"no such step: {step}")


if __name__ == "__main__":
    arrange(sys.argv[3])
    run(Archive(sys.argv[1]), Path(sys.argv[2]))
