"""POST /v1/messages: one reply, whole or streamed."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import ClientConnectionResetError, web

from polythink.simulator import wire
from polythink.simulator.arrival import Arrival
from polythink.simulator.minds import Ending
from polythink.simulator.parse import parse_message
from polythink.simulator.service import Generation, Simulator
from polythink.simulator.sse import EventEncoder, MessageCollector


async def answer_message(simulator: Simulator, http: web.Request, arrival: Arrival, body: Any) -> web.StreamResponse:
    """Answer a decoded body. Raises ApiError for what is refused before the reply begins."""
    request = parse_message(body, arrival.version)
    simulator.admit()
    generation = simulator.generate(request)
    await simulator.clock.sleep(generation.latency)
    if request.stream:
        return await _stream(simulator, http, generation)
    return await _whole(simulator, http, generation)


async def _whole(simulator: Simulator, http: web.Request, generation: Generation) -> web.StreamResponse:
    collector = MessageCollector(generation.request)
    async for delta in simulator.pieces(generation):
        collector.delta(delta)
    message = finished_message(generation, collector.content())
    generation.account.complete()
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    headers = {"content-type": "application/json", **http["headers"]}
    return web.Response(body=text.encode("utf-8", "replace"), headers=headers)


def finished_message(generation: Generation, content: list[dict[str, Any]]) -> dict[str, Any]:
    """The Message object of a reply that has ended."""
    account = generation.account
    usage = {**wire.input_usage(generation.usage, generation.request), "output_tokens": account.output_tokens}
    if generation.request.mode != "none":
        usage["output_tokens_details"] = {"thinking_tokens": account.thinking_tokens}
    return wire.message(generation.request, usage, content, generation.ending)


async def _stream(simulator: Simulator, http: web.Request, generation: Generation) -> web.StreamResponse:
    headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", **http["headers"]}
    response = web.StreamResponse(headers=headers)
    await response.prepare(http)
    encoder = EventEncoder(generation.request, wire.input_usage(generation.usage, generation.request))
    at_once = not (simulator.settings.pace or simulator.mind.incremental)
    waiting = [encoder.start()]
    try:
        async for delta in simulator.pieces(generation):
            waiting.append(encoder.delta(delta))
            if not at_once:
                await response.write(b"".join(waiting))
                waiting.clear()
        waiting.append(_finish(encoder, generation))
        await response.write(b"".join(waiting))
        await response.write_eof()
    except ClientConnectionResetError:  # the client hung up: what was generated stays billed
        return response
    generation.account.complete()
    return response


def _finish(encoder: EventEncoder, generation: Generation) -> bytes:
    account = generation.account
    return encoder.finish(generation.ending or Ending("end_turn"), account.output_tokens, account.thinking_tokens)
