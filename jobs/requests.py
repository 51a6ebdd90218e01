"""From a sample to the request made for it, and what that may cost at most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from polythink import facts
from polythink.jobs.arms import request_body
from polythink.jobs.caching import cached_body
from polythink.jobs.pools import pools_of
from polythink.jobs.prefixes import Role
from polythink.jobs.prompt import render
from polythink.jobs.spec import Job
from polythink.jobs.workload import Workload
from polythink.records import Arm, SampleKey, Usage
from polythink.workers.prices import price
from polythink.workers.tasks import Endpoint, Task

OVERHEAD_TOKENS = 512  # what the API may add around a prompt, generously
ANSWER_TOKENS = 400.0
THINKING_TOKENS = 4000.0
_KEPT_BODIES = 4_096


def endpoints(work: Workload) -> dict[str, Endpoint]:
    """The job's endpoints by name, as workers take them."""
    return as_workers_take(work.job)


def as_workers_take(job: Job) -> dict[str, Endpoint]:
    """A job's endpoints by name."""
    return {
        name: Endpoint(
            name=name,
            provider=spec.provider,
            base_url=spec.base_url,
            api_key_env=spec.key_variable,
            region=spec.region,
            project=spec.project,
            resource=spec.resource,
            workspace=spec.workspace,
            models=spec.models,
            timeout_s=job.timeout_s,
            prices=(spec.prices.input, spec.prices.output) if spec.prices else None,
        )
        for name, spec in job.endpoints.items()
    }


class Requests:
    """Makes tasks, and knows where they may go.

    Bodies are rendered once per problem and arm, and shared by their samples.
    """

    def __init__(self, work: Workload) -> None:
        self.job_id = work.job_id
        self._lane = work.lane
        self._problems = work.problems_by_id
        self._arms = work.arms_by_id
        self._endpoints = endpoints(work)
        self._arms_of: dict[str, list[str]] = {}
        self._pools_of = {arm.arm_id: pools_of(arm) for arm in work.arms}  # with the endpoints of the pools
        for arm_id, pools in self._pools_of.items():
            for pool in pools:
                self._arms_of.setdefault(pool, []).append(arm_id)
        self._body = lru_cache(maxsize=_KEPT_BODIES)(self._render)

    def task(self, key: SampleKey, number: int, now: float, role: Role | None = None, pool: str | None = None) -> Task:
        """The request for attempt `number` of a sample, queued at `now` (Unix seconds), for a pool or the first.

        `role` is its part where its prompt is cached.
        """
        arm, pools = self._arms[key.arm_id], self._pools_of[key.arm_id]
        pool = pool or next(iter(pools))
        rendered = self._body(key.problem_id, key.arm_id)
        return Task(
            key=key,
            sample_id=key.sample_id(self.job_id),
            number=number,
            body=rendered.cached_body if role and rendered.cached_body else rendered.body,
            endpoint=pools[pool],
            pool=pool,
            prompt_bytes=0 if role == "follow" else rendered.prompt_bytes,
            leads=role == "lead",
            output_guess=output_guess(arm),
            queued_at=now,
        )

    def is_cached(self, key: SampleKey) -> bool:
        """Whether samples of this problem and arm, if they are several, have the API cache their prompt."""
        return self._body(key.problem_id, key.arm_id).cached_body is not None

    def arms_of(self, pool: str) -> list[str]:
        """The arms whose requests may count against a pool."""
        return self._arms_of.get(pool, [])

    def leave_out(self, endpoint: str) -> None:
        """Nothing more goes to an endpoint."""
        for arm_id, pools in self._pools_of.items():
            self._pools_of[arm_id] = {pool: name for pool, name in pools.items() if name != endpoint}
        left = {pool for pools in self._pools_of.values() for pool in pools}
        self._arms_of = {pool: arms for pool, arms in self._arms_of.items() if pool in left}

    def is_stranded(self, arm_id: str) -> bool:
        """Whether every endpoint of an arm is left out."""
        return not self._pools_of[arm_id]

    def worst_case_usd(self, key: SampleKey) -> float:
        """What one request can cost at most; 0 where the model has no known price."""
        return self._body(key.problem_id, key.arm_id).worst_case_usd

    def max_tokens(self, key: SampleKey) -> int:
        """Output tokens that one request can make at most."""
        return self._arms[key.arm_id].max_tokens

    def _render(self, problem_id: str, arm_id: str) -> _Rendered:
        arm = self._arms[arm_id]
        system, user = render(arm, self._problems[problem_id])
        known = facts.find(arm.model)
        body = request_body(arm, system, user, known)
        # Each endpoint has a cache of its own: among several, a sample would not know where its prompt was written.
        lane = self._lane(arm)
        is_one_cache = lane == "live" and len(arm.endpoints) == 1
        cached = cached_body(body, known) if is_one_cache else None
        prompt_bytes = len((system or "").encode()) + len(user.encode())
        # No tokenizer makes more tokens than there are bytes.
        most = prompt_bytes + OVERHEAD_TOKENS
        usage = Usage(
            input_tokens=0 if cached else most,
            cache_write_5m_tokens=most if cached else 0,
            output_tokens=arm.max_tokens,
        )
        prices = [price(self._endpoints[name], arm.model, usage, lane) for name in arm.endpoints]
        return _Rendered(body, cached, prompt_bytes, max(usd or 0.0 for usd in prices))


def output_guess(arm: Arm) -> float:
    """Output tokens of a reply before any has told: an answer, and thinking by what the setting invites to."""
    thinking = {"budget_tokens": (arm.reasoning.budget_tokens or 0) / 2, "none": 0.0}
    return ANSWER_TOKENS + thinking.get(arm.reasoning.kind, THINKING_TOKENS)


@dataclass(frozen=True, slots=True)
class _Rendered:
    """What all samples of a problem and arm share."""

    body: dict[str, Any]
    cached_body: dict[str, Any] | None  # the same with its prompt cached; None where that is not done
    prompt_bytes: int
    worst_case_usd: float
