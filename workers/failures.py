"""What a failed request means: try again, give the sample up, or stop the job. Mapped once, here.

Source: the errors page of the API reference; `error.details.error_code` is the stable key where it is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import anthropic
import httpx2

from polythink.workers.replies import MalformedEventError
from polythink.workers.sse import OversizedEventError
from polythink.workers.tasks import Disposition, Failure

_SPEND_CODES = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached"})
_SPEND_WORDS = ("credit balance is too low", "specified api usage limits", "specified workspace api usage limits")
_RETRIED_STATUSES = frozenset(
    {408, 409, 424, 429, 499}
)  # 424: the model behind Amazon Bedrock failed; 499: a proxy left
_STOPPING_STATUSES = frozenset({401, 402, 403})
_STATUS_OF_STREAMED = {
    "overloaded_error": 529,
    "api_error": 500,
    "timeout_error": 504,
    "rate_limit_error": 429,
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "validationException": 400,  # from here on: Amazon Bedrock's, as they come within a stream
    "throttlingException": 429,
    "serviceUnavailableException": 503,
    "modelTimeoutException": 504,
}
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, ConnectionRefusedError)
DEFAULT_RETRY_AFTER_S = 5.0
_CREDENTIAL_LIBRARIES = frozenset({"botocore", "google"})
_PASSING_KINDS = frozenset({"HTTPClientError", "ConnectionError", "TransportError"})  # the way there failed


def classify_exception(error: BaseException) -> Failure | None:
    """The failure behind an exception of the SDK or its transport; None if it is not one of theirs."""
    match error:
        case anthropic.APIStatusError():
            return classify_reply(error.status_code, error.body, error.response.headers, str(error))
        case anthropic.APITimeoutError() | TimeoutError() | httpx2.TimeoutException():
            return _unreached("timeout_error", error)
        case anthropic.APIConnectionError() | httpx2.TransportError() | httpx2.StreamError() | ConnectionError():
            return _unreached("connection_error", error)
        case MalformedEventError() | OversizedEventError() | httpx2.DecodingError():
            return Failure(disposition="retry", error_type="malformed_stream", message=str(error), may_be_billed=True)
        case anthropic.AnthropicError():
            return client_failure(str(error))
        case _:
            return _of_credentials(error)


def client_failure(message: str) -> Failure:
    """What keeps requests from being made at all."""
    return Failure(disposition="stop_job", error_type="client_error", message=message)


def _of_credentials(error: BaseException) -> Failure | None:
    """Of the clouds' own libraries, which are asked for credentials: what may pass, and what will not."""
    library = type(error).__module__.partition(".")[0]
    if library not in _CREDENTIAL_LIBRARIES:
        return None
    kinds = {kind.__name__ for kind in type(error).__mro__}
    may_pass = bool(kinds & _PASSING_KINDS) or getattr(error, "retryable", False) is True
    if not may_pass:
        return client_failure(f"no credentials: {error}")
    return replace(_unreached("connection_error", error), may_be_billed=False)


def classify_reply(status: int, body: Any, headers: Mapping[str, str], fallback: str = "") -> Failure:
    """The failure a reply with an error status stands for."""
    error = _error_in(body)
    message = str(error.get("message") or fallback or f"HTTP {status}")
    kind = error.get("type") or headers.get("x-amzn-errortype", "").partition(":")[0] or error.get("status")
    details = error.get("details")
    said = details.get("error_code") if isinstance(details, Mapping) else None
    code = said if isinstance(said, str) else None
    limited = status == 429 and code not in _SPEND_CODES
    return Failure(
        disposition=_disposition(status, code, message),
        error_type=str(kind or f"http_{status}"),
        message=message,
        http_status=status,
        error_code=code,
        limited=limited,
        retry_after_s=_retry_after(headers) if limited else None,
    )


def _error_in(body: Any) -> Mapping[str, Any]:
    """What an error body says: {"error": {...}} as the API has it, in a list as Google may send it, or {"message": ...}
    alone as Amazon does.
    """
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, Mapping):
        return {}
    error = body.get("error")
    return error if isinstance(error, Mapping) else {"message": body.get("message") or error or body.get("detail")}


def classify_streamed(body: Mapping[str, Any]) -> Failure:
    """The failure an `error` event stands for, which arrives after HTTP 200."""
    error = body.get("error")
    kind = str(error.get("type")) if isinstance(error, Mapping) else ""
    return classify_reply(_STATUS_OF_STREAMED.get(kind, 500), body, {})


CUT_STREAM = Failure(
    disposition="retry",
    error_type="cut_stream",
    message="the stream ended without message_stop",
    may_be_billed=True,
)


def _disposition(status: int, code: str | None, message: str) -> Disposition:
    if code in _SPEND_CODES or status in _STOPPING_STATUSES:
        return "stop_job"
    if status == 400 and any(words in message.lower() for words in _SPEND_WORDS):
        return "stop_job"
    return "retry" if status in _RETRIED_STATUSES or status >= 500 else "give_up"


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        seconds = float(headers.get("retry-after", DEFAULT_RETRY_AFTER_S))
    except ValueError:  # an HTTP date: rare, and the default is as good
        return DEFAULT_RETRY_AFTER_S
    return max(0.0, seconds) if math.isfinite(seconds) else DEFAULT_RETRY_AFTER_S


def _unreached(error_type: str, error: BaseException) -> Failure:
    cause = error.__cause__ or error
    message = str(cause) or type(cause).__name__
    return Failure(
        disposition="retry",
        error_type=error_type,
        message=message,
        unreachable=True,
        may_be_billed=not isinstance(cause, _NEVER_SENT),
    )
