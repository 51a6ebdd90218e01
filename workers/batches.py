"""The Message Batches API through the SDK: create, look, list, cancel, read results. Failures come back as values.

Source: the batch processing section of the Messages API reference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import anthropic
import httpx2

from polythink.records import Attempt, AttemptStatus, Usage
from polythink.workers.clients import credential
from polythink.workers.failures import classify_exception, classify_streamed
from polythink.workers.prices import price
from polythink.workers.replies import billed
from polythink.workers.sampling import SIMULATOR_HEADER
from polythink.workers.tasks import Endpoint, Failure, Result, Task

PAGE = 100  # batches listed at a time
LOST = "lost"  # the type of a result that the API no longer has
REQUEST_S = 120.0  # seconds that any one call may take; creating a large batch sends megabytes
NO_BATCHES = frozenset({404, 405})  # what servers say to `create` and `list` that have no batches
_UNCERTAIN = frozenset({408, 499})  # somebody on the way waited no longer; what is behind may have done it all the same

Line = tuple[
    str, dict[str, Any], str | None
]  # of a batch's results: custom id, result, simulator (None: a real endpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteBatch:
    """A batch as the API has it. Times are Unix seconds."""

    batch_id: str
    created_at: float
    ended_at: float | None
    requests: int
    is_canceling: bool
    is_archived: bool  # its results can no longer be read


class BatchCallError(Exception):
    """A call failed; `failure` says how. `is_certain`: the API said no, so nothing was done."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure

    @property
    def is_certain(self) -> bool:
        status = self.failure.http_status
        has_refused = status is not None and 400 <= status < 500 and status not in _UNCERTAIN
        return self.failure.error_type == "client_error" or has_refused


class BatchEndpoint:
    """One endpoint's batches. Every method raises BatchCallError."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        key, base_url = credential(endpoint)
        try:
            self._client = anthropic.Anthropic(api_key=key, base_url=base_url, max_retries=0, timeout=REQUEST_S)
        except anthropic.AnthropicError as error:
            raise BatchCallError(
                Failure(disposition="stop_job", error_type="client_error", message=str(error))
            ) from error
        self._batches = self._client.messages.batches

    def create(self, tasks: Sequence[Task]) -> RemoteBatch:
        """Send a batch. Unless the error is certain, it may exist all the same."""
        requests: list[Any] = [{"custom_id": task.sample_id, "params": self._named(params(task))} for task in tasks]
        with _failures():
            return _remote(self._batches.create(requests=requests))

    def _named(self, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "model": self.endpoint.name_of(body["model"])}

    def look(self, batch_id: str) -> RemoteBatch:
        with _failures():
            return _remote(self._batches.retrieve(batch_id))

    def since(self, created_at: float) -> list[RemoteBatch]:
        """The workspace's batches created from then on (Unix seconds), ours and others', newest first.

        Empty where the server has no batches at all.
        """
        try:
            with _failures():
                newest_first = map(_remote, self._batches.list(limit=PAGE))
                return list(takewhile(lambda batch: batch.created_at >= created_at, newest_first))
        except BatchCallError as error:
            if error.failure.http_status in NO_BATCHES:
                return []
            raise

    def cancel(self, batch_id: str) -> None:
        with _failures():
            self._batches.cancel(batch_id)

    def results(self, batch_id: str) -> Iterator[Line | None]:
        """Every line of the results, in whatever order they come; None for one that is no result."""
        with _failures(), self._batches.with_streaming_response.results(batch_id) as response:
            simulator = response.headers.get(SIMULATOR_HEADER)
            for line in _whole_lines(response.iter_bytes()):
                found = _read_line(line)
                yield None if found is None else (*found, simulator)

    def first_custom_id(self, batch_id: str) -> str | None:
        """The id of one entry of an ended batch; None of an empty one."""
        return next((line[0] for line in self.results(batch_id) if line is not None), None)


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a download, without empty ones. Raises BatchCallError if it ends in the middle of one.

    Split at line feeds alone: JSON may hold what Unicode has for line ends besides.
    """
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())
    if rest.strip():
        if _read_line(rest) is None:
            message = "the results ended in the middle of a line"
            raise BatchCallError(Failure(disposition="retry", error_type="cut_stream", message=message))
        yield rest


