"""What is refused, in the API's words; and that the facts table alone decides what a model takes."""

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polythink import facts
from polythink.simulator.api_errors import ApiError
from polythink.simulator.models_api import model_info
from polythink.simulator.parse import parse_count, parse_message

HELLO = [{"role": "user", "content": "Hello"}]
NEW, OLD = "2026-10-21", "2023-06-01"


def body(model: str = "claude-haiku-4-5", **changes: Any) -> dict[str, Any]:
    made = {"model": model, "max_tokens": 4096, "messages": HELLO, **changes}
    return {name: value for name, value in made.items() if value is not ...}


def enabled(budget: int = 2048) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": budget}


def refusal(raw: Any, version: str = NEW) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse_message(raw, version)
    return caught.value


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (body(max_tokens=...), "max_tokens: Field required"),
        (body(messages=...), "messages: Field required"),
        (body(foo=1), "foo: Extra inputs are not permitted"),
        (body(temperature=1.0), "temperature: Extra inputs are not permitted"),
        (body(top_k=5), "top_k: Extra inputs are not permitted"),
        (body(max_tokens="9"), "max_tokens: Input should be a valid integer"),
        (body(messages=[]), "messages: at least one message is required"),
        (body(thinking=enabled(1023)), "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"),
        (body(thinking=enabled(4096)), "`max_tokens` must be greater than `thinking.budget_tokens`."),
        (body(thinking={"type": "enabled"}), "thinking.enabled.budget_tokens: Field required"),
        (body(thinking={"type": "disabled", "display": "omitted"}), "thinking.disabled.display: Extra inputs"),
        (body(thinking={"type": "adaptive"}), "adaptive thinking is not supported on this model"),
        (
            body("claude-opus-5", thinking=enabled()),
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort" to control thinking behavior.',
        ),
        (
            body("claude-opus-5-5", thinking={"type": "disabled"}),
            '"thinking.type.disabled" is not supported for this model. Use "thinking.type.adaptive"',
        ),
        (
            body("claude-sonnet-5-5", thinking={"type": "disabled"}),
            'To turn thinking off on this model, send "thinking": {"type": "between_tools"}',
        ),
        (
            body("claude-opus-4-6", output_config={"effort": "xhigh"}),
            "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.",
        ),
        (
            body("claude-opus-5", thinking={"type": "disabled"}, output_config={"effort": "xhigh"}),
            "output_config.effort 'xhigh' is not supported when thinking is disabled on this model. "
            "Use effort 'high' or below, or enable thinking.",
        ),
        (
            body("claude-opus-4-6", messages=[*HELLO, {"role": "assistant", "content": "I"}]),
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ),
        (
            body("claude-fable-5-1", tool_choice={"type": "any"}),
            'tool_choice: type "tool" and "any" are not supported for this model.',
        ),
        (
            body(max_tokens=64_001),
            "max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens for",
        ),
        (body(metadata={"user": "x"}), "metadata.user: Extra inputs are not permitted"),
        (body(messages=[{"role": "robot", "content": "x"}]), "messages.0.role: Input should be"),
        (body(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages.0.content.0.text.text: Field"),
    ],
)
def test_refused_in_the_words_of_the_api(raw: dict[str, Any], message: str) -> None:
    error = refusal(raw)
    assert (error.status, error.error_type, error.should_retry) == (400, "invalid_request_error", False)
    assert error.message.startswith(message)


def test_unknown_model_is_not_found_after_the_schema_was_checked() -> None:
    assert refusal(body("claude-sonet-4-5")).message == "model: claude-sonet-4-5"
    assert refusal(body("claude-sonet-4-5")).status == 404
    assert refusal(body("claude-sonet-4-5", foo=1)).status == 400


def test_sampling_belongs_to_the_old_version_and_older_models() -> None:
    assert parse_message(body(temperature=0.7), OLD).mode == "none"
    assert refusal(body("claude-opus-4-8", temperature=0.7), OLD).status == 400
    assert parse_message(body("claude-opus-4-8", temperature=1.0), OLD)
    assert "temperature" in refusal(body(temperature=0.5, thinking=enabled()), OLD).message


def test_version_decides_on_citations_and_documents() -> None:
    cited = [{"role": "user", "content": [{"type": "text", "text": "x", "citations": [{"type": "char_location"}]}]}]
    assert parse_message(body(messages=cited), OLD)
    assert refusal(body(messages=cited)).status == 400


