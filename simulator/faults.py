"""Faults by plan: what goes wrong, how often, for whom and when. Decisions are seeded and have no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from polythink.simulator.api_errors import ApiError
from polythink.simulator.ids import seeded

# Kinds that refuse a request before its reply begins, and the status they answer with.
REFUSALS: dict[str, int] = {
    "overloaded": 529,
    "server_error": 500,
    "bad_gateway": 502,
    "unavailable": 503,
    "timeout": 504,
    "bad_request": 400,
    "ramp_limit": 429,
    "spend_limit": 429,
    "concurrency_limit": 429,
    "status": 0,  # the rule's own `status`
}
# Kinds that let a reply begin and then harm it.
INTERRUPTIONS = ("cut", "reset", "error_event", "stall")
OTHERS = (
    "reset_before",  # the connection is reset before any byte of a reply
    "slow_start",  # `seconds` before the first byte
    "missing_headers",  # the reply has no rate-limit headers
    "lost_batch_reply",  # a batch is created, but its reply never arrives
    "batch_not_found",  # a batch is not found, `times` times, right after it was created
)
KINDS = (*REFUSALS, *INTERRUPTIONS, *OTHERS)
BATCH_KINDS = ("lost_batch_reply", "batch_not_found")

_MESSAGES = {
    529: "Overloaded",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Request timed out",
    400: "This request is refused by the fault plan",
    429: "This request would exceed your account's rate limit. Please try again later.",
}
_ERROR_CODES = {"ramp_limit": "ramp_limit_exceeded", "spend_limit": "enforced_spend_limit_reached"}
_CONCURRENCY_MESSAGE = "Number of concurrent connections has exceeded your rate limit. Please try again later."


class FaultPlanError(ValueError):
    """The fault plan cannot be used; names the rule, the field and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One rule of a plan. It applies to requests that match all of `prompt`, `model`, `since` and `until`."""

    kind: str
    probability: float = 1.0
    prompt: str | None = None  # text that the prompt must hold
    model: str | None = None  # id or alias, as asked for
    since: float = 0.0  # seconds of the simulator's clock after its start
    until: float = float("inf")
    times: int | None = None  # at most this often in all; None: without end
    attempts: int | None = None  # only the first so many requests of a sample; None: all
    status: int | None = None  # for kind "status"
    error_code: str | None = None  # `details.error_code`, which clients tell special errors by
    message: str | None = None
    retry_after: int | None = None  # seconds
    seconds: float = 30.0  # for slow_start and stall
    after: int = 8  # deltas sent before an interruption

    def error(self) -> ApiError:
        """The refusal of this rule as the API words it."""
        status = self.status or REFUSALS.get(self.kind, 529)
        default = _CONCURRENCY_MESSAGE if self.kind == "concurrency_limit" else _MESSAGES.get(status, "Refused")
        retry_after = self.retry_after
        if retry_after is None and self.kind in ("ramp_limit", "concurrency_limit"):
            retry_after = 5
        return ApiError(
            status,
            self.message or default,
            error_code=self.error_code or _ERROR_CODES.get(self.kind),
            retry_after=retry_after,
        )


@dataclass(slots=True)
class FaultPlan:
    """Rules in order: the first that hits a request decides its fate."""

    rules: tuple[Fault, ...] = ()
    seed: int = 0
    _hits: dict[int, int] = field(default_factory=dict)
    _attempts: dict[str, int] = field(default_factory=dict)
    _anonymous: int = 0

    def strike(
        self, *, sample: str | None, prompt: str, model: str, elapsed: float, kinds: tuple[str, ...] | None = None
    ) -> Fault | None:
        """What happens to this request, if anything. `elapsed` is seconds since the simulator's start.

        Whether a rule hits depends on the seed, the sample and which of its requests this is: not on who came first.
        """
        if not self.rules:
            return None
        name, attempt = self._attempt(sample)
        for number, rule in enumerate(self.rules):
            if (kinds is None and rule.kind in BATCH_KINDS) or (kinds is not None and rule.kind not in kinds):
                continue
            if rule.attempts is not None and attempt > rule.attempts:
                continue
            if self._applies(number, rule, prompt, model, elapsed) and self._drawn(number, rule, name, attempt):
                self._hits[number] = self._hits.get(number, 0) + 1
                return rule
        return None

    def _attempt(self, sample: str | None) -> tuple[str, int]:
        if sample is None:
            self._anonymous += 1
            return f"anonymous {self._anonymous}", 1
        self._attempts[sample] = self._attempts.get(sample, 0) + 1
        return sample, self._attempts[sample]

    def _applies(self, number: int, rule: Fault, prompt: str, model: str, elapsed: float) -> bool:
        return (
            rule.since <= elapsed < rule.until
            and (rule.times is None or self._hits.get(number, 0) < rule.times)
            and (rule.prompt is None or rule.prompt in prompt)
            and (rule.model is None or rule.model == model)
        )

    def _drawn(self, number: int, rule: Fault, name: str, attempt: int) -> bool:
        if rule.probability >= 1:
            return True
        return seeded("fault", str(self.seed), str(number), name, str(attempt)).random() < rule.probability


def read_plan(raw: Any) -> FaultPlan:
    """A plan out of decoded YAML or JSON: `{seed: 0, faults: [{kind: overloaded, probability: 0.1}, ...]}`.

    Raises FaultPlanError.
    """
    if not isinstance(raw, Mapping):
        raise FaultPlanError("fault plan: it must be a mapping with the key `faults`")
    for key in raw:
        if key not in ("seed", "faults"):
            raise FaultPlanError(f"fault plan: unknown key `{key}`; it takes seed and faults")
    rules = raw.get("faults") or []
    if not isinstance(rules, list):
        raise FaultPlanError("fault plan: `faults` must be a list of rules")
    return FaultPlan(
        rules=tuple(_rule(rule, f"faults[{number}]") for number, rule in enumerate(rules)),
        seed=_number(raw.get("seed", 0), "seed", whole=True),
    )


def load_plan(path: Path | None) -> FaultPlan:
    """The plan in a YAML file; an empty one without a file. Raises FaultPlanError."""
    if path is None:
        return FaultPlan()
    try:
        return read_plan(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise FaultPlanError(f"fault plan {path}: {error}") from error


_WHOLE = ("times", "attempts", "status", "retry_after", "after")
_REAL = ("probability", "since", "until", "seconds")


def _rule(raw: Any, where: str) -> Fault:
    if not isinstance(raw, Mapping):
        raise FaultPlanError(f"{where}: a rule is a mapping such as {{kind: overloaded, probability: 0.1}}")
    known = {one.name for one in fields(Fault)}
    for key in raw:
        if key not in known:
            raise FaultPlanError(f"{where}.{key}: unknown field; a rule takes {', '.join(sorted(known))}")
    if raw.get("kind") not in KINDS:
        raise FaultPlanError(f"{where}.kind: found {raw.get('kind')!r}; it must be one of {', '.join(KINDS)}")
    if raw["kind"] == "status" and raw.get("status") is None:
        raise FaultPlanError(f"{where}.status: kind status needs an HTTP status such as 503")
    values: dict[str, Any] = {key: value for key, value in raw.items() if value is not None}
    for key in _WHOLE + _REAL:
        if key in values:
            values[key] = _number(values[key], f"{where}.{key}", whole=key in _WHOLE)
    if not 0 <= values.get("probability", 1.0) <= 1:
        raise FaultPlanError(f"{where}.probability: found {values['probability']}; it must be between 0 and 1")
    if "status" in values and not 400 <= values["status"] <= 599:
        raise FaultPlanError(f"{where}.status: found {values['status']}; it must be between 400 and 599")
    return Fault(**values)


def _number(value: Any, where: str, *, whole: bool) -> Any:
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or float(value) < 0:
        raise FaultPlanError(f"{where}: found {value!r}; it must be a {'whole ' if whole else ''}number of at least 0")
    return value
