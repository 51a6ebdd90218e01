"""docs/job-file.md says what the models say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from polythink.jobs.arms import place_arms
from polythink.jobs.spec import Job
from polythink.jobs.spec_checks import check_answer, check_arms, check_endpoints, check_select
from polythink.jobs.spec_salvage import Unusable
from polythink.jobs.spec_table import field_table

PAGE = (Path(__file__).parents[2] / "docs/job-file.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, Any]] = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


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
        check_answer(job),
        check_select(job),
    ]
    assert [finding for check in checks for finding in check] == []


def test_every_field_has_an_example() -> None:
    shown = {key for example in EXAMPLES for key in keys_of(example)}
    fields = {path.rpartition(".")[2] for path in re.findall(r"^\| `([^`]+)`", field_table(), re.MULTILINE)}
    assert fields <= shown


def keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in keys_of(inner)}
    return {key for inner in value for key in keys_of(inner)} if isinstance(value, list) else set()
