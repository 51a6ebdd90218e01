"""POST /v1/messages: one reply, whole or streamed, and the ways it can be interrupted."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from polythink.simulator import wire
from polythink.simulator.api_errors import ApiError
from polythink.simulator.arrival import Arrival
from polythink.simulator.exchange import ClientGone, Exchange, encoded
from polythink.simulator.faults import INTERRUPTIONS, Fault
from polythink.simulator.minds import Ending, deltas, runs
from polythink.simulator.service import BURST_PIECES, Generation, Simulator
from polythink.simulator.sse import EventEncoder, MessageCollector


def answer_message(
    simulator: Simulator, exchange: Exchange, arrival: Arrival, raw: bytes
) -> Coroutine[Any, Any, None] | None:
    """Answer a body at once, or return what answers it in the course of time, to be awaited.

    Both raise ApiError for what is refused before the reply begins.
    """
    request, sample = simulator.read(raw, arrival.version)
    fault = None
    try:
        fault = simulator.strike(request, sample)
        admission = simulator.admit(request, sample, arrival.organization)
    finally:
        if not (fault and fault.kind == "missing_headers"):
            exchange.headers.update(simulator.limit_headers(request, arrival.organization))
    try:
        generation = None if fault and fault.kind == "reset_before" else simulator.generate(request, admission)
    except ApiError:
        simulator.leave(admission)
        raise
    if generation is None:
        simulator.leave(admission)
        exchange.reset()
        return None
    reply = _Reply(simulator, exchange, generation, fault)
    if not reply.is_instant:
        return reply.send()
    reply.send_now()
    return None


class _Reply:
    """One reply on its way to the client."""

    def __init__(self, simulator: Simulator, exchange: Exchange, generation: Generation, fault: Fault | None) -> None:
        self._simulator = simulator
        self._exchange = exchange
        self._generation = generation
        self._fault = fault if fault and fault.kind in INTERRUPTIONS else None
        self._delay = generation.latency + (fault.seconds if fault and fault.kind == "slow_start" else 0)
        self._comes_at_once = not (simulator.settings.pace or simulator.mind.incremental)

    @property
    def is_instant(self) -> bool:
        """Whether nothing of the reply takes time."""
        return self._comes_at_once and not self._fault and self._delay <= 0

    def send_now(self) -> None:
        """Send an instant reply."""
        try:
            self._send_at_once()
        finally:
            self._close()

    async def send(self) -> None:
        """Send a reply that takes its time. A client that hangs up stays billed for what was generated."""
        try:
            await self._simulator.clock.sleep(self._delay)
            if self._comes_at_once and not self._fault:
                self._send_at_once()
            elif self._generation.request.stream:
                await _Stream(self._simulator, self._exchange, self._generation, self._fault).send()
            else:
                await self._send_whole()
        except ClientGone:
            return
        finally:
            self._close()

    def _close(self) -> None:
        self._simulator.settle(self._generation)
        self._simulator.leave(self._generation.admission)

    def _send_at_once(self) -> None:
        """The reply in one write: what it costs decides how many of them a rehearsal can have."""
        generation, exchange = self._generation, self._exchange
        composition = self._simulator.burst(generation)
        if not generation.request.stream:
            collector = MessageCollector(generation.request)
            for delta in deltas(composition, 1):
                collector.delta(delta)
            self._send_message(collector)
            return
        encoder = encoder_of(generation)
        parts = map(encoder.run, runs(composition, BURST_PIECES))
        events = (encoder.start(), *parts, finished_events(encoder, generation))
        exchange.headers |= _STREAM_HEADERS
        exchange.send("".join(events).encode("utf-8", "replace"), chunked=True)

    async def _send_whole(self) -> None:
        collector = MessageCollector(self._generation.request)
        async for delta in self._simulator.pieces(self._generation):
            collector.delta(delta)
        if self._fault:
            if self._fault.kind == "error_event":
                raise self._fault.error()
            if self._fault.kind != "stall":
                self._exchange.reset()
                return
            await self._simulator.clock.sleep(self._fault.seconds)
        self._send_message(collector)

    def _send_message(self, collector: MessageCollector) -> None:
        message = finished_message(self._generation, collector.content())
        self._generation.account.complete()
        self._exchange.headers["content-type"] = "application/json"
        self._exchange.send(encoded(message))


_STREAM_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


def encoder_of(generation: Generation) -> EventEncoder:
    return EventEncoder(generation.request, generation.usage, generation.admission.lane)


def finished_events(encoder: EventEncoder, generation: Generation) -> str:
    """The events that end a stream."""
    account = generation.account
    account.complete()
    return encoder.finish(generation.ending or Ending("end_turn"), account.output_tokens, account.thinking_tokens)


def finished_message(generation: Generation, content: list[dict[str, Any]]) -> dict[str, Any]:
    """The Message object of a reply that has ended."""
    account = generation.account
    request = generation.request
    usage = wire.input_usage(generation.usage, request, generation.admission.lane)
    usage["output_tokens"] = account.output_tokens
    if request.mode != "none":
        usage["output_tokens_details"] = {"thinking_tokens": account.thinking_tokens}
    message = wire.message(request, usage, content, generation.ending)
    if any(block["type"] == "server_tool_use" for block in content):
        message["container"] = wire.container()
        usage["server_tool_use"] = wire.server_tool_use()
    return message


class _Stream:
    """One streamed reply that is paced, generated as it goes, or interrupted."""

    def __init__(self, simulator: Simulator, exchange: Exchange, generation: Generation, fault: Fault | None) -> None:
        self._simulator = simulator
        self._exchange = exchange
        self._generation = generation
        self._fault = fault
        self._encoder = encoder_of(generation)

    async def send(self) -> None:
        self._exchange.headers |= _STREAM_HEADERS
        await self._exchange.begin()
        await self._write(self._encoder.start())
        if await self._send_deltas():
            await self._write(finished_events(self._encoder, self._generation))
            await self._exchange.end()

    async def _send_deltas(self) -> bool:
        """Send the reply up to its ending. False if it was interrupted for good."""
        sent = 0
        try:
            async for delta in self._simulator.pieces(self._generation):
                if self._fault and sent == self._fault.after and not await self._interrupt(self._fault):
                    return False
                sent += 1
                await self._write(self._encoder.delta(delta))
        except ApiError as error:
            await self._send_error(error)
            return False
        if self._fault and sent <= self._fault.after:
            return await self._interrupt(self._fault)
        return True

    async def _interrupt(self, fault: Fault) -> bool:
        """Do to the stream what the fault says. True if it goes on afterwards."""
        match fault.kind:
            case "stall":
                await self._simulator.clock.sleep(fault.seconds)
                return True
            case "reset":
                self._exchange.reset()
            case "error_event":
                await self._send_error(fault.error())
            case _:
                await self._exchange.end()
        return False

    async def _send_error(self, error: ApiError) -> None:
        self._simulator.meter.error(error.error_type)
        body = error.body(None)
        del body["request_id"]
        await self._write(wire.error_event(wire.compact(body)))
        await self._exchange.end()

    async def _write(self, events: str) -> None:
        if events:
            await self._exchange.write(events.encode("utf-8", "replace"))
