"""What goes to a worker and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from polythink.records import Attempt, SampleKey

Disposition = Literal["retry", "give_up", "stop_job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where requests go. The key itself is never here: only the name of the variable that holds it."""

    name: str
    base_url: str | None = None  # None: the SDK's own default
    api_key_env: str = "ANTHROPIC_API_KEY"
    timeout_s: float = 1800.0  # seconds a whole request may take
    prices: tuple[float, float] | None = (
        None  # USD per million input and output tokens, for models without a known price
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One request to make for a sample."""

    key: SampleKey
    sample_id: str  # sent as metadata.user_id
    number: int  # of the attempt, from 1
    body: dict[str, Any]  # arguments of messages.create; shared between the samples of a problem and arm
    endpoint: str  # name
    queued_at: float  # Unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt did not make a trace, and what follows."""

    disposition: Disposition
    error_type: str
    message: str
    http_status: int | None = None
    retry_after_s: float | None = None  # seconds; set when the server limited us
    limited: bool = False  # a 429: ours to avoid, and no strike against the sample
    unreachable: bool = False  # no reply of any kind came


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An attempt made, and its failure if it failed."""

    attempt: Attempt
    failure: Failure | None = None
