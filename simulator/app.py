"""The HTTP face: routes, bodies in, bytes out. What to answer is decided elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from aiohttp import ClientConnectionResetError, web

from polythink import facts
from polythink.simulator.aiohttp_exchange import AiohttpExchange
from polythink.simulator.api_errors import ApiError, invalid
from polythink.simulator.arrival import Arrival, authenticate
from polythink.simulator.batches import Batch, BatchStore
from polythink.simulator.buckets import whole_seconds
from polythink.simulator.exchange import as_api_error, encoded, fresh_headers, refuse, reset_connection
from polythink.simulator.faults import FaultPlanError, read_plan
from polythink.simulator.limit_headers import rate_limit_entries
from polythink.simulator.limits import changed_rules
from polythink.simulator.messages_api import answer_message
from polythink.simulator.models_api import model_page, one_model
from polythink.simulator.parse import decoded, parse_count
from polythink.simulator.plain_requests import MAX_BODY_BYTES
from polythink.simulator.service import Simulator

MAX_BATCH_BYTES = 256 * 1024**2
POLL_SECONDS = 10.0  # that a client is told to wait before it asks for a batch again

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(simulator: Simulator) -> web.Application:
    """The application that serves one simulator."""
    face = _Face(simulator)
    app = web.Application(client_max_size=MAX_BATCH_BYTES)
    app.add_routes(
        [
            web.post("/v1/messages", face.answered(face.create_message)),
            web.post("/v1/messages/count_tokens", face.answered(face.count_tokens)),
            web.post("/v1/messages/batches", face.answered(face.create_batch)),
            web.get("/v1/messages/batches", face.answered(face.list_batches)),
            web.get("/v1/messages/batches/{batch}", face.answered(face.get_batch)),
            web.delete("/v1/messages/batches/{batch}", face.answered(face.delete_batch)),
            web.post("/v1/messages/batches/{batch}/cancel", face.answered(face.cancel_batch)),
            web.get("/v1/messages/batches/{batch}/results", face.answered(face.batch_results)),
            web.get("/v1/organizations/rate_limits", face.answered(face.rate_limits)),
            web.get("/v1/models", face.answered(face.list_models)),
            web.get("/v1/models/{model}", face.answered(face.get_model)),
            web.get("/_simulator/meter", face.answered(face.meter)),
            web.put("/_simulator/faults", face.answered(face.put_faults)),
            web.put("/_simulator/limits", face.answered(face.put_limits)),
            web.route("*", "/{path:.*}", face.answered(face.unknown)),
        ]
    )
    return app


class _Face:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._batches = BatchStore(simulator)

    def answered(self, handler: Handler) -> Handler:
        """The handler with the API's errors around it: every failure has a body, a request id and headers."""

        async def answer(request: web.Request) -> web.StreamResponse:
            request["headers"] = fresh_headers(self._simulator)
            try:
                return await handler(request)
            except web.HTTPRequestEntityTooLarge:
                return self._refused(ApiError(413, "Request exceeds the maximum size"), request)
            except ConnectionError:  # the client is gone: nobody to answer
                raise
            except Exception as error:
                return self._refused(as_api_error(error), request)

        return answer

    def _refused(self, error: ApiError, request: web.Request) -> web.StreamResponse:
        exchange = AiohttpExchange(request)
        refuse(self._simulator, exchange, error)
        return exchange.response

    async def create_message(self, request: web.Request) -> web.StreamResponse:
        arrival = self._arrive(request)
        raw = await read_body(request, MAX_BODY_BYTES)
        exchange = AiohttpExchange(request)
        rest = answer_message(self._simulator, exchange, arrival, raw)
        if rest is not None:
            await rest
        return exchange.response

    async def count_tokens(self, request: web.Request) -> web.StreamResponse:
        arrival = self._arrive(request)
        body = await read_json(request, MAX_BODY_BYTES)
        if tier := self._simulator.gate.rules.tier:
            self._admit(arrival, "count_tokens", facts.tier_facts(tier).count_tokens_requests)
        return json_response({"input_tokens": parse_count(body, arrival.version)}, request["headers"])

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        self._arrive(request)
        query = request.query
        lifecycle = query.getall("lifecycle[]", query.getall("lifecycle", []))
        body = model_page(page_limit(query.get("limit")), query.get("after_id"), query.get("before_id"), lifecycle)
        return json_response(body, request["headers"])

    async def get_model(self, request: web.Request) -> web.StreamResponse:
        self._arrive(request)
        return json_response(one_model(request.match_info["model"]), request["headers"])

    async def create_batch(self, request: web.Request) -> web.StreamResponse:
        arrival = self._arrive_at_batches(request)
        body = await read_json(request, MAX_BATCH_BYTES)
        betas = ",".join(request.headers.getall("anthropic-beta", []))
        batch = self._batches.create(body, arrival.organization, arrival.version, betas)
        if self._struck(batch, "lost_batch_reply"):
            reset_connection(request.transport)
            return web.Response(status=500)  # for a connection that is gone
        return self._batch(batch, request)

    async def list_batches(self, request: web.Request) -> web.StreamResponse:
        arrival = self._arrive_at_batches(request)
        query = request.query
        limit = page_limit(query.get("limit"))
        after, before = query.get("after_id"), query.get("before_id")
        body = self._batches.page(arrival.organization, base_url(request), limit, after, before)
        return json_response(body, request["headers"])

    async def get_batch(self, request: web.Request) -> web.StreamResponse:
        batch = self._find_batch(request)
        if self._struck(batch, "batch_not_found"):
            raise ApiError(404, f"message_batch: {batch.batch_id}")
        if batch.ended_at is None:
            request["headers"]["retry-after"] = str(whole_seconds(POLL_SECONDS / self._simulator.clock.scale))
        return self._batch(batch, request)

    async def cancel_batch(self, request: web.Request) -> web.StreamResponse:
        batch = self._find_batch(request)
        self._batches.cancel(batch)
        return self._batch(batch, request)

    async def delete_batch(self, request: web.Request) -> web.StreamResponse:
        return json_response(self._batches.delete(self._find_batch(request)), request["headers"])

    async def batch_results(self, request: web.Request) -> web.StreamResponse:
        lines = self._batches.result_lines(self._find_batch(request))
        headers = {"content-type": "application/x-jsonl", **request["headers"]}
        response: web.StreamResponse | None = None
        with suppress(ClientConnectionResetError):  # who asked is gone
            for line in lines:
                if response is None:
                    response = web.StreamResponse(headers=headers)
                    await response.prepare(request)
                await response.write(line)
            if response is not None:
                await response.write_eof()
        return response or web.Response(headers=headers)

    def _arrive_at_batches(self, request: web.Request) -> Arrival:
        arrival = self._arrive(request)
        if tier := self._simulator.gate.rules.tier:
            self._admit(arrival, "batches", facts.tier_facts(tier).batch_requests)
        return arrival

    def _admit(self, arrival: Arrival, surface: str, per_minute: float) -> None:
        self._simulator.gate.admit_surface(arrival.organization, surface, per_minute, self._simulator.clock.now())

    def _find_batch(self, request: web.Request) -> Batch:
        arrival = self._arrive_at_batches(request)
        return self._batches.get(request.match_info["batch"], arrival.organization)

    def _batch(self, batch: Batch, request: web.Request) -> web.Response:
        return json_response(batch.as_json(base_url(request), self._simulator.clock.now()), request["headers"])

    def _struck(self, batch: Batch, kind: str) -> bool:
        sample, elapsed = f"{kind} {batch.batch_id}", self._simulator.elapsed()
        plan = self._simulator.faults
        return bool(plan.strike(sample=sample, prompt="", model="", elapsed=elapsed, kinds=(kind,)))

    async def rate_limits(self, request: web.Request) -> web.StreamResponse:
        self._arrive(request)
        query, simulator = request.query, self._simulator
        entries = rate_limit_entries(
            simulator.gate.rules, simulator.clock.scale, model=query.get("model"), group_type=query.get("group_type")
        )
        start = int(query.get("page", "0")) if query.get("page", "0").isdigit() else 0
        end = start + page_limit(query["limit"]) if "limit" in query else len(entries)
        body = {"data": entries[start:end], "next_page": str(end) if end < len(entries) else None}
        return json_response(body, request["headers"])

    async def put_limits(self, request: web.Request) -> web.StreamResponse:
        self._check_control()
        changes = await read_json(request, MAX_BODY_BYTES)
        gate = self._simulator.gate
        try:
            gate.change(changed_rules(gate.rules, changes), self._simulator.clock.now())
        except (ValueError, AttributeError) as error:
            raise invalid(str(error)) from error
        return json_response(asdict(gate.rules), request["headers"])

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        raise ApiError(404, "Not found")

    async def meter(self, request: web.Request) -> web.StreamResponse:
        with_samples = request.query.get("samples", "1") != "0"
        return json_response(self._simulator.meter.summary(with_samples=with_samples), request["headers"])

    async def put_faults(self, request: web.Request) -> web.StreamResponse:
        self._check_control()
        try:
            self._simulator.faults = read_plan(await read_json(request, MAX_BODY_BYTES))
        except FaultPlanError as error:
            raise invalid(str(error)) from error
        return json_response({"faults": len(self._simulator.faults.rules)}, request["headers"])

    def _check_control(self) -> None:
        if not self._simulator.settings.control:
            raise ApiError(403, "the control endpoints are off; start the simulator with --control")

    def _arrive(self, request: web.Request) -> Arrival:
        arrival = authenticate(request.headers)
        request["headers"]["anthropic-organization-id"] = arrival.organization
        return arrival


