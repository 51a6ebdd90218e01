"""What an endpoint says of its models decides which settings are legal, before anything is spent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polythink.errors import SpecError
from polythink.facts import Capabilities, all_models
from polythink.jobs.capabilities import check_capabilities
from polythink.jobs.load import load_job
from polythink.simulator.models_api import model_info
from polythink.workers.models_api import read_model
from tests.running import job_file
from tests.scripted_server import Reply, Request, ScriptedServer, refusal

JSON = {"content-type": "application/json"}
GRID = {"grid": {"model": ["claude-opus-4-5"], "reasoning": ["none", {"budget_tokens": 2048}, {"effort": "high"}]}}


def says(body: Any, status: int = 200) -> Reply:
    return Reply(status=status, headers=JSON, body=json.dumps(body).encode())


def told(*, thinking: tuple[str, ...] = ("enabled", "disabled"), effort: tuple[str, ...], max_tokens: int) -> Reply:
    kinds = ("adaptive", "between_tools", "disabled", "enabled")
    types = {kind: {"supported": kind in thinking} for kind in kinds}
    levels = {level: {"supported": level in effort} for level in ("low", "medium", "high", "xhigh", "max")}
    capabilities = {
        "thinking": {"supported": bool(thinking), "types": types},
        "effort": {"supported": bool(effort), **levels},
    }
    return says({"type": "model", "id": "m", "max_tokens": max_tokens, "capabilities": capabilities})


def checked(folder: Path, reply: Reply, **changes: Any) -> tuple[tuple[str, ...], list[Request]]:
    with ScriptedServer(lambda request: reply) as server:
        loaded = load_job(job_file(folder, server.base_url, max_tokens=5000, **changes))
        return check_capabilities(loaded), server.requests


def test_an_endpoint_is_asked_once_for_each_model_and_settings_that_it_takes_pass(tmp_path: Path) -> None:
    notes, requests = checked(tmp_path, told(effort=("high",), max_tokens=64_000), arms=GRID)
    assert notes == ()
    assert [(request.method, request.path) for request in requests] == [("GET", "/v1/models/claude-opus-4-5")]


def test_what_it_does_not_take_is_told_at_the_arms_place_with_what_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as error:
        checked(tmp_path, told(thinking=("disabled",), effort=("low",), max_tokens=4000), arms=GRID)
    issues = {issue.path: issue for issue in error.value.issues}
    assert set(issues) == {"arms.grid.reasoning[1]", "arms.grid.reasoning[2]", "max_tokens"}
    assert issues["arms.grid.reasoning[1]"].found == "budget_tokens: 2048 with claude-opus-4-5"
    assert issues["arms.grid.reasoning[1]"].wanted == "claude-opus-4-5 takes none, effort (low)"
    assert issues["max_tokens"].wanted == "at most 4000, the model's largest output"
    assert all(issue.line and issue.file == str(tmp_path / "job.yaml") for issue in issues.values())


def test_a_model_that_the_endpoint_does_not_have_is_told_before_it_is_asked_anything(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"arms\.grid\.model\[0\]: found .*endpoint default does not have"):
        checked(tmp_path, refusal(404, "not_found_error", "model: claude-opus-4-5"), arms=GRID)


def test_it_is_asked_by_the_models_name_there(tmp_path: Path) -> None:
    reply = told(effort=("high",), max_tokens=64_000)
    with ScriptedServer(lambda request: reply) as server:
        endpoint = {"base_url": server.base_url, "models": {"claude-opus-4-5": "ours/opus"}}
        check_capabilities(load_job(job_file(tmp_path, "", arms=GRID, endpoint=endpoint, max_tokens=5000)))
        assert [request.path for request in server.requests] == ["/v1/models/ours%2Fopus"]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (says({"detail": "Not Found"}, 404), "no Models API"),
        (says({"id": "claude-opus-4-5", "object": "model"}), "says nothing of what its models take"),
        (says(["x"]), "says nothing"),
        (Reply(headers=JSON, body=b"{"), "does not tell"),
        (refusal(500, "api_error"), "answers 500"),
        (refusal(401, "authentication_error"), "answers 401"),
        (Reply(ending="reset"), "cannot be reached"),
    ],
)
def test_where_it_does_not_say_a_note_does_and_what_is_known_here_holds(tmp_path: Path, reply: Reply, why: str) -> None:
    notes, _ = checked(tmp_path, reply, arms=GRID)
    assert len(notes) == 1 and why in notes[0] and "checked against what is known here" in notes[0]


def test_a_provider_without_models_api_is_not_asked(tmp_path: Path) -> None:
    endpoint = {"provider": "bedrock", "region": "us-west-2"}
    (note,) = check_capabilities(load_job(job_file(tmp_path, "", arms=GRID, endpoint=endpoint, max_tokens=5000)))
    assert "bedrock has no Models API" in note


@pytest.mark.parametrize("model", all_models(), ids=lambda model: str(model.model_id))
def test_what_the_models_api_says_of_a_known_model_is_what_is_known_of_it(model: Any) -> None:
    assert read_model(model_info(model)) == Capabilities(
        thinking_types=model.thinking_types,
        effort_levels=model.effort_levels,
        max_output_tokens=model.max_output_tokens,
    )
