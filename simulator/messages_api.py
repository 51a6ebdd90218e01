"""POST /v1/messages: one reply, whole or streamed, and the ways it can be interrupted."""

from __future__ import annotations

import socket
import struct
from typing import Any

from aiohttp import ClientConnectionResetError, web

from polythink.simulator import wire
from polythink.simulator.api_errors import ApiError
from polythink.simulator.arrival import Arrival
from polythink.simulator.faults import INTERRUPTIONS, Fault
from polythink.simulator.minds import Ending
from polythink.simulator.parse import parse_message
from polythink.simulator.service import Generation, Simulator
from polythink.simulator.sse import EventEncoder, MessageCollector


async def answer_message(simulator: Simulator, http: web.Request, arrival: Arrival, body: Any) -> web.StreamResponse:
    """Answer a decoded body. Raises ApiError for what is refused before the reply begins."""
    request = parse_message(body, arrival.version)
    fault = None
    try:
        fault = simulator.strike(request)
        admission = simulator.admit(request, arrival.organization)
    finally:
        if not (fault and fault.kind == "missing_headers"):
            http["headers"].update(simulator.limit_headers(request, arrival.organization))
    try:
        if fault and fault.kind == "reset_before":
            return reset(http)
        generation = simulator.generate(request, admission)
        return await _reply(simulator, http, generation, fault)
    finally:
        simulator.leave(admission)


async def _reply(
    simulator: Simulator, http: web.Request, generation: Generation, fault: Fault | None
) -> web.StreamResponse:
    delay = generation.latency + (fault.seconds if fault and fault.kind == "slow_start" else 0)
    try:
        await simulator.clock.sleep(delay)
        if generation.request.stream:
            return await _Stream(simulator, http, generation, fault).send()
        return await _whole(simulator, http, generation, fault)
    finally:
        simulator.settle(generation)


async def _whole(
    simulator: Simulator, http: web.Request, generation: Generation, fault: Fault | None
) -> web.StreamResponse:
    collector = MessageCollector(generation.request)
    async for delta in simulator.pieces(generation):
        collector.delta(delta)
    if fault and fault.kind == "stall":
        await simulator.clock.sleep(fault.seconds)
    elif fault and fault.kind == "error_event":
        raise fault.error()
    elif fault and fault.kind in INTERRUPTIONS:
        return reset(http)
    message = finished_message(generation, collector.content())
    generation.account.complete()
    headers = {"content-type": "application/json", **http["headers"]}
    return web.Response(body=wire.compact(message).encode("utf-8", "replace"), headers=headers)


def finished_message(generation: Generation, content: list[dict[str, Any]]) -> dict[str, Any]:
    """The Message object of a reply that has ended."""
    account = generation.account
    usage = {**input_usage(generation), "output_tokens": account.output_tokens}
    if generation.request.mode != "none":
        usage["output_tokens_details"] = {"thinking_tokens": account.thinking_tokens}
    message = wire.message(generation.request, usage, content, generation.ending)
    if any(block["type"] == "server_tool_use" for block in content):
        message["container"] = wire.container()
        usage |= wire.server_tool_usage()
    return message


def input_usage(generation: Generation) -> dict[str, Any]:
    """The usage that a reply begins with."""
    return wire.input_usage(generation.usage, generation.request, generation.admission.lane)


class _Stream:
    """One streamed reply on its way to the client."""

    def __init__(self, simulator: Simulator, http: web.Request, generation: Generation, fault: Fault | None) -> None:
        self._simulator = simulator
        self._http = http
        self._generation = generation
        self._fault = fault if fault and fault.kind in INTERRUPTIONS else None
        self._encoder = EventEncoder(generation.request, input_usage(generation))
        self._headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            **http["headers"],
        }
        self._waiting: list[str] = []

    async def send(self) -> web.StreamResponse:
        if self._at_once and not self._fault:
            return self._send_at_once()
        response = web.StreamResponse(headers=self._headers)
        await response.prepare(self._http)
        try:
            if await self._send_deltas(response):
                await self._send_ending(response)
        except ClientConnectionResetError:  # the client hung up: what was generated stays billed
            return response
        return response

    @property
    def _at_once(self) -> bool:
        return not (self._simulator.settings.pace or self._simulator.mind.incremental)

    def _send_at_once(self) -> web.StreamResponse:
        """All events in one write: what a reply costs decides how many of them a rehearsal can have."""
        encoder, generation = self._encoder, self._generation
        events = (encoder.start(), encoder.run(self._simulator.burst(generation)), self._finish())
        response = web.Response(body="".join(events).encode("utf-8", "replace"), headers=self._headers)
        response.enable_chunked_encoding()
        return response

    def _finish(self) -> str:
        account, ending = self._generation.account, self._generation.ending or Ending("end_turn")
        account.complete()
        return self._encoder.finish(ending, account.output_tokens, account.thinking_tokens)

    async def _send_deltas(self, response: web.StreamResponse) -> bool:
        """Send the reply up to its ending. False if it was interrupted for good."""
        self._waiting.append(self._encoder.start())
        if not self._at_once:
            await self._flush(response)
        sent = 0
        try:
            async for delta in self._simulator.pieces(self._generation):
                if self._fault and sent == self._fault.after and not await self._interrupt(response, self._fault):
                    return False
                sent += 1
                self._waiting.append(self._encoder.delta(delta))
                if not self._at_once:
                    await self._flush(response)
        except ApiError as error:
            await self._send_error(response, error)
            return False
        if self._fault and sent <= self._fault.after:
            return await self._interrupt(response, self._fault)
        return True

    async def _send_ending(self, response: web.StreamResponse) -> None:
        self._waiting.append(self._finish())
        await self._flush(response)
        await response.write_eof()

    async def _interrupt(self, response: web.StreamResponse, fault: Fault) -> bool:
        """Do to the stream what the fault says. True if it goes on afterwards."""
        await self._flush(response)
        match fault.kind:
            case "stall":
                await self._simulator.clock.sleep(fault.seconds)
                return True
            case "reset":
                reset(self._http)
            case "error_event":
                await self._send_error(response, fault.error())
            case _:
                await response.write_eof()
        return False

    async def _send_error(self, response: web.StreamResponse, error: ApiError) -> None:
        self._simulator.meter.error(error.error_type)
        body = error.body(None)
        del body["request_id"]
        self._waiting.append(wire.error_event(wire.compact(body)))
        await self._flush(response)
        await response.write_eof()

    async def _flush(self, response: web.StreamResponse) -> None:
        if self._waiting:
            data = "".join(self._waiting)
            self._waiting.clear()
            await response.write(data.encode("utf-8", "replace"))


def reset(http: web.Request) -> web.Response:
    """Break the connection with a TCP reset. The response returned is never sent."""
    if http.transport is not None:
        raw = http.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        http.transport.abort()
    return web.Response(status=500)
