"""Message batches: kept in memory, worked off on the simulator's clock, priced at half."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from polythink import facts
from polythink.simulator.api_errors import ApiError, invalid
from polythink.simulator.ids import new_id, seeded
from polythink.simulator.messages_api import finished_message
from polythink.simulator.model_rules import model_facts
from polythink.simulator.models_api import page
from polythink.simulator.parse import parse_message, sample_of
from polythink.simulator.request import MessageRequest
from polythink.simulator.service import Admission, Simulator
from polythink.simulator.sse import MessageCollector

EXPIRY_SECONDS = 24 * 3600.0
RESULTS_SECONDS = 29 * 24 * 3600.0
MAX_BATCH = 100_000
LONG_OUTPUT_BETA = "output-300k-2026-03-24"
LONG_OUTPUT_TOKENS = 300_000
DURATION_SPREAD = 0.25  # standard deviation of log duration
_YIELD_EVERY = 50  # requests worked off between turns of the event loop
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_OUTCOMES = ("succeeded", "errored", "canceled", "expired")


@dataclass(slots=True)
class Batch:
    """One batch. `results` is empty until it has ended."""

    batch_id: str
    organization: str
    version: str
    long_output: bool  # asked for the larger output cap
    entries: dict[str, Any]  # params by custom id, as sent
    created_at: float
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled_at: float | None = None
    ended_at: float | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    def status(self) -> str:
        if self.ended_at is not None:
            return "ended"
        return "canceling" if self.cancelled_at is not None else "in_progress"

    def counts(self) -> dict[str, int]:
        """Everything counts as processing until the whole batch has ended."""
        counts = {"processing": 0 if self.ended_at is not None else len(self.entries), **dict.fromkeys(_OUTCOMES, 0)}
        for result in self.results.values():
            counts[result["type"]] += 1
        return counts

    def as_json(self, base_url: str, now: float) -> dict[str, Any]:
        """The batch object; `base_url` is this server as its client sees it."""
        archived = self.created_at + RESULTS_SECONDS
        available = self.ended_at is not None and now < archived
        return {
            "id": self.batch_id,
            "type": "message_batch",
            "processing_status": self.status(),
            "request_counts": self.counts(),
            "ended_at": _time(self.ended_at),
            "created_at": _time(self.created_at),
            "expires_at": _time(self.created_at + EXPIRY_SECONDS),
            "archived_at": _time(archived) if now >= archived else None,
            "cancel_initiated_at": _time(self.cancelled_at),
            "results_url": f"{base_url}/v1/messages/batches/{self.batch_id}/results" if available else None,
        }


class BatchStore:
    """The batches of every organization, and the work on them."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._batches: dict[str, Batch] = {}
        self._working: set[asyncio.Task[None]] = set()

    def create(self, body: Any, organization: str, version: str, betas: str = "") -> Batch:
        """Take in a batch and start on it. Only its shape is looked at now; params are validated later.

        Raises ApiError: 400 for the shape, 413 for too many requests, 429 for a full queue.
        """
        entries = read_entries(body)
        self._check_queue(organization, len(entries))
        batch = Batch(
            batch_id=new_id("msgbatch"),
            organization=organization,
            version=version,
            long_output=LONG_OUTPUT_BETA in betas,
            entries=entries,
            created_at=self._simulator.clock.now(),
        )
        self._batches[batch.batch_id] = batch
        task = asyncio.get_running_loop().create_task(self._work(batch))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return batch

    def get(self, batch_id: str, organization: str) -> Batch:
        """Raises ApiError (404) for a batch that this organization does not have."""
        batch = self._batches.get(batch_id)
        if batch is None or batch.organization != organization:
            raise ApiError(404, f"message_batch: {batch_id}")
        return batch

    def page(
        self, organization: str, base_url: str, limit: int, after: str | None, before: str | None
    ) -> dict[str, Any]:
        """The organization's batches, newest first."""
        now = self._simulator.clock.now()
        own = [batch for batch in self._batches.values() if batch.organization == organization]
        return page([batch.as_json(base_url, now) for batch in reversed(own)], limit, after, before)

    def cancel(self, batch: Batch) -> None:
        """Stop working on a batch; what is finished stays. Raises ApiError (400) once it has ended."""
        if batch.ended_at is not None:
            raise invalid(f"Batch {batch.batch_id} has already ended and cannot be canceled.")
        if batch.cancelled_at is None:
            batch.cancelled_at = self._simulator.clock.now()
            batch.cancelled.set()

    def delete(self, batch: Batch) -> dict[str, str]:
        """Forget a batch. Raises ApiError (400) while it is being worked on."""
        if batch.ended_at is None:
            raise invalid(f"Batch {batch.batch_id} is still being processed; cancel it before deleting it.")
        del self._batches[batch.batch_id]
        return {"id": batch.batch_id, "type": "message_batch_deleted"}

    def result_lines(self, batch: Batch) -> Iterator[bytes]:
        """The results as JSON lines, in an order of their own. Raises ApiError (404) where there are none to read."""
        if batch.ended_at is None or self._simulator.clock.now() >= batch.created_at + RESULTS_SECONDS:
            raise ApiError(404, f"The results of batch {batch.batch_id} are not available.")
        names = list(batch.results)
        seeded("results", batch.batch_id).shuffle(names)
        for name in names:
            line = json.dumps({"custom_id": name, "result": batch.results[name]}, ensure_ascii=False)
            yield line.encode("utf-8", "replace") + b"\n"

    def _check_queue(self, organization: str, arriving: int) -> None:
        tier = self._simulator.gate.rules.tier
        if tier is None:
            return
        waiting = sum(
            len(batch.entries)
            for batch in self._batches.values()
            if batch.organization == organization and batch.ended_at is None
        )
        queue = facts.tier_facts(tier).batch_queue
        if waiting + arriving > queue:
            message = f"This batch would exceed your organization's limit of {queue:,} batch requests in the queue."
            raise ApiError(429, message)

    async def _work(self, batch: Batch) -> None:
        rng = seeded("batch", str(self._simulator.settings.seed), batch.batch_id)
        duration = self._simulator.settings.batch_seconds * rng.lognormvariate(0, DURATION_SPREAD)
        done_after = {name: duration * rng.uniform(0.1, 1.0) for name in batch.entries}
        await self._wait(batch, min(duration, EXPIRY_SECONDS))
        elapsed = self._simulator.clock.now() - batch.created_at
        unfinished = "canceled" if batch.cancelled_at is not None else "expired"
        results: dict[str, dict[str, Any]] = {}
        for number, (name, params) in enumerate(batch.entries.items(), start=1):
            finished = done_after[name] <= min(elapsed, EXPIRY_SECONDS)
            results[name] = await self._result(batch, name, params) if finished else {"type": unfinished}
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        batch.results = results
        batch.ended_at = self._simulator.clock.now()

    async def _wait(self, batch: Batch, seconds: float) -> None:
        try:
            await asyncio.wait_for(batch.cancelled.wait(), seconds / self._simulator.clock.scale)
        except TimeoutError:
            return

    async def _result(self, batch: Batch, name: str, params: Any) -> dict[str, Any]:
        try:
            request = _parse_entry(params, batch)
            admission = Admission(organization=batch.organization, sample=sample_of(params) or name, lane="batch")
            generation = self._simulator.generate(request, admission)
            collector = MessageCollector(request)
            async for delta in self._simulator.pieces(generation):
                collector.delta(delta)
            message = finished_message(generation, collector.content())
            generation.account.complete()
            self._simulator.settle(generation)
        except ApiError as error:
            self._simulator.meter.error(error.error_type)
            return {"type": "errored", "error": error.body(None)}
        return {"type": "succeeded", "message": message}


