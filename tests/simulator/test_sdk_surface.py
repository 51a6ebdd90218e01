"""The official SDK runs its whole surface against the simulator, with strict response validation on."""

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from polythink.simulator.process import SimulatorProcess

BUDGET = {"type": "enabled", "budget_tokens": 1024}
ASK: Any = {"model": "claude-haiku-4-5", "max_tokens": 2048, "thinking": BUDGET}


def asked(text: str = "What is 12 * 12?") -> list[Any]:
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    args = ["--batch-seconds", "0.2", "--tier", "scale", "--burst-seconds", "60"]
    with SimulatorProcess.start(args) as simulator:
        yield simulator.base_url


@pytest.fixture
def client(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="k", base_url=url, max_retries=0, _strict_response_validation=True)


def meter(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/_simulator/meter") as reply:
        body: dict[str, Any] = json.load(reply)
    return body


def test_message_with_thinking(client: anthropic.Anthropic) -> None:
    message = client.messages.create(**ASK, messages=asked())
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.model == "claude-haiku-4-5-20251001"
    assert message.usage.output_tokens_details is not None
    assert 0 < message.usage.output_tokens_details.thinking_tokens < message.usage.output_tokens <= 2048


def test_raw_response_carries_request_id_and_all_limit_headers(client: anthropic.Anthropic) -> None:
    raw = client.messages.with_raw_response.create(**ASK, messages=asked())
    names = [
        f"anthropic-ratelimit-{what}-{part}"
        for what in ("requests", "tokens", "input-tokens", "output-tokens")
        for part in ("limit", "remaining", "reset")
    ]
    assert raw.headers["request-id"].startswith("req_01")
    assert raw.headers["x-polythink-simulator"] == "synthetic"
    assert [name for name in names if name not in raw.headers] == []
    assert raw.headers["anthropic-ratelimit-requests-limit"] == "10000"
    assert int(raw.headers["anthropic-ratelimit-output-tokens-remaining"]) % 1000 == 0


def test_stream_events_add_up_to_the_message(client: anthropic.Anthropic) -> None:
    with client.messages.stream(**ASK, messages=asked()) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert final.content[-1].type == "text"
    assert final.content[-1].text == text
    assert final.stop_reason == "end_turn"


def test_raw_event_order(client: anthropic.Anthropic) -> None:
    events = [event.type for event in client.messages.create(**ASK, messages=asked(), stream=True)]
    assert events[:2] == ["message_start", "content_block_start"]
    assert events[-2:] == ["message_delta", "message_stop"]
    assert events.count("content_block_start") == events.count("content_block_stop") == 2
    assert 15 <= events.count("content_block_delta") <= 25


def test_same_user_asked_again_gets_the_same_answer_and_another_user_another_draw(client: anthropic.Anthropic) -> None:
    def text(user: str) -> str:
        reply = client.messages.create(**ASK, messages=asked("Name a number."), metadata={"user_id": user})
        return str([block.to_dict().get("text") or block.to_dict().get("thinking") for block in reply.content])

    answers = {user: text(user) for user in ("a", "b", "c", "d")}
    assert {user: text(user) for user in ("d", "c", "b", "a")} == answers
    assert len(set(answers.values())) > 1


def test_async_client_streams_many_at_once(url: str) -> None:
    async def ask_all() -> list[anthropic.types.Message]:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=url, max_retries=0) as client:

            async def ask(number: int) -> anthropic.types.Message:
                async with client.messages.stream(**ASK, messages=asked(f"{number}?")) as stream:
                    return await stream.get_final_message()

            return await asyncio.gather(*(ask(number) for number in range(30)))

    assert all(message.stop_reason for message in asyncio.run(ask_all()))


def test_display_omitted_signs_an_empty_block(client: anthropic.Anthropic) -> None:
    thinking: Any = {**BUDGET, "display": "omitted"}
    with client.messages.stream(**{**ASK, "thinking": thinking}, messages=asked()) as stream:
        kinds = [event.delta.type for event in stream if event.type == "content_block_delta"]
        final = stream.get_final_message()
    assert kinds.count("signature_delta") == 1
    assert "thinking_delta" not in kinds
    assert final.content[0].type == "thinking"
    assert final.content[0].thinking == ""
    assert final.content[0].signature


