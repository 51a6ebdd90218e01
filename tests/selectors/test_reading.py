"""Reading answers out of texts, friendly and hostile."""

from __future__ import annotations

import time

import pytest

from polythink.records import AnswerRule, Extraction
from polythink.selectors.reading import check_rule, extract, gold_form, read_sample

BOXED = AnswerRule(extraction="boxed")
NUMBER = AnswerRule(extraction="last_number", equivalence="number")
CHOICE = AnswerRule(extraction="choice", equivalence="string")
CODE = AnswerRule(extraction="code", equivalence="lines")
JSON = AnswerRule(extraction="json", json_path="result.0.value", equivalence="string")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{1} then \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{a} then \fbox{b}", "b"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{1} then \boxed{2", None),
        (r"\boxed{  }", None),
        (r"put it in \boxed", None),
        ("no box", None),
    ],
)
def test_last_balanced_box_wins(text: str, answer: str | None) -> None:
    assert extract(text, BOXED) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("10-5", "5"),
        ("it is -5.", "-5"),
        ("a = \u22127", "\u22127"),
        ("costs -$1,234.50 in all", "-$1,234.50"),
        ("1,2,3", "3"),
        ("about 3/4 of it", "3/4"),
        (r"so -\frac{1}{2}", r"-\frac{1}{2}"),
        ("50%", "50%"),
        ("6.02e23", "6.02e23"),
        ("GPT4 came 3rd, weighs 5kg, v1.2.3", None),
        ("wait...5", "5"),
    ],
)
def test_last_number_that_stands_alone(text: str, answer: str | None) -> None:
    assert extract(text, NUMBER) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"B? No: \boxed{\text{C}}", "C"),
        ("The answer is (b). A dog agrees.", "B"),
        ("Answer: **D**", "D"),
        ("The answer is A because of B", "A"),
        ("First B, then I settled on E.", "E"),
        ("A dog has no choice", None),
    ],
)
def test_choice_prefers_box_then_statement_then_lone_letter(text: str, answer: str | None) -> None:
    assert extract(text, CHOICE) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('```json\n{"result": [{"value": 7}]}\n``` over {x}', "7"),
        ('{"result": [{"value": "a"}]} {"result": [{"value": true}]}', "true"),
        ('{"result": [{"value": [1, 2]}]} {"other": 1}', "[1,2]"),
        ('{"result": [{"value": null}]}', None),
        ('{"result": [{"value": "\\ud800"}]}', "?"),
        ('{"result": [', None),
    ],
)
def test_last_json_object_with_the_path_wins(text: str, answer: str | None) -> None:
    assert extract(text, JSON) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("```python\nx = 1\n```\nthen\n~~~\ny = 2\n~~~", "y = 2"),
        ("```\n    indented\n  less\n```", "    indented\n  less"),
        ("````md\n```\ninner\n```\n````", "```\ninner\n```"),
        ("```\nwhole\n```\n```python\ncut off", None),
        ("```inline``` is no block", None),
        ("```\n\n```", None),
        ("no code", None),
        ("```js\na\r\n```", "a"),
    ],
)
def test_last_closed_code_block_wins(text: str, answer: str | None) -> None:
    assert extract(text, CODE) == answer


def test_endless_pattern_costs_its_own_row_a_second() -> None:
    rule = AnswerRule(extraction="regex", pattern=r"(a|aa)+$", equivalence="string")
    started = time.process_time()
    texts = ("a" * 5_000 + "!", "so aaa")
    readings = [read_sample(text=text, stop_reason="end_turn", failed=False, rule=rule) for text in texts]
    assert [(reading.outcome, reading.answer) for reading in readings] == [("no_answer", None), ("answered", "a")]
    assert time.process_time() - started < 5


def test_regex_takes_group_one_of_the_last_match() -> None:
    assert extract("Answer: 1\nAnswer: 2 ", AnswerRule(extraction="regex", pattern=r"Answer:(.*)")) == "2"
    assert extract("x1 x2", AnswerRule(extraction="regex", pattern=r"x\d")) == "x2"


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (AnswerRule(extraction="regex"), "pattern"),
        (AnswerRule(extraction="regex", pattern="("), "pattern"),
        (AnswerRule(extraction="json"), "json_path"),
    ],
)
def test_unusable_rule_names_its_field(rule: AnswerRule, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}:"):
        check_rule(rule)


@pytest.mark.parametrize(
    ("text", "stop_reason", "failed", "outcome", "answer"),
    [
        (r"\boxed{1}", "end_turn", False, "answered", "1"),
        ("nothing", "end_turn", False, "no_answer", None),
        (r"\boxed{1}", "refusal", False, "refused", None),
        (r"\boxed{1} and", "max_tokens", False, "answered", "1"),
        (r"\boxed{1", "max_tokens", False, "truncated", None),
        ("", "model_context_window_exceeded", False, "truncated", None),
        (r"\boxed{1}", "end_turn", True, "failed", None),
    ],
)
def test_outcome_rules(text: str, stop_reason: str, failed: bool, outcome: str, answer: str | None) -> None:
    reading = read_sample(text=text, stop_reason=stop_reason, failed=failed, rule=BOXED)
    assert (reading.outcome, reading.answer, reading.correct) == (outcome, answer, None)


def test_gold_is_read_like_an_answer() -> None:
    assert gold_form("Adding up.\n#### 1,018", NUMBER) == "1018"
    assert gold_form(r"so \boxed{\dfrac{2}{4}}", BOXED) == "1/2"
    assert gold_form("(b)", CHOICE) == "B"
    assert gold_form(r"p - q", BOXED) == "p-q"


MEGABYTE = 1_000_000
HOSTILE = {
    "digits": "1" * MEGABYTE + "x",
    "thousands": "111," * (MEGABYTE // 4) + "222x",
    "boxes": "\\boxed{" * (MEGABYTE // 7),
    "spaces after a box": "\\boxed" + " " * MEGABYTE,
    "articles": "A " * (MEGABYTE // 2),
    "statements": "answer is " * (MEGABYTE // 10),
    "nested objects": '{"a":' * (MEGABYTE // 5),
    "broken objects": '{"a' * (MEGABYTE // 3),
    "braces": "{" * MEGABYTE,
    "minus signs": "-" * MEGABYTE,
    "fractions": "\\frac{1}{" * (MEGABYTE // 9),
    "control characters": "\0\x1b\x7f" * (MEGABYTE // 3),
    "texts": "\\text{" * (MEGABYTE // 6),
    "carets": "9^" * (MEGABYTE // 2),
    "fences": "```\n" * (MEGABYTE // 4),
    "long fences": "`" * MEGABYTE,
    "backslashes": "\\" * MEGABYTE,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_megabyte_of_hostile_text_costs_no_more_than_its_length(name: str) -> None:
    started = time.process_time()
    extractions: tuple[Extraction, ...] = ("boxed", "last_number", "choice", "json", "code", "verbatim")
    for extraction in extractions:
        rule = AnswerRule(extraction=extraction, json_path="a")
        read_sample(text=HOSTILE[name], stop_reason=None, failed=False, rule=rule)
    assert time.process_time() - started < 10  # quadratic work would take hours
