"""What goes to a worker and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from polythink.records import Attempt, SampleKey

Disposition = Literal["retry", "give_up", "stop_job"]
Provider = Literal["anthropic", "aws", "bedrock", "bedrock_mantle", "foundry", "google_cloud", "vertex"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where requests go. The key itself is never here: only the name of the variable that holds it."""

    name: str
    provider: Provider = "anthropic"
    base_url: str | None = None  # None: the SDK's own default
    api_key_env: str | None = "ANTHROPIC_API_KEY"  # None: the provider's own credentials
    region: str | None = None  # None: as the provider's environment says; so for the next three
    project: str | None = None
    resource: str | None = None
    workspace: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)  # a model's id in the job: its id here
    timeout_s: float = 1800.0  # seconds a whole request may take
    prices: tuple[float, float] | None = (
        None  # USD per million input and output tokens, for models without a known price
    )

    def name_of(self, model: str) -> str:
        """What a model of the job is called here."""
        return self.models.get(model, model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One request to make for a sample."""

    key: SampleKey
    sample_id: str  # sent as metadata.user_id
    number: int  # of the attempt, from 1
    body: dict[str, Any]  # arguments of messages.create; shared between the samples of a problem and arm
    endpoint: str  # name
    queued_at: float  # Unix seconds
    pool: str = ""  # name of the limit pool it counts against
    prompt_bytes: int = 0  # from which its uncached input tokens are predicted
    leads: bool = False  # others wait for its reply to begin: its prompt is cached for them
    output_guess: float = 1000.0  # output tokens, until replies of its arm have told


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt did not make a trace, and what follows."""

    disposition: Disposition
    error_type: str
    message: str
    http_status: int | None = None
    error_code: str | None = None  # the API's error.details.error_code
    retry_after_s: float | None = None  # seconds; set when the server limited us
    limited: bool = False  # a 429: ours to avoid, and no strike against the sample
    unreachable: bool = False  # no reply of any kind came
    may_be_billed: bool = False  # it was sent, and nothing said what became of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An attempt made, and its failure if it failed."""

    attempt: Attempt
    failure: Failure | None = None
    is_probe: bool = False  # made to see whether the endpoint is back: failing is no strike against the sample