def read_entries(body: Any) -> dict[str, Any]:
    """The params of a create body by custom id. Raises ApiError (400) for a shape that cannot be taken in."""
    if not isinstance(body, dict) or "requests" not in body:
        raise invalid("requests: Field required")
    for name in body:
        if name != "requests":
            raise invalid(f"{name}: Extra inputs are not permitted")
    requests = body["requests"]
    if not isinstance(requests, list) or not requests:
        raise invalid("requests: List should have at least 1 item after validation, not 0")
    if len(requests) > MAX_BATCH:
        raise invalid(f"requests: List should have at most {MAX_BATCH} items after validation, not {len(requests)}")
    entries: dict[str, Any] = {}
    for number, entry in enumerate(requests):
        name = _custom_id(entry, f"requests.{number}")
        if name in entries:
            raise invalid(f"requests.{number}.custom_id: custom_id must be unique within a batch; found `{name}` again")
        entries[name] = entry["params"]
    return entries


def _custom_id(entry: Any, path: str) -> str:
    for name in ("custom_id", "params"):
        if not isinstance(entry, dict) or name not in entry:
            raise invalid(f"{path}.{name}: Field required")
    custom_id = entry["custom_id"]
    if not isinstance(custom_id, str):
        raise invalid(f"{path}.custom_id: Input should be a valid string")
    if not custom_id:
        raise invalid(f"{path}.custom_id: String should have at least 1 character")
    if len(custom_id) > 64:
        raise invalid(f"{path}.custom_id: String should have at most 64 characters")
    if not _CUSTOM_ID.fullmatch(custom_id):
        raise invalid(f"{path}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
    return custom_id


def _parse_entry(params: Any, batch: Batch) -> MessageRequest:
    for name in ("stream", "speed"):
        if isinstance(params, dict) and params.get(name):
            raise invalid(f"{name}: not supported in batch requests")
    if isinstance(params, dict) and params.get("max_tokens") == 0:
        raise invalid("max_tokens: Input should be greater than or equal to 1")
    cap = None
    if batch.long_output and isinstance(params, dict) and isinstance(params.get("model"), str):
        model = model_facts(params["model"])
        cap = LONG_OUTPUT_TOKENS if "adaptive" in model.thinking_types else None
    return parse_message(params, batch.version, max_output_tokens=cap)


def _time(unix_seconds: float | None) -> str | None:
    return (
        None if unix_seconds is None else datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="microseconds")
    )