def test_prewarming_asks_for_no_tokens() -> None:
    assert parse_message(body(max_tokens=0), NEW).max_tokens == 0
    for changes in ({"stream": True}, {"output_config": {"format": {"type": "json_schema", "schema": {}}}}):
        assert refusal(body(max_tokens=0, **changes)).status == 400


@pytest.mark.parametrize("model", facts.all_models(), ids=lambda m: m.model_id)
@pytest.mark.parametrize("kind", ["enabled", "adaptive", "disabled", "between_tools"])
def test_models_api_and_rules_agree_on_thinking(model: facts.ModelFacts, kind: str) -> None:
    told = model_info(model)["capabilities"]["thinking"]["types"][kind]["supported"]
    thinking = enabled() if kind == "enabled" else {"type": kind}
    raw = body(model.model_id, thinking=thinking)
    if told:
        assert parse_message(raw, NEW).facts is model
    else:
        assert refusal(raw).status == 400


@pytest.mark.parametrize("model", facts.all_models(), ids=lambda m: m.model_id)
@pytest.mark.parametrize("level", facts.EFFORT_ORDER)
def test_models_api_and_rules_agree_on_effort(model: facts.ModelFacts, level: str) -> None:
    told = model_info(model)["capabilities"]["effort"][level]["supported"]
    raw = body(model.model_id, output_config={"effort": level})
    if told:
        assert parse_message(raw, NEW).effort == level
    else:
        assert refusal(raw).status == 400


def test_defaults_of_the_model_apply() -> None:
    assert parse_message(body(), NEW).mode == "none"
    opus = parse_message(body("claude-opus-5-5"), NEW)
    assert (opus.mode, opus.effort, opus.display) == ("adaptive", "medium", "omitted")
    assert parse_message(body("claude-sonnet-5-5", thinking={"type": "between_tools"}), NEW).mode == "none"


def test_draws_are_named_by_prompt_and_settings_alone() -> None:
    one = parse_message(body(metadata={"user_id": "a"}), NEW).draw_key
    assert parse_message(body(metadata={"user_id": "b"}, stream=True), NEW).draw_key == one
    for other in (body(max_tokens=100), body("claude-opus-4-6"), body(system="Be brief."), body(thinking=enabled())):
        assert parse_message(other, NEW).draw_key != one


def test_counting_needs_no_max_tokens_and_takes_no_stream() -> None:
    raw = body(max_tokens=...)
    assert parse_count(raw, NEW) == parse_message(body(), NEW).input_tokens
    with pytest.raises(ApiError, match=re.escape("stream: Extra inputs are not permitted")):
        parse_count({**raw, "stream": True}, NEW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5000) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "role", "content", "name", "ttl", "effort", "x"]), inner)
    ),
    max_leaves=8,
)
OPTIONS = (
    *("cache_control", "metadata", "output_config", "service_tier", "speed", "stop_sequences"),
    *("stream", "system", "thinking", "tool_choice", "tools"),
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "model": st.just("claude-haiku-4-5") | json_values,
        "max_tokens": st.just(2000) | json_values,
        "messages": st.just(HELLO) | json_values,
        **dict.fromkeys(OPTIONS, json_values),
    },
)


@given(st.builds(lambda base, more: {**base, **more}, st.sampled_from([{}, body()]), bodies) | json_values)
@example(body(tools=5))
@example(body(tool_choice="any"))
@example(body(cache_control={"type": "ephemeral", "ttl": "2h"}))
@example(body(thinking={"type": []}))
@example(body(messages=[{"role": [], "content": "x"}]))
def test_any_body_is_parsed_or_refused_but_never_breaks_the_parser(raw: Any) -> None:
    try:
        parsed = parse_message(raw, NEW)
    except ApiError as error:
        assert error.status in (400, 404)
    else:
        assert parsed.facts.model_id == "claude-haiku-4-5"


def test_cache_lifetimes_are_in_order_and_at_most_four() -> None:
    def marked(*lifetimes: str) -> dict[str, Any]:
        blocks = [
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": ttl}} for ttl in lifetimes
        ]
        return body(messages=[{"role": "user", "content": blocks}])

    assert parse_message(marked("1h", "5m"), NEW).cached
    assert "must not come after" in refusal(marked("5m", "1h")).message
    assert "Found 5" in refusal(marked(*["5m"] * 5)).message


def test_prompt_longer_than_the_window_is_refused() -> None:
    long = [{"role": "user", "content": "word " * 200_000}]
    assert re.match(r"prompt is too long: \d+ tokens > 200000 maximum", refusal(body(messages=long)).message)
    assert parse_message(body("claude-sonnet-4-6", messages=long), NEW)
