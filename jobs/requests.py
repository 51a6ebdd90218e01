"""From a sample to the request made for it, and what that may cost at most."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from polythink import facts
from polythink.jobs.arms import request_body
from polythink.jobs.prompt import render
from polythink.jobs.workload import Workload
from polythink.records import SampleKey, Usage
from polythink.workers.prices import price
from polythink.workers.tasks import Endpoint, Task

OVERHEAD_TOKENS = 512  # what the API may add around a prompt, generously
_KEPT_BODIES = 4_096


def endpoints(work: Workload) -> dict[str, Endpoint]:
    """The job's endpoints by name, as workers take them."""
    return {
        name: Endpoint(
            name=name,
            base_url=spec.base_url,
            api_key_env=spec.api_key_env,
            timeout_s=work.job.timeout_s,
            prices=(spec.prices.input, spec.prices.output) if spec.prices else None,
        )
        for name, spec in work.job.endpoints.items()
    }


class Requests:
    """Makes tasks. Bodies are rendered once per problem and arm, and shared by their samples."""

    def __init__(self, work: Workload) -> None:
        self._job_id = work.job_id
        self._problems = work.problems_by_id
        self._arms = work.arms_by_id
        self._endpoints = endpoints(work)
        self._body = lru_cache(maxsize=_KEPT_BODIES)(self._render)

    def task(self, key: SampleKey, number: int, now: float) -> Task:
        """The request for attempt `number` of a sample, queued at `now` (Unix seconds)."""
        return Task(
            key=key,
            sample_id=key.sample_id(self._job_id),
            number=number,
            body=self._body(key.problem_id, key.arm_id)[0],
            endpoint=self._arms[key.arm_id].endpoint,
            queued_at=now,
        )

    def worst_case_usd(self, key: SampleKey) -> float:
        """What one request can cost at most; 0 where the model has no known price."""
        return self._body(key.problem_id, key.arm_id)[1]

    def _render(self, problem_id: str, arm_id: str) -> tuple[dict[str, Any], float]:
        arm = self._arms[arm_id]
        system, user = render(arm, self._problems[problem_id])
        body = request_body(arm, system, user, facts.find(arm.model))
        # No tokenizer makes more tokens than there are bytes.
        prompt_tokens = len((system or "").encode()) + len(user.encode()) + OVERHEAD_TOKENS
        usage = Usage(input_tokens=prompt_tokens, output_tokens=arm.max_tokens)
        return body, price(self._endpoints[arm.endpoint], arm.model, usage) or 0.0
