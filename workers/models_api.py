"""What a model takes, asked of the endpoint that serves it. Source: the Models API reference."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import anthropic
import httpx2

from polythink.facts import EFFORT_ORDER, Capabilities
from polythink.workers.clients import Client, make_client
from polythink.workers.tasks import Endpoint

ANSWERS_WITHIN_S = 5.0
PROVIDERS = frozenset({"anthropic", "aws", "google_cloud"})  # that have the Models API


@dataclass(frozen=True, slots=True)
class NoSuchModel:
    """The endpoint says that it has no such model."""

    message: str


@dataclass(frozen=True, slots=True)
class NotTold:
    """The endpoint does not say."""

    why: str


Told = Capabilities | NoSuchModel | NotTold


def ask_models(endpoints: Mapping[str, Endpoint], wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Told]:
    """What each endpoint, by name, says of each model: one request for each pair, all at once, a few seconds in all."""
    pairs = list(dict.fromkeys(wanted))
    with ThreadPoolExecutor(1) as thread:  # a loop of its own: the caller may be in one
        told = thread.submit(asyncio.run, _ask_all(endpoints, pairs)).result()
    return dict(zip(pairs, told, strict=True))


def read_model(body: Any) -> Capabilities | None:
    """What the Models API says of a model; None for a reply in another form."""
    try:
        said = body["capabilities"]
        thinking, effort = said["thinking"]["types"], said["effort"]
        return Capabilities(
            thinking_types=frozenset(kind for kind, value in thinking.items() if value["supported"]),
            effort_levels=tuple(level for level in EFFORT_ORDER if effort.get(level, {}).get("supported")),
            max_output_tokens=int(body["max_tokens"]),
        )
    except (LookupError, TypeError, AttributeError, ValueError):
        return None


async def _ask_all(endpoints: Mapping[str, Endpoint], pairs: Sequence[tuple[str, str]]) -> list[Told]:
    clients = {
        name: make_client(endpoints[name], len(pairs))
        for name in dict.fromkeys(name for name, _ in pairs)
        if endpoints[name].provider in PROVIDERS
    }
    try:
        return await asyncio.gather(*(_ask(endpoints[name], clients.get(name), model) for name, model in pairs))
    finally:
        for client in clients.values():
            await client.close()


async def _ask(endpoint: Endpoint, client: Client | None, model: str) -> Told:
    if client is None:
        return NotTold(f"provider {endpoint.provider} has no Models API")
    if client.sdk is None:
        return NotTold(client.failure.message if client.failure else "no client")
    path = f"/v1/models/{quote(endpoint.name_of(model), safe='')}"
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            response = await client.sdk.get(path, cast_to=httpx2.Response)
            body = response.json()
    except anthropic.NotFoundError as error:
        if error.type == "not_found_error":
            return NoSuchModel(str(error.body.get("error", {}).get("message")) if isinstance(error.body, dict) else "")
        return NotTold("it has no Models API")
    except anthropic.APIStatusError as error:
        return NotTold(f"it answers {error.status_code}")
    except (anthropic.APIConnectionError, TimeoutError):
        return NotTold("it cannot be reached")
    except (
        Exception
    ) as error:  # a reply in no form of ours, or a cloud's credentials: this question is never worth a job
        return NotTold(type(error).__name__)
    return read_model(body) or NotTold("it says nothing of what its models take")
