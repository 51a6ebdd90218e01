"""The SDK's client for each provider, made from an endpoint. What only one of them needs is imported with it.

Credentials come from the environment of the process that sends, or from the cloud's own chain; never from a job.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import anthropic
import httpx2
from anthropic._base_client import AsyncAPIClient

from polythink.workers.failures import client_failure
from polythink.workers.tasks import Endpoint, Failure, Provider

CONNECT_TIMEOUT_S = 30.0
SDK_KEY_ENV = "ANTHROPIC_API_KEY"
NO_KEY = "none"  # what is sent to a server that needs no key
GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An endpoint's client in this process, or why there is none."""

    sdk: AsyncAPIClient | None = None
    failure: Failure | None = None
    key: str | None = None  # that a server might quote

    async def close(self) -> None:
        if self.sdk is not None:
            await self.sdk.close()


class _Options(TypedDict):
    """What every client is made with. Retries are ours, so the SDK makes none."""

    max_retries: int
    timeout: httpx2.Timeout
    http_client: httpx2.AsyncClient


def make_client(endpoint: Endpoint, connections: int) -> Client:
    """A client for `connections` streams at once. What keeps it from being made fails every request."""
    lacking = _lacking(endpoint.provider)
    if lacking is not None:
        return Client(failure=lacking)
    key = os.environ.get(endpoint.api_key_env) if endpoint.api_key_env else None
    if endpoint.api_key_env and not key and endpoint.provider != "anthropic":
        return Client(failure=_no_key(endpoint.api_key_env))
    options = _Options(
        max_retries=0,
        timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S),  # the rest is for `Patience`
        http_client=anthropic.DefaultAioHttpClient(
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        ),
    )
    try:
        sdk = _MAKERS[endpoint.provider](endpoint, key, options)
    except Exception as error:  # each of the clouds' libraries has errors of its own
        return Client(failure=client_failure(str(error)))
    if isinstance(sdk, Failure):
        return Client(failure=sdk)
    return Client(sdk=sdk, key=getattr(sdk, "api_key", None))


def credential(endpoint: Endpoint) -> tuple[str | None, str | None]:
    """The key and the address (None: the SDK's own) for a client of the API itself.

    A server of the user's own may need no key; the SDK then still wants a word to send. Where the job names a variable
    of its own, no other credential is taken in its place.
    """
    base_url = endpoint.base_url or os.environ.get("ANTHROPIC_BASE_URL")
    variable = endpoint.api_key_env or SDK_KEY_ENV
    absent = None if variable == SDK_KEY_ENV else ""  # None: the SDK looks for what else it knows
    return os.environ.get(variable) or (NO_KEY if base_url else absent), base_url


def _anthropic(endpoint: Endpoint, key: str | None, options: _Options) -> AsyncAPIClient | Failure:
    sent, base_url = credential(endpoint)
    client = anthropic.AsyncAnthropic(api_key=sent, base_url=base_url, **options)
    if not (client.api_key or client.auth_token or client.credentials):
        return _no_key(endpoint.api_key_env or SDK_KEY_ENV)
    return client


def _aws(endpoint: Endpoint, key: str | None, options: _Options) -> AsyncAPIClient:
    client = anthropic.AsyncAnthropicAWS(
        api_key=key,
        aws_region=endpoint.region,
        workspace_id=endpoint.workspace,
        base_url=endpoint.base_url,
        **options,
    )
    if client.api_key is None:
        _check_aws_credentials()
    return client


def _bedrock(endpoint: Endpoint, key: str | None, options: _Options) -> AsyncAPIClient:
    client = anthropic.AsyncAnthropicBedrock(
        api_key=key, aws_region=endpoint.region, base_url=endpoint.base_url, **options
    )
    if client.api_key is None:
        _check_aws_credentials()
    return client


def _bedrock_mantle(endpoint: Endpoint, key: str | None, options: _Options) -> AsyncAPIClient:
    client = anthropic.AsyncAnthropicBedrockMantle(
        api_key=key, aws_region=endpoint.region, base_url=endpoint.base_url, **options
    )
    if client.api_key is None:
        _check_aws_credentials()
    return client


