"""Whether the driver that feeds a worker still lives: of a dead one nobody would keep the replies."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import ray

LOOK_EVERY_S = 0.1
_PROCESSES = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A process on a node of the cluster."""

    node_id: str
    pid: int

    @classmethod
    def here(cls) -> Driver:
        """This process."""
        return cls(node_id=ray.get_runtime_context().get_node_id(), pid=os.getpid())

    def is_here(self) -> bool:
        """Whether it is on this node, where its end can be seen at once. Of others, Ray tells after a moment."""
        return bool(ray.get_runtime_context().get_node_id() == self.node_id)

    def is_gone(self) -> bool:
        """Whether the process has ended, on this node. A process killed and not yet reaped has."""
        try:
            return _stat(self.pid)[0] in ("Z", "X")
        except FileNotFoundError:
            return (_PROCESSES / "self" / "stat").exists()  # else this system does not say
        except OSError:
            return False

    async def end_with_it(self) -> None:
        """End this process, a worker on the driver's node, once the driver has ended.

        Ray would get round to it within a minute or so; until then streams would run on.
        """
        await self._end()
        os._exit(1)

    async def _end(self) -> None:
        """Return once the process has ended: at once where the system tells, else within `LOOK_EVERY_S`."""
        try:
            handle = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not on this system; or it has ended already
            while not self.is_gone():  # noqa: ASYNC110  there is no event to wait for
                await asyncio.sleep(LOOK_EVERY_S)
            return
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(handle, ended.set)
        await ended.wait()


def _stat(pid: int) -> list[str]:
    """Of a process: its state, its parent's id, and more. Raises OSError if there is none."""
    return (_PROCESSES / str(pid) / "stat").read_text().rpartition(")")[2].split()
