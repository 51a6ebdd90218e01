"""Processes that came from another, as /proc tells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def family(ancestor: int) -> dict[int, list[str]]:
    """A process and all that came from it and still live: the fields of their `stat` after the name, by process id."""
    stats: dict[int, list[str]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            stats[int(stat.parent.name)] = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has just ended
            continue
    return {process: fields for process, fields in stats.items() if _comes_from(process, ancestor, stats)}


def _comes_from(process: int, ancestor: int, stats: Mapping[int, list[str]]) -> bool:
    while process != ancestor and process in stats:
        process = int(stats[process][1])
    return process == ancestor
