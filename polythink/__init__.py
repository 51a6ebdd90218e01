"""Parallel test-time compute as large offline jobs: many independent thoughts, one answer.

    import polythink

    polythink.open("archive").sql("SELECT outcome, count(*) FROM traces GROUP BY ALL")
    polythink.run(polythink.Job(name="mine", problems={"path": "problems.jsonl"}, arms=[...], samples=16))
    polythink.select("mine", ["majority"])
    polythink.explain("mine", ["majority"], problem="p7")

Public names load when they are first used: Ray and the SDK take seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polythink.errors import PolythinkError, SpecError
    from polythink.jobs.api import resume, run, select
    from polythink.jobs.archive_api import explain, replay
    from polythink.jobs.picking import Picked
    from polythink.jobs.spec import Job
    from polythink.selectors.explain import Explanation
    from polythink.selectors.replay import Replayed
    from polythink.storage.archive import Archive
    from polythink.storage.archive import Archive as open

__version__ = "0.1.0"
__all__ = [
    "Archive",
    "Explanation",
    "Job",
    "Picked",
    "PolythinkError",
    "Replayed",
    "SpecError",
    "explain",
    "open",
    "replay",
    "resume",
    "run",
    "select",
]

_HOMES = {
    "Archive": "polythink.storage.archive:Archive",
    "Explanation": "polythink.selectors.explain:Explanation",
    "Job": "polythink.jobs.spec:Job",
    "Picked": "polythink.jobs.picking:Picked",
    "PolythinkError": "polythink.errors:PolythinkError",
    "Replayed": "polythink.selectors.replay:Replayed",
    "SpecError": "polythink.errors:SpecError",
    "explain": "polythink.jobs.archive_api:explain",
    "open": "polythink.storage.archive:Archive",
    "replay": "polythink.jobs.archive_api:replay",
    "resume": "polythink.jobs.api:resume",
    "run": "polythink.jobs.api:run",
    "select": "polythink.jobs.api:select",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'polythink' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)
