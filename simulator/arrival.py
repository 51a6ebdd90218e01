"""What is settled before a body is read: who asks, under which API version, and with which request id."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from polythink.simulator.api_errors import ApiError
from polythink.simulator.ids import digest
from polythink.simulator.shape import check_version

REFUSED_KEY = "invalid"  # a key that contains this word is answered with 401


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request, authenticated."""

    organization: str  # UUID; every key is an organization of its own
    version: str


def authenticate(headers: Mapping[str, str]) -> Arrival:
    """Who asks. Both `x-api-key` and a bearer token are accepted; if both are sent, the former counts.

    Raises ApiError: 401 without a usable key, 400 without a known API version.
    """
    return _arrival(headers.get("x-api-key"), headers.get("authorization", ""), headers.get("anthropic-version"))


@lru_cache(maxsize=1024)
def _arrival(key: str | None, bearer: str, version: str | None) -> Arrival:
    if key is None and bearer[:7].lower() == "bearer ":
        if REFUSED_KEY in bearer or not bearer[7:].strip():
            raise ApiError(401, "Invalid bearer token")
        key = bearer[7:]
    elif key is not None and (REFUSED_KEY in key or not key.strip()):
        raise ApiError(401, "invalid x-api-key")
    if key is None:
        raise ApiError(401, "x-api-key header is required")
    organization = uuid.UUID(bytes=digest(("organization", key)), version=4)
    return Arrival(organization=str(organization), version=check_version(version))
