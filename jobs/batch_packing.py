"""Which samples go into one batch. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from polythink.workers.batches import params
from polythink.workers.tasks import Task

MOST_REQUESTS = 10_000  # the API takes 100,000; smaller ones bring first results sooner and are cheaper to send again
MOST_BYTES = 200_000_000  # the API takes 256 MB
_ENVELOPE_BYTES = 64  # of an entry, around its params and its id


def packed(tasks: Iterable[Task], *, most: int = MOST_REQUESTS, most_bytes: int = MOST_BYTES) -> Iterator[list[Task]]:
    """Batches of tasks of one endpoint and model each, in order, none above the limits unless by a single task."""
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.endpoint, str(task.body["model"])), []).append(task)
    sizes: dict[int, int] = {}
    for group in groups.values():
        batch: list[Task] = []
        room = most_bytes
        for task in group:
            size = sizes.setdefault(id(task.body), _size(task))
            if batch and (len(batch) == most or size > room):
                yield batch
                batch, room = [], most_bytes
            batch.append(task)
            room -= size
        yield batch


def _size(task: Task) -> int:
    """Bytes that an entry takes at most; samples of one body are all about as large."""
    return len(json.dumps(params(task))) + 2 * len(task.sample_id) + _ENVELOPE_BYTES
