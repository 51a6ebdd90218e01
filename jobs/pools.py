"""The limit pools of a job: what the API limits as one, by endpoint and model class."""

from __future__ import annotations

from polythink import facts
from polythink.jobs.spec_parts import Endpoint
from polythink.jobs.workload import Workload
from polythink.records import Arm
from polythink.workers.governor import PoolSpec
from polythink.workers.pool import Membership, Rules

_ANY_NUMBER = 1_000_000  # requests in flight: as many as the limits, and the workers' memory, allow


def pool_name(arm: Arm) -> str:
    """The pool that an arm's requests count against, within the job."""
    model = facts.find(arm.model)
    return f"{arm.endpoint}/{model.model_class if model else arm.model}"


def _account(endpoint: Endpoint) -> str:
    """What limits are granted to, as far as a job tells."""
    place = (endpoint.base_url, endpoint.region, endpoint.project, endpoint.resource, endpoint.workspace)
    said = " ".join(filter(None, place)) or "default"
    return f"{endpoint.provider} {said} {endpoint.key_variable or 'own credentials'}"


def pools(work: Workload) -> list[PoolSpec]:
    """Every pool of a job. Jobs on one cluster share a pool where address, key and model class are the same."""
    found: dict[str, PoolSpec] = {}
    for arm in work.arms:
        endpoint = work.job.endpoints[arm.endpoint]
        name = pool_name(arm)
        model_class = name.partition("/")[2]
        found[name] = PoolSpec(
            name=name,
            endpoint=arm.endpoint,
            actor=f"governor {_account(endpoint)} {model_class}",
            rules=Rules(limits=endpoint.limits_per_minute, leave=endpoint.share_left),
        )
    return list(found.values())


def membership(work: Workload) -> Membership:
    """The job, as governors know it."""
    return Membership(job=work.job_id, in_flight=work.job.most_in_flight or _ANY_NUMBER)
