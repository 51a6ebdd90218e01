"""The order of samples that share a prompt, so that all but the first of them read it from the API's cache.

A prompt can be read once the reply that writes it has begun, and for five minutes from the start of the request that
last read it. So one sample of a group leads, and the others follow when its reply has begun; if it fails, another does.
Whoever follows goes before any new leader, the group that has waited longest first: that keeps every prompt warm. One
that went cold all the same is led anew. No I/O, no clock: time is passed in, in seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Role = Literal["lead", "follow"]
WARM_S = 240.0  # of the 300 that the API keeps a prompt, for some of them pass until a request starts


@dataclass(slots=True)
class _Group:
    """The samples of one problem in one arm."""

    waiting: deque[int]
    leader: int | None = None
    sent_at: float = -math.inf  # when one of them was last drawn
    is_warm: bool = False
    is_ready: bool = False  # in line


class Prefixes:
    """The groups of one arm. A group's number is up to the caller."""

    def __init__(self) -> None:
        self._groups: dict[int, _Group] = {}
        self._line: deque[int] = deque()  # groups of which one may be drawn, the longest waiting first

    def __contains__(self, group: int) -> bool:
        return group in self._groups

    def open(self, group: int, ordinals: Iterable[int]) -> None:
        """A group, with all of its samples."""
        self._groups[group] = _Group(deque(ordinals))
        self._get_in_line(group)

    def add(self, number: int, ordinals: Iterable[int]) -> None:
        """More samples of a group."""
        group = self._groups[number]
        group.waiting.extend(ordinals)
        if group.leader is None:
            self._get_in_line(number)

    def waiting_since(self) -> float | None:
        """When the group that may be drawn from was last drawn from; None if there is none."""
        return self._groups[self._line[0]].sent_at if self._line else None

    def draw(self, now: float) -> tuple[int, Role | None]:
        """The next sample, and its part, none if it is alone and its prompt is cold. There must be one."""
        number = self._line.popleft()
        group = self._groups[number]
        group.is_ready = False
        ordinal = group.waiting.popleft()
        is_warm = group.is_warm and now - group.sent_at <= WARM_S
        group.sent_at = now
        if is_warm:
            self._get_in_line(number)
            return ordinal, "follow"
        if not group.waiting:  # nobody would read what it writes
            return ordinal, None
        group.is_warm, group.leader = False, ordinal
        return ordinal, "lead"

    def begun(self, number: int, ordinal: int) -> None:
        """The reply to a sample has begun."""
        self._free(number, ordinal, is_warm=True)

    def ended(self, number: int, ordinal: int, *, is_answered: bool) -> None:
        """A sample is no longer out."""
        self._free(number, ordinal, is_warm=is_answered)

    def put_back(self, number: int, ordinal: int) -> None:
        """A sample that was drawn and not sent after all."""
        self._groups[number].waiting.appendleft(ordinal)
        self._free(number, ordinal, is_warm=False)
        if self._groups[number].leader is None:
            self._get_in_line(number)

    def _free(self, number: int, ordinal: int, *, is_warm: bool) -> None:
        group = self._groups.get(number)
        if group is not None and group.leader == ordinal:
            group.leader, group.is_warm = None, is_warm
            self._get_in_line(number)

    def _get_in_line(self, number: int) -> None:
        group = self._groups[number]
        if group.waiting and not group.is_ready:
            group.is_ready = True
            self._line.append(number)
