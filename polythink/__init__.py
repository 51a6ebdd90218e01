"""Parallel test-time compute as large offline jobs: many independent thoughts, one answer.

    import polythink

    polythink.open("archive").sql("SELECT outcome, count(*) FROM traces GROUP BY ALL")
    polythink.run(polythink.Job(name="mine", problems={"path": "problems.jsonl"}, arms=[...], samples=16))

Public names load when they are first used: Ray and the SDK take seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polythink.errors import PolythinkError, SpecError
    from polythink.jobs.api import resume, run
    from polythink.jobs.spec import Job
    from polythink.storage.archive import Archive
    from polythink.storage.archive import Archive as open

__version__ = "0.1.0"
__all__ = ["Archive", "Job", "PolythinkError", "SpecError", "open", "resume", "run"]

_HOMES = {
    "Archive": "polythink.storage.archive:Archive",
    "Job": "polythink.jobs.spec:Job",
    "PolythinkError": "polythink.errors:PolythinkError",
    "SpecError": "polythink.errors:SpecError",
    "open": "polythink.storage.archive:Archive",
    "resume": "polythink.jobs.api:resume",
    "run": "polythink.jobs.api:run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'polythink' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)
