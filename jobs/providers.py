"""What each provider's endpoints may say, and where their credentials are looked for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from polythink.jobs.spec import Job
from polythink.jobs.spec_lines import Finding, Loc, show
from polythink.jobs.spec_parts import Endpoint
from polythink.jobs.spec_salvage import Unusable
from polythink.workers.tasks import Provider

_PLACES = ("region", "project", "resource", "workspace", "api_key_env")
_TAKEN: Mapping[Provider, tuple[str, ...]] = {  # of these, what a provider takes
    "anthropic": ("api_key_env",),
    "aws": ("region", "workspace", "api_key_env"),
    "bedrock": ("region", "api_key_env"),
    "bedrock_mantle": ("region", "api_key_env"),
    "foundry": ("resource", "api_key_env"),
    "google_cloud": ("project", "region", "workspace"),
    "vertex": ("project", "region"),
}
_AMAZON = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
    *("AWS_REGION", "AWS_DEFAULT_REGION"),
)
_GOOGLE = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT")
_VARIABLES: Mapping[Provider, tuple[str, ...]] = {  # that the provider's client reads, as the SDK names them
    "anthropic": (),
    "aws": (*_AMAZON, "ANTHROPIC_AWS_API_KEY", "ANTHROPIC_AWS_WORKSPACE_ID"),
    "bedrock": (*_AMAZON, "AWS_BEARER_TOKEN_BEDROCK"),
    "bedrock_mantle": (*_AMAZON, "AWS_BEARER_TOKEN_BEDROCK", "ANTHROPIC_AWS_API_KEY"),
    "foundry": ("ANTHROPIC_FOUNDRY_API_KEY", "ANTHROPIC_FOUNDRY_RESOURCE"),
    "google_cloud": (
        *_GOOGLE,
        *("ANTHROPIC_GOOGLE_CLOUD_PROJECT", "ANTHROPIC_GOOGLE_CLOUD_LOCATION", "ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID"),
    ),
    "vertex": (*_GOOGLE, "ANTHROPIC_VERTEX_PROJECT_ID", "CLOUD_ML_REGION"),
}


def credential_variables(endpoint: Endpoint) -> tuple[str, ...]:
    """The environment variables from which an endpoint's client may take what the job does not say."""
    return (endpoint.key_variable,) if endpoint.key_variable else _VARIABLES[endpoint.provider]


def check_providers(job: Job, unusable: Unusable) -> Iterator[Finding]:
    """Endpoints against what their providers take."""
    for name, endpoint in job.endpoints.items():
        place: Loc = ("endpoint",) if isinstance(job.endpoint, Endpoint) else ("endpoint", name)
        if unusable.covers((*place, "provider")):
            continue
        if job.lane == "batch" and endpoint.provider != "anthropic":
            wanted = "lane: live; batches are sent by provider anthropic alone"
            yield Finding(loc=(*place, "provider"), found=f"{endpoint.provider} with lane: batch", wanted=wanted)
        taken = _TAKEN[endpoint.provider]
        for field in _PLACES:
            value = getattr(endpoint, field)
            if value is not None and field not in taken:
                wanted = f"provider {endpoint.provider} takes {', '.join(taken)} and base_url; take {field} out"
                yield Finding(loc=(*place, field), found=show(value), wanted=wanted)
        if endpoint.resource and endpoint.base_url and "resource" in taken:
            found = f"{show(endpoint.base_url)} beside resource {show(endpoint.resource)}"
            yield Finding(loc=(*place, "base_url"), found=found, wanted="one of the two: resource stands for its URL")
