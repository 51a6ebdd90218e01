"""Where a chart's labels go so that none covers another. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A label's place in pixels from the top left."""

    left: float
    top: float
    width: float
    height: float

    def overlaps(self, other: Box) -> bool:
        beside = self.left + self.width <= other.left or other.left + other.width <= self.left
        above = self.top + self.height <= other.top or other.top + other.height <= self.top
        return not (beside or above)


def place_below(wanted: Sequence[Box]) -> list[Box]:
    """Each label where it is wanted, or as little below as keeps it clear of the labels placed before; topmost first.

    >>> [box.top for box in place_below([Box(0, 10, 40, 12), Box(20, 15, 40, 12), Box(90, 15, 40, 12)])]
    [10, 22, 15]
    """
    placed: dict[int, Box] = {}
    for index in sorted(range(len(wanted)), key=lambda i: wanted[i].top):
        box = wanted[index]
        while hits := [other for other in placed.values() if box.overlaps(other)]:
            box = Box(box.left, max(other.top + other.height for other in hits), box.width, box.height)
        placed[index] = box
    return [placed[index] for index in range(len(wanted))]
