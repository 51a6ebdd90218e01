"""The job file as a model: problems x arms x samples, how answers are read and selected, what may be spent."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeGuard

from pydantic import Discriminator, Field, Tag

from polythink.jobs.spec_parts import (
    DEFAULT_ENDPOINT,
    SLUG,
    Answer,
    Arms,
    Cap,
    Count,
    Endpoint,
    Grade,
    MaxTokens,
    Model,
    Problems,
    Prompt,
    Text,
)
from polythink.jobs.spec_stop import Stop
from polythink.selectors.greedy import Greedy
from polythink.selectors.stopping import StoppingRule


def are_named_endpoints(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether data is a mapping of names to endpoints. A mapping that names a field of an endpoint is one endpoint."""
    if not isinstance(value, dict) or not value or Endpoint.model_fields.keys() & value.keys():
        return False
    return all(isinstance(part, dict | Endpoint) for part in value.values())


def _endpoint_tag(value: Any) -> str | None:
    if are_named_endpoints(value):
        return "#named"
    return "#Endpoint" if isinstance(value, dict | Endpoint) else None


Endpoints = Annotated[
    Annotated[Endpoint, Tag("#Endpoint")]
    | Annotated[dict[Annotated[str, Field(pattern=SLUG)], Endpoint], Tag("#named")],
    Discriminator(
        _endpoint_tag, custom_error_type="shape", custom_error_message="an endpoint, or a mapping of names to endpoints"
    ),
]
AutoCount = Annotated[
    Annotated[Literal["auto"], Tag("#plain")] | Annotated[Count, Tag("#number")],
    Discriminator(
        lambda value: "#plain" if isinstance(value, str) else "#number" if type(value) is int else None,
        custom_error_type="shape",
        custom_error_message="auto, or a whole number",
    ),
]


class Job(Model):
    """What a user submits. The fields are those of the job file."""

    name: Annotated[str, Field(pattern=SLUG)] = Field(
        description="lower-case letters, digits, `.`, `_`, `-`; at most 48"
    )
    problems: Problems = Field(description="the inputs")
    prompt: Prompt = Field(default_factory=Prompt, description="what is sent for each")
    arms: Arms = Field(description="list of sampling configurations, or {grid: {model: [...], reasoning: [...]}}")
    samples: Count = Field(default=1, description="samples per problem and arm")
    stop: Stop | None = Field(
        default=None,
        description="stop a problem's samples early: {beta: 0.95}, {dirichlet: 0.95}, {window: 4} or {greedy: 0.5}; "
        "null: every problem gets all samples",
    )
    max_tokens: MaxTokens = Field(
        default="auto",
        description="ceiling on thinking and answer together; auto: budget + 4096, 32000 for effort and adaptive, "
        "8192 for none, at most what the model takes",
    )
    answer: Answer = Field(default_factory=Answer, description="how answers are read and compared")
    grade: Grade = Field(
        default="auto", description='auto (against gold where there is one), none or {python: "grade.py:function"}'
    )
    select: Annotated[tuple[Any, ...], Field(min_length=1)] = Field(
        default=("majority",), description="list of selectors"
    )
    endpoint: Endpoints = Field(
        default_factory=Endpoint, description="one endpoint, or a mapping of names to endpoints"
    )
    archive: Text | None = Field(
        default=None, description="folder, relative to the job file; null: $POLYTHINK_ARCHIVE, else ./archive"
    )
    lane: Literal["live", "batch", "auto"] = Field(
        default="live",
        description="how requests reach the API: live (streamed now), batch (half price, within a day), auto (arm by "
        "arm: batch, unless cap.deadline comes within a day or none of its endpoints takes batches)",
    )
    concurrency: AutoCount = Field(
        default="auto",
        description="requests in flight at most, over all workers; auto: what the limits, or the server, can use",
    )
    workers: AutoCount = Field(default="auto", description="worker processes; auto: by the machines' cores")
    cap: Cap | None = Field(default=None, description="what may be spent; null: no cap")
    retries: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=8, description="attempts after its first that a sample may take in a run before it counts as failed"
    )
    timeout_s: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] = Field(
        default=1800.0, description="seconds one request may take"
    )
    seed: Annotated[int, Field(strict=True)] = Field(default=0, description="of every random choice polythink makes")

    @property
    def stopping_rule(self) -> StoppingRule | Greedy | None:
        """When a problem has samples enough; None where each gets all."""
        return None if self.stop is None else self.stop.rule()

    @property
    def most_in_flight(self) -> int | None:
        """Requests in flight that the job asks for at most; None if it leaves that to the limits."""
        return self.concurrency if isinstance(self.concurrency, int) else None

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """Endpoints by name; a single one is called `default`."""
        return {DEFAULT_ENDPOINT: self.endpoint} if isinstance(self.endpoint, Endpoint) else self.endpoint
