"""Each provider by the SDK's own client, against a server here that answers in that provider's form."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from polythink.records import SampleKey
from polythink.workers.clients import make_client
from polythink.workers.sampling import attempt
from polythink.workers.tasks import Endpoint, Result, Task
from tests.scripted_server import Reply, Request, Script, ScriptedServer, message_events, streamed
from tests.workers.amazon_frames import exception_frame, frames

WHOLE = streamed(message_events(thinking="let me see"))
AMAZON = {"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "amazon-1"}
FRAMED = Reply(headers=AMAZON, body=frames(message_events(thinking="let me see")))
BODY: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 2048,
    "messages": [{"role": "user", "content": "2 + 2?"}],
}
SIGNED_ID = "AKIDEXAMPLE"


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only what a test sets, and nothing of the machine's own."""
    for name in ("ANTHROPIC_API_KEY", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SIGNED_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-nobody-may-read")


async def ask(endpoint: Endpoint, times: int = 1) -> list[Result]:
    client = make_client(endpoint, 4)
    key = SampleKey(problem_id="p", arm_id="a", sample_index=3)
    task = Task(key=key, sample_id="p-a-3_x", number=1, body=BODY, endpoint="cloud", queued_at=1.0)
    try:
        return await asyncio.gather(*(attempt(client, endpoint, task) for _ in range(times)))
    finally:
        await client.close()


def asked(script: Script, *, path: str = "", **said: Any) -> tuple[Result, list[Request]]:
    with ScriptedServer(script) as server:
        endpoint = Endpoint(name="cloud", base_url=server.base_url + path, **{"api_key_env": None, **said})
        (result,) = asyncio.run(ask(endpoint))
        return result, server.requests


def assert_answered(result: Result) -> None:
    made = result.attempt
    assert (result.failure, made.status, made.endpoint) == (None, "complete", "cloud")
    assert [block["type"] for block in json.loads(made.content)] == ["thinking", "text"]
    assert (made.usage.input_tokens, made.usage.output_tokens) == (11, 7)
    assert made.cost_usd == pytest.approx((11 * 1.0 + 7 * 5.0) / 1e6)


@pytest.mark.usefixtures("amazon")
def test_bedrock_is_asked_by_the_models_own_path_signed_and_its_frames_are_read() -> None:
    result, (request,) = asked(
        lambda request: FRAMED,
        provider="bedrock",
        region="us-west-2",
        models={"claude-haiku-4-5": "us.anthropic.claude-haiku-4-5-20251001-v1:0"},
    )
    assert_answered(result)
    assert request.path == "/model/us.anthropic.claude-haiku-4-5-20251001-v1:0/invoke-with-response-stream"
    assert request.headers["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={SIGNED_ID}/")
    assert "/us-west-2/bedrock/" in request.headers["authorization"]
    assert request.body["anthropic_version"] and "model" not in request.body and "stream" not in request.body
    assert result.attempt.request_id == "amazon-1"


def test_bedrock_takes_a_bearer_token_from_the_variable_that_the_job_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_TOKEN", "bearer-1")
    result, (request,) = asked(lambda request: FRAMED, provider="bedrock", region="x", api_key_env="OUR_TOKEN")
    assert_answered(result)
    assert request.headers["authorization"] == "Bearer bearer-1"


@pytest.mark.usefixtures("amazon")
@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_frames_are_read_however_they_are_cut(size: int) -> None:
    from polythink.workers.aws_frames import FrameReader
    from polythink.workers.sse import EventReader

    whole, reader = FRAMED.body, FrameReader()
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    events = [event for piece in pieces for event in reader.feed(piece)]
    assert events == EventReader().feed(WHOLE.body)


@pytest.mark.usefixtures("amazon")
@pytest.mark.parametrize(
    ("reply", "disposition", "error_type", "status"),
    [
        (Reply(headers=AMAZON, body=FRAMED.body[:-30]), "retry", "cut_stream", 200),
        (Reply(headers=AMAZON, body=b"\x00" * 100), "retry", "malformed_stream", 200),
        (
            Reply(headers=AMAZON, body=frames(message_events()[:2]) + exception_frame("throttlingException", "slow")),
            "retry",
            "throttlingException",
            429,
        ),
        (
            Reply(headers=AMAZON, body=exception_frame("modelStreamErrorException", "oops")),
            "retry",
            "modelStreamErrorException",
            500,
        ),
        (
            Reply(headers=AMAZON, body=exception_frame("validationException", "oops")),
            "give_up",
            "validationException",
            400,
        ),
        (
            Reply(status=429, headers={"x-amzn-errortype": "ThrottlingException:"}, body=b'{"message": "slow down"}'),
            "retry",
            "ThrottlingException",
            429,
        ),
        (
            Reply(status=424, headers={"x-amzn-errortype": "ModelErrorException"}, body=b'{"message": "oops"}'),
            "retry",
            "ModelErrorException",
            424,
        ),
        (
            Reply(status=403, headers={"x-amzn-errortype": "AccessDeniedException"}, body=b'{"message": "no"}'),
            "stop_job",
            "AccessDeniedException",
            403,
        ),
    ],
)
def test_what_bedrock_says_decides_what_follows(reply: Reply, disposition: str, error_type: str, status: int) -> None:
    result, _ = asked(lambda request: reply, provider="bedrock", region="us-west-2")
    assert result.failure is not None
    assert (result.failure.disposition, result.attempt.error_type) == (disposition, error_type)
    assert result.attempt.http_status == status
    assert result.failure.limited == (status == 429)


@pytest.mark.usefixtures("amazon")
def test_the_newer_bedrock_speaks_the_api_itself_signed_for_its_own_service() -> None:
    result, (request,) = asked(
        lambda request: WHOLE,
        provider="bedrock_mantle",
        path="/anthropic",
        region="us-east-1",
        models={"claude-haiku-4-5": "anthropic.claude-haiku-4-5"},
    )
    assert_answered(result)
    assert request.path == "/anthropic/v1/messages"
    assert (request.body["model"], request.body["stream"]) == ("anthropic.claude-haiku-4-5", True)
    assert "/us-east-1/bedrock-mantle/" in request.headers["authorization"]


@pytest.mark.usefixtures("amazon")
def test_the_platform_on_aws_is_signed_and_names_its_workspace() -> None:
    result, (request,) = asked(lambda request: WHOLE, provider="aws", region="us-east-1", workspace="wrkspc_1")
    assert_answered(result)
    assert (request.path, request.headers["anthropic-workspace-id"]) == ("/v1/messages", "wrkspc_1")
    assert "/us-east-1/aws-external-anthropic/" in request.headers["authorization"]


def test_the_platform_on_aws_takes_a_key_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_AWS_API_KEY", "aws-key-1")
    result, (request,) = asked(lambda request: WHOLE, provider="aws", region="us-east-1", workspace="wrkspc_1")
    assert_answered(result)
    assert request.headers["authorization"] == "Bearer aws-key-1"


def test_foundry_gets_its_own_key_and_never_the_public_apis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_FOUNDRY_API_KEY", "azure-1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-public")
    result, (request,) = asked(lambda request: WHOLE, provider="foundry", path="/anthropic")
    assert_answered(result)
    assert (request.path, request.headers["api-key"]) == ("/anthropic/v1/messages", "azure-1")
    assert "sk-public" not in repr(request)


def service_account(folder: Path, token_uri: str) -> Path:
    """Credentials of Google's kind for a machine, whose tokens come from a server of ours."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "account.json"
    account = {
        "type": "service_account",
        "project_id": "project-1",
        "client_email": "a@b.example",
        "private_key_id": "1",
    }
    path.write_text(json.dumps({**account, "private_key": key.decode(), "token_uri": token_uri}))
    return path


def google(request: Request) -> Reply:
    if request.path == "/token":
        token = {"access_token": "google-1", "expires_in": 3600, "token_type": "Bearer"}
        return Reply(headers={"content-type": "application/json"}, body=json.dumps(token).encode())
    return WHOLE


@pytest.mark.parametrize(
    ("provider", "said", "path"),
    [
        (
            "vertex",
            {"region": "global", "models": {"claude-haiku-4-5": "claude-haiku-4-5@20251001"}},
            "/projects/project-1/locations/global/publishers/anthropic/models/"
            "claude-haiku-4-5@20251001:streamRawPredict",
        ),
        ("google_cloud", {"workspace": "wrkspc_1"}, "/v1/messages"),
    ],
)
def test_google_gets_one_token_for_all_streams_and_the_model_where_it_wants_it(
    provider: Any, said: dict[str, Any], path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ScriptedServer(google) as server:
        account = service_account(tmp_path, f"{server.base_url}/token")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        endpoint = Endpoint(name="cloud", provider=provider, base_url=server.base_url, api_key_env=None, **said)
        results = asyncio.run(ask(endpoint, times=4))
        paths = [request.path for request in server.requests]
        keys = {request.headers.get("authorization") for request in server.requests if request.path != "/token"}
    for result in results:
        assert_answered(result)
    assert sorted(paths) == sorted([*[path] * 4, "/token"])
    assert keys == {"Bearer google-1"}


def test_a_token_that_google_refuses_stops_the_job_and_one_it_cannot_give_now_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: dict[str, Any] = {"name": "cloud", "provider": "vertex", "region": "global", "api_key_env": None}
    error = {"error": "invalid_grant", "error_description": "account not found"}
    refused = Reply(status=400, headers={"content-type": "application/json"}, body=json.dumps(error).encode())
    with ScriptedServer(lambda request: refused) as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, server.base_url)))
        (result,) = asyncio.run(ask(Endpoint(base_url=server.base_url, **said)))
    assert result.failure is not None and result.failure.disposition == "stop_job"
    assert "account not found" in result.failure.message
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, "http://127.0.0.1:9")))
    (result,) = asyncio.run(ask(Endpoint(base_url="http://127.0.0.1:9", **said)))
    assert result.failure is not None and (result.failure.disposition, result.failure.unreachable) == ("retry", True)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ({"provider": "bedrock", "region": "us-west-2"}, "AWS_ACCESS_KEY_ID"),
        ({"provider": "bedrock", "region": "us-west-2", "api_key_env": "NO_SUCH_TOKEN"}, "NO_SUCH_TOKEN"),
        ({"provider": "bedrock"}, "AWS_REGION"),
        ({"provider": "bedrock_mantle", "region": "us-west-2"}, "AWS_ACCESS_KEY_ID"),
        ({"provider": "aws", "region": "us-west-2", "workspace": "w"}, "AWS_ACCESS_KEY_ID"),
        ({"provider": "aws", "region": "us-west-2"}, "ANTHROPIC_AWS_WORKSPACE_ID"),
        ({"provider": "foundry", "resource": "r"}, "ANTHROPIC_FOUNDRY_API_KEY"),
        ({"provider": "vertex", "region": "global"}, "credentials were not found"),
        ({"provider": "google_cloud", "workspace": "w"}, "credentials were not found"),
    ],
)
def test_what_an_endpoint_lacks_fails_its_requests_with_what_to_set(said: dict[str, Any], advice: str) -> None:
    (result,) = asyncio.run(ask(Endpoint(name="cloud", **{"api_key_env": None, **said})))
    assert result.failure is not None and result.failure.disposition == "stop_job"
    assert advice in result.failure.message


@pytest.mark.parametrize(
    ("provider", "module", "extra"),
    [("bedrock", "boto3", "aws"), ("aws", "botocore", "aws"), ("vertex", "google.auth", "google")],
)
def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(
    provider: Any, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # Python's own way to say that there is none
    (result,) = asyncio.run(ask(Endpoint(name="cloud", provider=provider, region="r", api_key_env=None)))
    assert result.failure is not None
    assert f"pip install 'polythink[{extra}]'" in result.failure.message


def test_googles_own_form_of_an_error_is_read() -> None:
    from polythink.workers.failures import classify_reply

    error = {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}
    for body in (error, [error]):
        failure = classify_reply(429, body, {})
        assert (failure.error_type, failure.message, failure.limited) == ("RESOURCE_EXHAUSTED", "Quota exceeded", True)


COMPATIBLE: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "chatcmpl-1", "type": "message", "role": "assistant", "content": [],
     "model": "Qwen/Qwen3-8B", "usage": {"input_tokens": 0, "output_tokens": 0}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "let me see"}},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "\\boxed{4}"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"input_tokens": 11, "output_tokens": 7}},
    {"type": "message_stop"},
]  # fmt: skip


def test_a_compatible_server_that_says_little_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request id, no details of usage, blocks that overlap, counts that come at the end."""
    reply = streamed(COMPATIBLE)
    bare = Reply(headers={"content-type": "text/event-stream"}, body=reply.body)
    result, (request,) = asked(lambda request: bare, provider="anthropic", api_key_env="NO_SUCH_KEY")
    made = result.attempt
    assert (result.failure, made.request_id, made.usage.thinking_tokens) == (None, None, None)
    assert (made.usage.input_tokens, made.usage.output_tokens, made.model) == (11, 7, "Qwen/Qwen3-8B")
    assert [block["type"] for block in json.loads(made.content)] == ["thinking", "text"]
    assert request.headers["authorization"] == "Bearer none"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "model not found", "type": "NotFoundError", "code": 404}}, "model not found"),
        ({"object": "error", "message": "too long", "type": "BadRequestError"}, "too long"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"error": "overloaded"}, "overloaded"),
    ],
)
def test_errors_in_the_forms_of_compatible_servers_say_what_they_say(body: dict[str, Any], message: str) -> None:
    reply = Reply(status=400, headers={"content-type": "application/json"}, body=json.dumps(body).encode())
    result, _ = asked(lambda request: reply, provider="anthropic", api_key_env="NO_SUCH_KEY")
    assert result.failure is not None
    assert (result.failure.disposition, result.failure.message) == ("give_up", message)


def test_a_price_is_found_by_the_model_asked_for_where_the_one_that_answered_is_unknown() -> None:
    events = message_events()
    events[0]["message"]["model"] = "arn:aws:bedrock:us-east-1:1:application-inference-profile/x"
    result, _ = asked(lambda request: streamed(events), provider="anthropic", api_key_env="NO_SUCH_KEY")
    assert result.attempt.cost_usd == pytest.approx((11 * 1.0 + 7 * 5.0) / 1e6)