def _read_line(line: bytes) -> tuple[str, dict[str, Any]] | None:
    """Custom id and result; None where a line has none that can be read."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    match entry:
        case {"custom_id": str(custom_id), "result": dict(result)} if _is_result(result):
            return custom_id, result
    return None


def _is_result(result: Mapping[str, Any]) -> bool:
    match result:
        case {"type": "succeeded", "message": dict(message)}:
            return isinstance(message.get("usage") or {}, dict)
        case {"type": str(kind)}:
            return kind != "succeeded" and isinstance(result.get("error") or {}, dict)
    return False


def params(task: Task) -> dict[str, Any]:
    """The body of one entry."""
    return {**task.body, "metadata": {"user_id": task.sample_id}}


def result_of(
    endpoint: Endpoint, task: Task, result: dict[str, Any], *, created_at: float, ended_at: float, simulator: str | None
) -> Result:
    """The attempt that one entry of a batch was, and its failure if it failed."""
    failure = _failure(result)
    message, error = result.get("message") or {}, result.get("error") or {}
    usage = _usage(message)
    attempt = Attempt(
        key=task.key,
        number=task.number,
        status=_status(result, failure),
        lane="batch",
        endpoint=endpoint.name,
        queued_at=task.queued_at,
        started_at=created_at,
        finished_at=ended_at,
        content=json.dumps(message.get("content") or [], ensure_ascii=False, separators=(",", ":")),
        stop_reason=message.get("stop_reason"),
        usage=usage,
        cost_usd=price(endpoint, str(task.body["model"]), usage, "batch"),
        model=message.get("model"),
        request_id=error.get("request_id"),
        message_id=message.get("id"),
        http_status=200 if failure is None else failure.http_status,
        error_type=failure.error_type if failure else None,
        error_message=failure.message if failure else None,
        simulator=simulator,
    )
    return Result(attempt=attempt, failure=failure)


def billed_usd(endpoint: Endpoint, model: str, result: dict[str, Any]) -> float:
    """What one entry cost; 0 where no price is known. Only what succeeded is billed."""
    return price(endpoint, model, _usage(result.get("message") or {}), "batch") or 0.0


def _usage(message: Mapping[str, Any]) -> Usage:
    counts = message.get("usage") or {}
    return billed(counts, counts.get("output_tokens") or 0)


def _status(result: dict[str, Any], failure: Failure | None) -> AttemptStatus:
    if failure is None:
        return "complete"
    if result.get("type") == LOST:
        return "lost"
    return "failed" if failure.disposition == "give_up" else "retry"


def _failure(result: dict[str, Any]) -> Failure | None:
    match result.get("type"):
        case "succeeded":
            return None
        case "errored":
            return classify_streamed(result.get("error") or {})
        case kind:  # nobody's fault, and not billed: owed again at once, without a strike
            message = f"the batch ended before this request was processed ({kind})"
            if kind == LOST:
                message = "the API has no result that can be read; it may have been billed"
            return Failure(
                disposition="retry", error_type=f"batch_{kind}", message=message, limited=True, retry_after_s=0.0
            )


def _remote(batch: Any) -> RemoteBatch:
    counts = batch.request_counts
    total = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
    return RemoteBatch(
        batch_id=batch.id,
        created_at=batch.created_at.timestamp(),
        ended_at=batch.ended_at.timestamp() if batch.processing_status == "ended" and batch.ended_at else None,
        requests=total,
        is_canceling=batch.processing_status == "canceling",
        is_archived=batch.archived_at is not None,
    )


class _failures:
    """Turns the SDK's and the transport's exceptions into BatchCallError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, GeneratorExit):
            return
        failure = classify_exception(error)
        if failure is None and isinstance(error, httpx2.HTTPError | json.JSONDecodeError):
            failure = Failure(disposition="retry", error_type="connection_error", message=str(error))
        if failure is not None:
            raise BatchCallError(failure) from error