def _foundry(endpoint: Endpoint, key: str | None, options: _Options) -> AsyncAPIClient:
    if endpoint.base_url is not None:
        return anthropic.AsyncAnthropicFoundry(api_key=key, base_url=endpoint.base_url, **options)
    return anthropic.AsyncAnthropicFoundry(api_key=key, resource=endpoint.resource, **options)


def _google_cloud(endpoint: Endpoint, key: str | None, options: _Options) -> AsyncAPIClient:
    credentials, project = _google_credentials()
    return anthropic.AsyncAnthropicGoogleCloud(
        project=endpoint.project or os.environ.get("ANTHROPIC_GOOGLE_CLOUD_PROJECT") or project,
        location=endpoint.region,
        workspace_id=endpoint.workspace,
        credentials=credentials,
        base_url=endpoint.base_url,
        **options,
    )


def _vertex(endpoint: Endpoint, key: str | None, options: _Options) -> AsyncAPIClient:
    credentials, project = _google_credentials()
    named = endpoint.project or os.environ.get("ANTHROPIC_VERTEX_PROJECT_ID") or project
    if named is None:
        raise ValueError("no Google Cloud project: set endpoint.project, or ANTHROPIC_VERTEX_PROJECT_ID")
    region = endpoint.region if endpoint.region is not None else anthropic.not_given
    return anthropic.AsyncAnthropicVertex(
        region=region,
        project_id=named,
        credentials=_OneAtATime(credentials),  # type: ignore[arg-type]
        base_url=endpoint.base_url,
        **options,
    )


_MAKERS: Mapping[Provider, Callable[[Endpoint, str | None, _Options], AsyncAPIClient | Failure]] = {
    "anthropic": _anthropic,
    "aws": _aws,
    "bedrock": _bedrock,
    "bedrock_mantle": _bedrock_mantle,
    "foundry": _foundry,
    "google_cloud": _google_cloud,
    "vertex": _vertex,
}
_NEEDS: Mapping[Provider, tuple[tuple[str, ...], str]] = {  # modules, and the extra that brings them
    "aws": (("boto3", "botocore"), "aws"),
    "bedrock": (("boto3", "botocore"), "aws"),
    "bedrock_mantle": (("boto3", "botocore"), "aws"),
    "google_cloud": (("google.auth", "google.auth.transport.requests"), "google"),
    "vertex": (("google.auth", "google.auth.transport.requests"), "google"),
}


def _lacking(provider: Provider) -> Failure | None:
    """The packages of a provider that are not installed."""
    modules, extra = _NEEDS.get(provider, ((), ""))
    try:
        for module in modules:
            importlib.import_module(module)
    except ImportError as error:
        return client_failure(f"provider {provider} needs more packages: pip install 'polythink[{extra}]' ({error})")
    return None


def _no_key(variable: str) -> Failure:
    return client_failure(f"no API key: set {variable} where the workers run")


def _check_aws_credentials() -> None:
    """Raises ValueError if Amazon's chain of credentials ends without any; else the SDK finds the same ones."""
    import boto3

    if boto3.Session().get_credentials() is None:
        raise ValueError("no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")


def _google_credentials() -> tuple[Any, str | None]:
    """Google's application default credentials, and the project they belong to. Raises GoogleAuthError."""
    import google.auth

    credentials, project = google.auth.default(scopes=[GOOGLE_SCOPE])
    return credentials, project


class _OneAtATime:
    """Google credentials that many streams share: only one of them fetches a new token, the others wait for it."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials
        self._lock = threading.Lock()

    @property
    def expired(self) -> bool:
        return bool(self._credentials.expired)

    @property
    def token(self) -> str | None:
        token: str | None = self._credentials.token
        return token

    def refresh(self, request: Any) -> None:
        with self._lock:
            if self.expired or not self.token:
                self._credentials.refresh(request)
