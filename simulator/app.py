"""The HTTP face: routes, bodies in, bytes out. What to answer is decided elsewhere."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from polythink.simulator.api_errors import ApiError, invalid
from polythink.simulator.arrival import Arrival, authenticate
from polythink.simulator.faults import FaultPlanError, read_plan
from polythink.simulator.ids import new_id
from polythink.simulator.messages_api import answer_message
from polythink.simulator.models_api import model_page, one_model
from polythink.simulator.parse import parse_count
from polythink.simulator.service import Simulator

MAX_MESSAGE_BYTES = 32 * 1024**2
MAX_BATCH_BYTES = 256 * 1024**2

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(simulator: Simulator) -> web.Application:
    """The application that serves one simulator."""
    face = _Face(simulator)
    app = web.Application(client_max_size=MAX_BATCH_BYTES)
    app.add_routes(
        [
            web.post("/v1/messages", face.answered(face.create_message)),
            web.post("/v1/messages/count_tokens", face.answered(face.count_tokens)),
            web.get("/v1/models", face.answered(face.list_models)),
            web.get("/v1/models/{model}", face.answered(face.get_model)),
            web.get("/_simulator/meter", face.meter),
            web.put("/_simulator/faults", face.answered(face.put_faults)),
            web.route("*", "/{path:.*}", face.answered(face.unknown)),
        ]
    )
    return app


class _Face:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._label = {"x-polythink-simulator": simulator.mind.name, "server": "polythink-simulator"}

    def answered(self, handler: Handler) -> Handler:
        """The handler with the API's errors around it: every failure has a body, a request id and headers."""

        async def answer(request: web.Request) -> web.StreamResponse:
            request_id = new_id("req")
            request["headers"] = {"request-id": request_id, **self._label}
            try:
                return await handler(request)
            except ApiError as error:
                return self._refused(error, request, request_id)
            except web.HTTPRequestEntityTooLarge:
                return self._refused(ApiError(413, "Request exceeds the maximum size"), request, request_id)

        return answer

    def _refused(self, error: ApiError, request: web.Request, request_id: str) -> web.Response:
        self._simulator.meter.error(error.error_type)
        headers = {**request["headers"], **error.headers()}
        return json_response(error.body(request_id), headers, status=error.status)

    async def create_message(self, request: web.Request) -> web.StreamResponse:
        arrival = self._arrive(request)
        body = await read_json(request, MAX_MESSAGE_BYTES)
        return await answer_message(self._simulator, request, arrival, body)

    async def count_tokens(self, request: web.Request) -> web.StreamResponse:
        arrival = self._arrive(request)
        body = await read_json(request, MAX_MESSAGE_BYTES)
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

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        raise ApiError(404, "Not found")

    async def meter(self, request: web.Request) -> web.StreamResponse:
        with_samples = request.query.get("samples", "1") != "0"
        return json_response(self._simulator.meter.summary(with_samples=with_samples), self._label)

    async def put_faults(self, request: web.Request) -> web.StreamResponse:
        self._check_control()
        try:
            self._simulator.faults = read_plan(await read_json(request, MAX_MESSAGE_BYTES))
        except FaultPlanError as error:
            raise invalid(str(error)) from error
        return json_response({"faults": len(self._simulator.faults.rules)}, self._label)

    def _check_control(self) -> None:
        if not self._simulator.settings.control:
            raise ApiError(403, "the control endpoints are off; start the simulator with --control")

    def _arrive(self, request: web.Request) -> Arrival:
        arrival = authenticate(request.headers)
        request["headers"]["anthropic-organization-id"] = arrival.organization
        return arrival


async def read_json(request: web.Request, max_bytes: int) -> Any:
    """The decoded body. Raises ApiError: 413 for one too large, 400 for one that is not JSON."""
    if (request.content_length or 0) > max_bytes:
        raise ApiError(413, "Request exceeds the maximum size")
    raw = await request.read()
    if len(raw) > max_bytes:
        raise ApiError(413, "Request exceeds the maximum size")
    try:
        return json.loads(raw)
    except ValueError as error:
        raise invalid(f"The request body is not valid JSON: {error}") from error


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


def json_response(body: Any, headers: dict[str, str], *, status: int = 200) -> web.Response:
    """A JSON reply."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return web.Response(
        body=text.encode("utf-8", "replace"), status=status, headers={"content-type": "application/json", **headers}
    )
