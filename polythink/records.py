"""The words of the project as records: frozen, keyword-only, each field one line with its unit."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["answered", "no_answer", "truncated", "refused", "failed"]
Lane = Literal["live", "batch"]
AttemptStatus = Literal["complete", "retry", "failed", "lost"]
ReasoningKind = Literal["none", "adaptive", "budget_tokens", "effort"]
Extraction = Literal["boxed", "last_number", "regex", "choice", "json", "code", "verbatim"]
Equivalence = Literal["string", "number", "math", "lines"]

QUESTIONS = ("question", "problem", "prompt")  # fields by which an imported problem asks, the first that says something

_UNSAFE = re.compile(r"[^a-zA-Z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """How much a model may think: a budget in tokens, an effort level, its own judgement, or not at all."""

    kind: ReasoningKind
    budget_tokens: int | None = None  # tokens; set when kind is "budget_tokens"
    effort: str | None = None  # low .. max; set when kind is "effort"

    def __str__(self) -> str:
        """
        >>> str(Reasoning(kind="budget_tokens", budget_tokens=4096)), str(Reasoning(kind="none"))
        ('budget-4096', 'none')
        """
        match self.kind:
            case "budget_tokens":
                return f"budget-{self.budget_tokens}"
            case "effort":
                return f"effort-{self.effort}"
            case _:
                return self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One input. `fields` is the whole row as read: every field of it is usable in the template."""

    problem_id: str  # unique within the job
    gold: str | None  # reference answer, as text
    fields: dict[str, Any]  # the row
    ordinal: int = 0  # place in the job's problem list, from 0
    family: str | None = None  # problems of one family stand or fall together; None: one of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One sampling configuration."""

    arm_id: str  # unique within the job
    endpoints: tuple[str, ...]  # names in the job; a sample goes to whichever has room
    model: str
    reasoning: Reasoning
    max_tokens: int  # tokens, thinking and answer together
    system: str | None  # system prompt template (Jinja)
    template: str  # user prompt template (Jinja)
    ordinal: int = 0  # place in the job's arm list, from 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleKey:
    """The identity of a sample within its job. Never its text."""

    problem_id: str
    arm_id: str
    sample_index: int  # from 0

    def sample_id(self, job_id: str) -> str:
        """A readable id that also fits where the API allows 64 characters of `[a-zA-Z0-9_-]`.

        The first part is for people and may be cut; the 96-bit digest carries the identity.

        >>> SampleKey(problem_id="aime/7", arm_id="haiku.budget-1024", sample_index=12).sample_id("j1")
        'aime-7-haiku-budget-102-12_64c004e1297ae362d900b1f5'
        """
        readable = f"{_UNSAFE.sub('-', self.problem_id)[:14]}-{_UNSAFE.sub('-', self.arm_id)[:16]}-{self.sample_index}"
        identity = "\x1f".join((job_id, self.problem_id, self.arm_id, str(self.sample_index)))
        return f"{readable[:39]}_{hashlib.blake2b(identity.encode(), digest_size=12).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the API billed them. `output_tokens` includes all thinking, whatever of it is shown."""

    input_tokens: int = 0  # uncached input
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int | None = None  # part of output_tokens; None where the server does not say

    @property
    def cache_write_tokens(self) -> int:
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One HTTP request made for a sample, and what came of it. Times are Unix seconds (UTC)."""

    key: SampleKey
    number: int  # 1 for the first attempt of the sample
    status: AttemptStatus  # complete: it made the trace; retry: owed again; lost: owed again, its fate unknown; failed
    lane: Lane
    endpoint: str  # the endpoint's name in the job
    queued_at: float
    started_at: float
    finished_at: float
    first_token_at: float | None = None
    content: str = "[]"  # JSON array of content blocks, verbatim; what had arrived if the stream was cut
    stop_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None  # None: no price is known for the model, or nobody knows what was billed
    reserved_usd: float | None = None  # what it may have cost beyond that, where its end was not seen
    model: str | None = None  # as returned by the server
    request_id: str | None = None
    message_id: str | None = None
    http_status: int | None = None
    error_type: str | None = None  # the API's error.type, or one of ours, such as cut_stream
    error_message: str | None = None
    simulator: str | None = None  # the mind that answered, when it was a simulator; None for a real endpoint

    @property
    def is_final(self) -> bool:
        return self.status in ("complete", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A request that may be sent from now on. Durable before it is; an attempt of the same key and number ends it."""

    key: SampleKey
    number: int  # of the attempt, from 1
    endpoint: str  # the endpoint's name in the job
    reserved_usd: float  # what it can cost at most
    at: float  # Unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """The end of an intent whose request was not sent."""

    key: SampleKey
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRule:
    """How an answer is read from a sample's text, and when two answers are the same."""

    extraction: Extraction = "boxed"
    pattern: str | None = None  # for regex: last match wins; group 1 if there is one, else the whole match
    json_path: str | None = None  # for json: dotted path of the field, as in "result.value"
    equivalence: Equivalence = "math"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read from a sample's text, and how it was graded."""

    outcome: Outcome
    answer: str | None  # as extracted
    canonical_answer: str | None  # the form under which equal answers meet
    correct: bool | None  # None: no gold, or no answer could be graded
    score: float | None = None  # a number in place of a yes or no, where the grader gives one
