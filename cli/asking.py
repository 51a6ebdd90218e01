"""Asking a job's endpoints what they take; apart from the options, for it needs the SDK."""

from __future__ import annotations

import sys

from polythink.jobs.capabilities import check_capabilities
from polythink.jobs.load import LoadedJob


def ask_endpoints(loaded: LoadedJob) -> LoadedJob:
    """The job, once its endpoints were asked whether they take it; says where they do not tell. Raises SpecError."""
    for note in check_capabilities(loaded):
        print(f"polythink: note: {note}", file=sys.stderr)
    return loaded
