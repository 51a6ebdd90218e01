"""Remembering bodies is invisible: whatever was read before, a body means what it means when read alone."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.simulator.api_errors import ApiError
from polythink.simulator.bodies import LARGEST_REMEMBERED, BodyReader, sample_slot
from polythink.simulator.request import MessageRequest

VERSION = "2026-10-21"
samples = st.sampled_from(["s1", "s2", "-", "a b", "é", "", 'q"', "x" * 256, "x" * 257])
prompts = st.sampled_from(["Hi", '{"metadata":{"user_id":"s1"}}', '"metadata":{"user_id":"s1"}', 'end\\","metadata'])


def member(name: str, value: Any) -> str:
    return f"{json.dumps(name)}:{json.dumps(value, separators=(',', ':'), ensure_ascii=False)}"


def metadata(sample: str, spaced: bool) -> str:
    return f'"metadata": {{"user_id": {json.dumps(sample)}}}' if spaced else member("metadata", {"user_id": sample})


def tool(sample: str) -> dict[str, Any]:
    return {"name": "t", "input_schema": {"type": "object", "metadata": {"user_id": sample}}}


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    members = [
        member("model", draw(st.sampled_from(["claude-haiku-4-5", "claude-none"]))),
        member("max_tokens", draw(st.sampled_from([64, 65]))),
        member("messages", [{"role": "user", "content": draw(prompts)}]),
    ]
    members += [
        metadata(sample, spaced) for sample, spaced in draw(st.lists(st.tuples(samples, st.booleans()), max_size=2))
    ]
    members += [member("tools", [tool(sample)]) for sample in draw(st.lists(samples, max_size=1))]
    return f"{{{','.join(draw(st.permutations(members)))}}}".encode()


def meaning(reader: BodyReader, raw: bytes) -> object:
    """What a body is read as, its own metadata aside; or how it is refused."""
    try:
        request, sample = reader.read(raw, VERSION)
    except ApiError as error:
        return error.status, error.message
    body = {name: value for name, value in request.body.items() if name != "metadata"}
    return sample, body, [getattr(request, one.name) for one in fields(MessageRequest) if one.name != "body"]


@given(st.lists(bodies(), min_size=1, max_size=8))
def test_a_body_means_the_same_whatever_was_read_before(raws: list[bytes]) -> None:
    warm = BodyReader()
    assert [meaning(warm, raw) for raw in raws] == [meaning(BodyReader(), raw) for raw in raws]


def body_of(sample: str, **changes: Any) -> bytes:
    body = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}], **changes}
    return json.dumps({**body, "metadata": {"user_id": sample}}, separators=(",", ":")).encode()


def test_samples_of_one_prompt_share_a_request_and_other_prompts_do_not() -> None:
    reader = BodyReader()
    first, second = reader.read(body_of("s1"), VERSION), reader.read(body_of("s2"), VERSION)
    assert first[0] is second[0]
    assert (first[1], second[1]) == ("s1", "s2")
    assert reader.read(body_of("s1", max_tokens=65), VERSION)[0] is not first[0]
    assert reader.read(body_of("s1"), "2023-06-01")[0] is not first[0]


def test_large_bodies_are_not_remembered() -> None:
    reader, large = BodyReader(), [{"role": "user", "content": "x" * LARGEST_REMEMBERED}]
    assert (
        reader.read(body_of("s1", messages=large), VERSION)[0]
        is not reader.read(body_of("s1", messages=large), VERSION)[0]
    )


@pytest.mark.parametrize("sample", ["", "a b", 'a"b', "a\\u0062", "é", "x" * 257])
def test_only_plain_samples_have_a_slot(sample: str) -> None:
    assert sample_slot(body_of(sample)) is None
    assert sample_slot(body_of("plain-1.2:3")) is not None
