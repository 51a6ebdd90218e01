"""What is said beside a job file goes before what it says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polythink.jobs.spec import are_named_endpoints
from polythink.jobs.spec_lines import Finding


def merged(base: Any, overrides: Mapping[str, Any]) -> Any:
    """Mappings are merged key by key; anything else is replaced."""
    if not overrides or not isinstance(base, dict):
        return base
    whole = dict(base)
    for key, value in overrides.items():
        whole[key] = merged(whole.get(key) or {}, value) if isinstance(value, Mapping) else value
    return whole


def redirected(data: Any, base_url: str | None) -> tuple[Any, tuple[Finding, ...]]:
    """The data of a job with its endpoint at another server; a finding where several endpoints could be meant."""
    endpoint = data.get("endpoint") if isinstance(data, dict) else None
    if base_url is None or not are_named_endpoints(endpoint):
        return merged(data, {"endpoint": {"base_url": base_url}} if base_url else {}), ()
    if len(endpoint) == 1:
        return merged(data, {"endpoint": {name: {"base_url": base_url} for name in endpoint}}), ()
    finding = Finding(
        loc=("endpoint",),
        found=f"--base-url beside {len(endpoint)} endpoints: {', '.join(map(str, endpoint))}",
        wanted="--base-url is for a job with one endpoint; give each of these its own base_url",
    )
    return data, (finding,)