def test_redaction_and_refusal_on_request(client: anthropic.Anthropic) -> None:
    redacted = client.messages.create(
        **ASK, messages=asked("ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_46C9"), metadata={"user_id": "r"}
    )
    assert redacted.content[0].type == "redacted_thinking"
    refused = client.messages.create(**ASK, messages=asked("ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL_1F"))
    assert refused.stop_reason == "refusal"
    assert refused.stop_details is not None


@pytest.mark.parametrize("streamed", [False, True])
def test_code_execution_comes_with_its_call_its_output_and_its_container(url: str, streamed: bool) -> None:
    client = anthropic.Anthropic(api_key="k", base_url=url, max_retries=0, _strict_response_validation=True)
    ask: Any = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 4000,
        "messages": asked("What is 6 * 7?"),
        "metadata": {"user_id": "runs-code"},
        "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
    }
    if streamed:
        with client.messages.stream(**ask) as stream:
            message = stream.get_final_message()
    else:
        message = client.messages.create(**ask)
    before, call, result, after = message.content
    assert (before.type, after.type) == ("text", "text")
    assert call.type == "server_tool_use"
    assert result.type == "bash_code_execution_tool_result"
    assert result.tool_use_id == call.id
    assert result.content.type == "bash_code_execution_result"
    assert call.input == {"command": f"echo {result.content.stdout.strip()}"}
    assert message.container is not None
    assert message.container.id.startswith("container_01")
    assert message.usage.server_tool_use is not None
    assert message.stop_reason == "end_turn"


def test_max_tokens_is_the_hard_ceiling(client: anthropic.Anthropic) -> None:
    message = client.messages.create(model="claude-sonnet-5", max_tokens=40, messages=asked())
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 40


def test_thinking_blocks_can_be_sent_back_but_not_changed(client: anthropic.Anthropic) -> None:
    first = client.messages.create(**ASK, messages=asked("Hello?"))
    content = [block.to_dict() for block in first.content]
    again: Any = [*asked("Hello?"), {"role": "assistant", "content": content}, *asked("Go on.")]
    assert client.messages.create(**ASK, messages=again).stop_reason
    content[0]["thinking"] = "something else"
    with pytest.raises(anthropic.BadRequestError, match="cannot be modified"):
        client.messages.create(**ASK, messages=again)


def test_count_tokens_agrees_with_what_is_billed(client: anthropic.Anthropic) -> None:
    counted = client.messages.count_tokens(model="claude-haiku-4-5", thinking=BUDGET, messages=asked("a" * 4000))  # type: ignore[arg-type]
    billed = client.messages.create(**ASK, messages=asked("a" * 4000))
    assert counted.input_tokens == billed.usage.input_tokens


def test_models_are_listed_page_by_page_and_found_by_alias(client: anthropic.Anthropic) -> None:
    listed = [model.id for model in client.models.list(limit=4)]
    assert len(listed) == len(set(listed)) == 18
    haiku = client.models.retrieve("claude-haiku-4-5")
    assert haiku.id == "claude-haiku-4-5-20251001"
    assert haiku.capabilities is not None
    assert haiku.capabilities.thinking.types.enabled.supported
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-0")


def test_rate_limits_are_told_per_model(client: anthropic.Anthropic) -> None:
    entries = list(client.organization.rate_limits.list(model="claude-haiku-4-5", limit=1))
    values = {limit.type: limit.value for entry in entries for limit in entry.limits}
    assert values["requests_per_minute"] == 10_000
    assert values["output_tokens_per_minute"] == 2_000_000
    assert len(list(client.organization.rate_limits.list(limit=3))) == 12


def batch_entry(name: str, **changes: Any) -> Any:
    return {"custom_id": name, "params": {**ASK, "messages": asked(name), **changes}}


def ended(client: anthropic.Anthropic, batch_id: str) -> anthropic.types.messages.MessageBatch:
    while (batch := client.messages.batches.retrieve(batch_id)).processing_status != "ended":
        assert batch.request_counts.processing > 0
        assert batch.results_url is None
    return batch


