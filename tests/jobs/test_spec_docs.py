"""docs/job-file.md says what the models say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from polythink.jobs.arms import place_arms
from polythink.jobs.providers import check_providers
from polythink.jobs.spec import Job
from polythink.jobs.spec_checks import check_answer, check_arms, check_endpoints, check_select
from polythink.jobs.spec_salvage import Unusable
from polythink.jobs.spec_table import field_table
from polythink.workers.tasks import Provider

PAGE = (Path(__file__).parents[2] / "docs/job-file.md").read_text(encoding="utf-8")
ENDPOINTS = (Path(__file__).parents[2] / "docs/endpoints.md").read_text(encoding="utf-8")


def blocks(page: str) -> list[dict[str, Any]]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]


EXAMPLES = blocks(PAGE)


def test_the_table_of_fields_is_the_one_the_models_make() -> None:
    table = PAGE.partition("<!-- fields: begin -->\n")[2].partition("\n<!-- fields: end -->")[0]
    assert table == field_table(), "run `python -m polythink.jobs.spec_table` and paste what it prints"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["name"]))
def test_every_example_is_a_sound_job(example: dict[str, Any]) -> None:
    job = Job.model_validate(example)
    arms = place_arms(job)
    nothing = Unusable()
    checks = [
        check_arms(arms, nothing),
        check_endpoints(job, arms, nothing),
        check_providers(job, nothing),
        check_answer(job),
        check_select(job),
    ]
    assert [finding for check in checks for finding in check] == []


@pytest.mark.parametrize("block", blocks(ENDPOINTS), ids=lambda block: ",".join(map(str, block["endpoint"].values())))
def test_every_block_of_an_endpoint_is_sound(block: dict[str, Any]) -> None:
    job, nothing = Job.model_validate({**EXAMPLES[0], **block}), Unusable()
    assert [*check_providers(job, nothing), *check_endpoints(job, place_arms(job), nothing)] == []


def test_every_provider_has_a_block() -> None:
    shown = {block["endpoint"].get("provider", "anthropic") for block in blocks(ENDPOINTS)}
    assert shown == set(get_args(Provider))


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        ({"provider": "bedrock", "project": "p"}, ("endpoint", "project")),
        ({"region": "us-west-2"}, ("endpoint", "region")),
        ({"provider": "vertex", "api_key_env": "TOKEN"}, ("endpoint", "api_key_env")),
        ({"provider": "foundry", "resource": "r", "base_url": "http://h"}, ("endpoint", "base_url")),
        ({"one": {"provider": "foundry", "workspace": "w"}}, ("endpoint", "one", "workspace")),
    ],
)
def test_what_a_provider_does_not_take_is_told_at_its_place(endpoint: dict[str, Any], place: tuple[str, ...]) -> None:
    job = Job.model_validate({**EXAMPLES[0], "endpoint": endpoint})
    (finding,) = check_providers(job, Unusable())
    assert finding.loc == place


def test_every_field_has_an_example() -> None:
    shown = {key for example in EXAMPLES for key in keys_of(example)}
    fields = {path.rpartition(".")[2] for path in re.findall(r"^\| `([^`]+)`", field_table(), re.MULTILINE)}
    assert fields <= shown


def keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in keys_of(inner)}
    return {key for inner in value for key in keys_of(inner)} if isinstance(value, list) else set()
