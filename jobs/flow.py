"""Where tasks should wait when several pools serve the same arms. No I/O, no clock.

Tasks are handed out ahead of time, so some wait at each pool. Where that is the wrong place they are taken back: at a
pool out of service, while another is in service; and at any pool, once another has nothing left to start.
"""

from __future__ import annotations

from collections.abc import Mapping


class Flow:
    """The pools of one run, by what its driver sees of them."""

    def __init__(self, sharing: Mapping[str, frozenset[str]], workers: int) -> None:
        """`sharing` has for each pool the others that serve one of its arms too."""
        self._sharing = {pool: others for pool, others in sharing.items() if others}
        self._workers = workers
        self._starved: set[str] = set()  # could have started tasks, and got none
        self._held_back: dict[str, int] = {}  # pool -> the most it may take of what it gave back

    def offer(self, room: Mapping[str, int], waiting: Mapping[str, int], out: frozenset[str]) -> dict[str, int]:
        """The room of each pool as it is to be filled, in order: pools out of service last, with a probe a worker."""
        offered: dict[str, int] = {}
        for pool in sorted(room, key=lambda pool: (pool in out, pool not in self._held_back)):
            most = self._held_back.get(pool, room[pool])
            if pool in out and pool in self._sharing:
                most = self._workers - waiting[pool]
            offered[pool] = max(0, min(room[pool], most))
        self._held_back = {}
        self._starved = {pool for pool in self._sharing if offered.get(pool) and not waiting[pool]} - out
        return offered

    def sent(self, pool: str) -> None:
        """It got tasks."""
        self._starved.discard(pool)

    def misplaced(self, waiting: Mapping[str, int], out: frozenset[str]) -> set[str]:
        """The pools whose tasks are to be taken back and handed out again; they get half of them at most."""
        found: set[str] = set()
        for pool, others in self._sharing.items():
            if pool in out:
                is_wrong = waiting[pool] > self._workers and bool(others - out)
            else:
                is_wrong = waiting[pool] > 1 and bool(others & self._starved)
            if is_wrong:
                found.add(pool)
        self._held_back = {pool: waiting[pool] // 2 for pool in found - out}
        return found

    def leave_out(self, pools: set[str]) -> None:
        """Nothing more goes to some pools."""
        self._sharing = {pool: others - pools for pool, others in self._sharing.items() if pool not in pools}