def base_url(request: web.Request) -> str:
    """This server as the client addressed it."""
    return f"{request.scheme}://{request.host}"


async def read_json(request: web.Request, max_bytes: int) -> Any:
    """The decoded body. Raises ApiError: 413 for one too large, 400 for one that is not JSON."""
    return decoded(await read_body(request, max_bytes))


async def read_body(request: web.Request, max_bytes: int) -> bytes:
    """The body's bytes. Raises ApiError (413)."""
    if (request.content_length or 0) > max_bytes:
        raise ApiError(413, "Request exceeds the maximum size")
    raw = await request.read()
    if len(raw) > max_bytes:
        raise ApiError(413, "Request exceeds the maximum size")
    return raw


def page_limit(given: str | None) -> int:
    """The `limit` of a list request: 1 to 1000, 20 by default. Raises ApiError (400)."""
    if given is None:
        return 20
    if not given.isdigit():
        raise invalid("limit: Input should be a valid integer, unable to parse string as an integer")
    limit = int(given)
    if not 1 <= limit <= 1000:
        bound = "greater than or equal to 1" if limit < 1 else "less than or equal to 1000"
        raise invalid(f"limit: Input should be {bound}")
    return limit


def json_response(body: Any, headers: dict[str, str]) -> web.Response:
    """A JSON reply."""
    return web.Response(body=encoded(body), headers={"content-type": "application/json", **headers})
