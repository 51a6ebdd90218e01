"""The API's errors as values: status, type, message, and the body they are sent in."""

from __future__ import annotations

from typing import Any

ERROR_TYPES: dict[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class ApiError(Exception):
    """A request the API answers with an error body. The type follows from the status."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_code: str | None = None,
        retry_after: int | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.error_type = ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        self.error_code = error_code  # the stable key in `details`, where the API gives one
        self.retry_after = retry_after  # seconds
        self.should_retry = status in (408, 409, 429) or status >= 500 if should_retry is None else should_retry

    def body(self, request_id: str | None) -> dict[str, Any]:
        error: dict[str, Any] = {"type": self.error_type, "message": self.message}
        if self.error_code:
            error["details"] = {"error_code": self.error_code}
        return {"type": "error", "error": error, "request_id": request_id}

    def headers(self) -> dict[str, str]:
        """The headers that belong to this error alone."""
        headers = {"x-should-retry": "true" if self.should_retry else "false"}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        return headers


def invalid(message: str) -> ApiError:
    """A 400 `invalid_request_error`."""
    return ApiError(400, message)
