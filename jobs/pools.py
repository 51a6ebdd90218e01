"""The limit pools of a job: what the API limits as one, by endpoint and model class."""

from __future__ import annotations

from collections.abc import Sequence

from polythink import facts
from polythink.jobs.spec_parts import Endpoint
from polythink.jobs.workload import Workload
from polythink.records import Arm
from polythink.workers.governor import PoolSpec
from polythink.workers.pool import Membership, Rules

_ANY_NUMBER = 1_000_000  # requests in flight: as many as the limits, and the workers' memory, allow


def pool_name(endpoint: str, model: str) -> str:
    """The pool that requests for a model at an endpoint count against, within the job."""
    known = facts.find(model)
    return f"{endpoint}/{known.model_class if known else model}"


def pools_of(arm: Arm) -> dict[str, str]:
    """The pools that an arm's requests may go to, each with its endpoint, in the order of the arm's list."""
    return {pool_name(endpoint, arm.model): endpoint for endpoint in arm.endpoints}


def sharing(arms: Sequence[Arm]) -> dict[str, frozenset[str]]:
    """For each pool the others that serve one of its arms too."""
    found: dict[str, frozenset[str]] = {}
    for arm in arms:
        together = frozenset(pools_of(arm))
        for pool in together:
            found[pool] = found.get(pool, frozenset()) | together - {pool}
    return found


def _account(endpoint: Endpoint) -> str:
    """What limits are granted to, as far as a job tells."""
    place = (endpoint.base_url, endpoint.region, endpoint.project, endpoint.resource, endpoint.workspace)
    said = " ".join(filter(None, place)) or "default"
    return f"{endpoint.provider} {said} {endpoint.key_variable or 'own credentials'}"


def pools(work: Workload) -> list[PoolSpec]:
    """Every pool of a job. Jobs on one cluster share a pool where address, key and model class are the same."""
    found: dict[str, PoolSpec] = {}
    for name, endpoint_name in (pair for arm in work.arms for pair in pools_of(arm).items()):
        endpoint = work.job.endpoints[endpoint_name]
        model_class = name.partition("/")[2]
        found[name] = PoolSpec(
            name=name,
            endpoint=endpoint_name,
            actor=f"governor {_account(endpoint)} {model_class}",
            rules=Rules(limits=endpoint.limits_per_minute, leave=endpoint.share_left),
        )
    return list(found.values())


def membership(work: Workload) -> Membership:
    """The job, as governors know it."""
    return Membership(job=work.job_id, in_flight=work.job.most_in_flight or _ANY_NUMBER)