def test_batch_from_create_to_results(client: anthropic.Anthropic, url: str) -> None:
    entries = [batch_entry(f"s{number}") for number in range(20)]
    entries += [
        batch_entry("bad", max_tokens=5),
        batch_entry("unknown", model="claude-0"),
        batch_entry("s", stream=True),
    ]
    created = client.messages.batches.create(requests=entries)
    assert created.request_counts.processing == len(entries)
    batch = ended(client, created.id)
    assert (batch.request_counts.succeeded, batch.request_counts.errored) == (20, 3)
    results = {line.custom_id: line.result for line in client.messages.batches.results(batch.id)}
    assert set(results) == {entry["custom_id"] for entry in entries}
    one = results["s3"]
    assert one.type == "succeeded"
    assert one.message.usage.service_tier == "batch"
    bad = results["bad"]
    assert bad.type == "errored"
    assert bad.error.error.type == "invalid_request_error"
    booked = meter(url)["samples"]["s3"]
    assert booked["output_tokens"] == one.message.usage.output_tokens
    assert booked["cost_usd"] == pytest.approx(
        (one.message.usage.input_tokens * 1 + one.message.usage.output_tokens * 5) / 2e6
    )
    assert client.messages.batches.list(limit=1).data[0].id == batch.id
    assert client.messages.batches.delete(batch.id).id == batch.id
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(batch.id)


def test_batch_shape_errors_fail_at_create(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"requests\.0\.custom_id: String should have at most 64"):
        client.messages.batches.create(requests=[batch_entry("x" * 65)])
    with pytest.raises(anthropic.BadRequestError, match="unique"):
        client.messages.batches.create(requests=[batch_entry("x"), batch_entry("x")])


def test_batches_belong_to_their_key(client: anthropic.Anthropic, url: str) -> None:
    created = client.messages.batches.create(requests=[batch_entry("mine")])
    other = anthropic.Anthropic(api_key="another", base_url=url, max_retries=0)
    with pytest.raises(anthropic.NotFoundError):
        other.messages.batches.retrieve(created.id)


def test_cancelled_batch_keeps_what_was_finished() -> None:
    with SimulatorProcess.start(["--batch-seconds", "3600", "--time-scale", "3600"]) as simulator:
        client = anthropic.Anthropic(api_key="k", base_url=simulator.base_url, max_retries=0)
        created = client.messages.batches.create(requests=[batch_entry(f"s{n}") for n in range(50)])
        cancelled = client.messages.batches.cancel(created.id)
        assert cancelled.cancel_initiated_at is not None
        batch = ended(client, created.id)
        counts = batch.request_counts
        assert counts.canceled > 0
        assert counts.succeeded + counts.canceled == 50


def test_batch_expires_a_day_after_it_was_made() -> None:
    args = ["--batch-seconds", "1000000", "--time-scale", "300000"]
    with SimulatorProcess.start(args) as simulator:
        client = anthropic.Anthropic(api_key="k", base_url=simulator.base_url, max_retries=0)
        created = client.messages.batches.create(requests=[batch_entry(f"s{n}") for n in range(30)])
        counts = ended(client, created.id).request_counts
        assert counts.expired > 0
        assert counts.expired + counts.succeeded == 30


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"x-api-key": "invalid", "Authorization": "Bearer good"}, anthropic.AuthenticationError),
        ({"x-api-key": "good", "Authorization": "Bearer invalid"}, None),
        ({"Authorization": "Bearer invalid"}, anthropic.AuthenticationError),
        ({"anthropic-version": "2020-01-01"}, anthropic.BadRequestError),
        ({"anthropic-version": "2023-06-01"}, None),
    ],
)
def test_both_auth_forms_and_versions(
    client: anthropic.Anthropic, headers: dict[str, str], error: type[Exception] | None
) -> None:
    if error is None:
        assert client.messages.create(**ASK, messages=asked(), extra_headers=headers).content
    else:
        with pytest.raises(error):
            client.messages.create(**ASK, messages=asked(), extra_headers=headers)


def test_sampling_parameters_depend_on_the_version(client: anthropic.Anthropic) -> None:
    warm: Any = {"extra_body": {"temperature": 1.0}}
    with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs are not permitted"):
        client.messages.create(**ASK, messages=asked(), **warm)
    old = {"anthropic-version": "2023-06-01"}
    assert client.messages.create(**ASK, messages=asked(), **warm, extra_headers=old).content


def test_meter_adds_up(url: str, client: anthropic.Anthropic) -> None:
    before = meter(url)
    replies = [client.messages.create(**ASK, messages=asked(), metadata={"user_id": f"m{n % 2}"}) for n in range(4)]
    after = meter(url)
    assert after["requests"] - before["requests"] == 4
    assert after["completed"] - before["completed"] == 4
    assert after["output_tokens"] - before["output_tokens"] == sum(reply.usage.output_tokens for reply in replies)
    assert after["samples"]["m0"]["requests"] == 2
    assert after["samples"]["m0"]["output_tokens"] == replies[0].usage.output_tokens * 2
