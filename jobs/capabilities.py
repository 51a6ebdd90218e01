"""A job's arms against what their endpoints say of their models, before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from polythink.errors import SpecError
from polythink.facts import Capabilities
from polythink.jobs.arms import PlacedArm, place_arms
from polythink.jobs.load import LoadedJob
from polythink.jobs.requests import as_workers_take
from polythink.jobs.spec_checks import check_settings
from polythink.jobs.spec_lines import Finding, issues, parse, show
from polythink.jobs.spec_salvage import Unusable
from polythink.workers.models_api import NoSuchModel, NotTold, Told, ask_models


def check_capabilities(loaded: LoadedJob) -> tuple[str, ...]:
    """Ask each endpoint once for each of its models, and hold every arm to the answers.

    Returns notes on the endpoints that do not say: there what is known here must do. Raises SpecError with every arm
    whose setting an endpoint does not take.
    """
    arms = place_arms(loaded.job)
    pairs = [(endpoint, placed.arm.model) for placed in arms for endpoint in placed.arm.endpoints]
    told = ask_models(as_workers_take(loaded.job), pairs)
    findings = [finding for placed in arms for finding in _wrong(placed, told)]
    if findings:
        raise SpecError(issues(findings, parse(loaded.source, loaded.file), loaded.file))
    why = {endpoint: answer.why for (endpoint, _), answer in told.items() if isinstance(answer, NotTold)}
    known = "the job was checked against what is known here"
    return tuple(
        f"endpoint {name} does not tell what its models take ({reason}); {known}" for name, reason in why.items()
    )


def _wrong(placed: PlacedArm, told: Mapping[tuple[str, str], Told]) -> Iterator[Finding]:
    for endpoint in placed.arm.endpoints:
        match told[endpoint, placed.arm.model]:
            case Capabilities() as takes:
                yield from check_settings(placed, takes, Unusable())
            case NoSuchModel(message):
                found = f"{show(placed.arm.model)}, which endpoint {endpoint} does not have ({message})"
                wanted = f"a model of that endpoint, or its name there in endpoint.models: {{{placed.arm.model}: ...}}"
                yield Finding(loc=placed.model_place, found=found, wanted=wanted)
