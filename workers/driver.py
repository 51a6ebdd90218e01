"""Whether the driver that feeds a worker still lives: of a dead one nobody would keep the replies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import ray


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
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except FileNotFoundError:
            return Path("/proc/self/stat").exists()  # else this system does not say
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] in ("Z", "X")
