"""From a sample to the request made for it, and what that may cost at most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from polythink import facts
from polythink.jobs.arms import request_body
from polythink.jobs.caching import cached_body
from polythink.jobs.pools import pool_name
from polythink.jobs.prefixes import Role
from polythink.jobs.prompt import render
from polythink.jobs.workload import Workload
from polythink.records import Arm, Lane, SampleKey, Usage
from polythink.workers.prices import price
from polythink.workers.tasks import Endpoint, Task

OVERHEAD_TOKENS = 512  # what the API may add around a prompt, generously
ANSWER_TOKENS = 400.0
THINKING_TOKENS = 4000.0
_KEPT_BODIES = 4_096


def endpoints(work: Workload) -> dict[str, Endpoint]:
    """The job's endpoints by name, as workers take them."""
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
            timeout_s=work.job.timeout_s,
            prices=(spec.prices.input, spec.prices.output) if spec.prices else None,
        )
        for name, spec in work.job.endpoints.items()
    }


class Requests:
    """Makes tasks. Bodies are rendered once per problem and arm, and shared by their samples."""

    def __init__(self, work: Workload) -> None:
        self.job_id = work.job_id
        self._lane: Lane = work.job.lane
        self._problems = work.problems_by_id
        self._arms = work.arms_by_id
        self._endpoints = endpoints(work)
        self._arms_of: dict[str, list[str]] = {}
        self._pool_of = {(arm.endpoint, arm.model): pool_name(arm) for arm in work.arms}
        for arm in work.arms:
            self._arms_of.setdefault(pool_name(arm), []).append(arm.arm_id)
        self._body = lru_cache(maxsize=_KEPT_BODIES)(self._render)

    def task(self, key: SampleKey, number: int, now: float, role: Role | None = None) -> Task:
        """The request for attempt `number` of a sample, queued at `now` (Unix seconds).

        `role` is its part where its prompt is cached.
        """
        arm = self._arms[key.arm_id]
        rendered = self._body(key.problem_id, key.arm_id)
        return Task(
            key=key,
            sample_id=key.sample_id(self.job_id),
            number=number,
            body=rendered.cached_body if role and rendered.cached_body else rendered.body,
            endpoint=arm.endpoint,
            pool=pool_name(arm),
            prompt_bytes=0 if role == "follow" else rendered.prompt_bytes,
            leads=role == "lead",
            output_guess=output_guess(arm),
            queued_at=now,
        )

    def is_cached(self, key: SampleKey) -> bool:
        """Whether samples of this problem and arm, if they are several, have the API cache their prompt."""
        return self._body(key.problem_id, key.arm_id).cached_body is not None

    def arms_of(self, pool: str) -> list[str]:
        """The arms whose requests count against a pool."""
        return self._arms_of[pool]

    def pool_of(self, endpoint: str, model: str) -> str:
        """The limit pool of an endpoint's model that an arm uses. Raises KeyError if none does."""
        return self._pool_of[endpoint, model]

    def worst_case_usd(self, key: SampleKey) -> float:
        """What one request can cost at most; 0 where the model has no known price."""
        return self._body(key.problem_id, key.arm_id).worst_case_usd

    def _render(self, problem_id: str, arm_id: str) -> _Rendered:
        arm = self._arms[arm_id]
        system, user = render(arm, self._problems[problem_id])
        known = facts.find(arm.model)
        body = request_body(arm, system, user, known)
        cached = cached_body(body, known) if self._lane == "live" else None
        prompt_bytes = len((system or "").encode()) + len(user.encode())
        # No tokenizer makes more tokens than there are bytes.
        most = prompt_bytes + OVERHEAD_TOKENS
        usage = Usage(
            input_tokens=0 if cached else most,
            cache_write_5m_tokens=most if cached else 0,
            output_tokens=arm.max_tokens,
        )
        worst_case = price(self._endpoints[arm.endpoint], arm.model, usage, self._lane) or 0.0
        return _Rendered(body, cached, prompt_bytes, worst_case)


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
