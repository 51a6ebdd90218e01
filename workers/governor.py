"""The governor: one Ray actor for each limit pool, which the workers of all jobs on a cluster ask before they start."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError

from polythink.workers.leases import Lease, Report
from polythink.workers.pool import Membership, Pool, Rules

NAMESPACE = "polythink"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """One limit pool, as a job's driver and workers know it."""

    name: str  # unique within the job
    endpoint: str  # name of the endpoint
    actor: str  # the governor's name on the cluster: jobs that name the same one share it
    rules: Rules


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class Governor:
    """Holds a pool. Restarted empty if it dies: it then starts slowly and learns again, as from cold."""

    def __init__(self) -> None:
        self._pool = Pool(Rules(), time.monotonic())

    async def lease(self, holder: str, member: Membership, rules: Rules, report: Report) -> Lease:
        now = time.monotonic()
        self._pool.obey(rules, now)
        return self._pool.lease(holder, member, report, now)

    async def forget(self, holder: str) -> None:
        self._pool.forget(holder)


class Permits:
    """A governor, as one worker sees it. Whoever created a governor may go, and it with them: then another is made."""

    def __init__(self, spec: PoolSpec, holder: str, member: Membership) -> None:
        self._spec = spec
        self._holder = holder
        self._member = member
        self._governor = find_governor(spec)

    async def lease(self, report: Report) -> Lease:
        """Report, and get leave to start."""
        while True:
            try:
                lease: Lease = await self._governor.lease.remote(self._holder, self._member, self._spec.rules, report)
            except RayActorError:
                self._governor = find_governor(self._spec)
            else:
                return lease


def find_governor(spec: PoolSpec) -> Any:
    """The governor of a pool, started if there is none."""
    options = Governor.options(name=spec.actor, namespace=NAMESPACE, get_if_exists=True)  # type: ignore[attr-defined]
    return options.remote()
