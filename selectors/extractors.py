"""The seven ways of reading an answer from a text. All but a user's own pattern are linear in it, whatever it holds.

An extractor returns the answer as written, or None. Trimming and the last checks are done once, in `reading.extract`.
"""

from __future__ import annotations

import json
import re
from typing import Any

import regex as timed_re

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)

_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3}(?![\w]))++|[0-9]++)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.[0-9]++)?|(?<![.\w])\.[0-9]++)(?:[eE][-+]?[0-9]++)?"
_LATEX_FRACTION = r"\\[dtc]?frac\{[-+]?[0-9]++\}\{[-+]?[0-9]++\}"
_NUMBER = re.compile(
    r"(?:(?<![\w)\]}%.])[-+\u2212](?:\\?\$)?)?"  # a sign belongs to the number unless something stands before it
    rf"(?:{_LATEX_FRACTION}|(?<!\w)(?<![0-9]\.){_DECIMAL}(?:\s?/\s?{_DECIMAL})?)"
    r"(?!\w|\.[0-9])(?:\s?\\?%)?"
)

_LETTER = r"[A-E](?![\w'-])"
_NOT_ARTICLE = r"(?!A\s+(?!is\b|because\b|since\b)[a-z])"  # "A dog" has an article, "A is right" a choice
_WHOLE_LETTER = re.compile(r"(?:\\(?:text|textbf|mathrm|mathbf)\{)?\s*\(?\s*([A-Ea-e])\s*\)?\s*[.:]?\s*\}?\.?")
_STATED_LETTER = re.compile(
    r"(?i:\banswer)(?i:\s{1,3}(?:is|would\sbe|should\sbe))?[^\w\n(]{0,12}(?i:(?:option|choice|letter)[^\w\n(]{0,4})?"
    rf"(?:\(([A-Ea-e])\)|({_LETTER}))"
)
_LONE_LETTER = re.compile(rf"(?<![\w'\\-])({_NOT_ARTICLE}{_LETTER})")

PATTERN_SECONDS = 1.0  # of processor time that a user's pattern may take in one text

_FENCE = re.compile(r"^ {0,3}(`{3,}+|~{3,}+)([^\n]*+)\n?", re.MULTILINE)

_SHORT = 64  # characters around a letter that stands alone

_JSON = json.JSONDecoder()
_OBJECT = re.compile(r"\{\s*+[\"}]")
_JSON_WASTE = 2_000_000  # characters read in vain before a text is taken to hold no object
_JSON_DEEP = 100_000  # characters charged for an object nested too deep to read


def boxed(text: str) -> str | None:
    """Content of the last \\boxed{} or \\fbox{}; None if its braces do not balance.

    >>> boxed(r"first \\boxed{1}, then \\boxed{\\frac{1}{2}}")
    '\\\\frac{1}{2}'
    """
    start = None
    for box in _BOX.finditer(text):
        start = box.end()
    if start is None:
        return None
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return text[start : brace.start()]
    return None


def last_number(text: str) -> str | None:
    """The last number that stands on its own: sign, thousands separators, decimals, exponent, a/b, \\frac, percent.

    >>> last_number("GPT4 says 3rd place costs -$1,234.50 each.")
    '-$1,234.50'
    """
    last = None
    for match in _NUMBER.finditer(text):
        last = match[0]
    return last


def pattern(text: str, regex: str) -> str | None:
    """Group 1 of the last match, or the whole match where the expression has no group.

    Raises TimeoutError where the expression backtracks for longer than `PATTERN_SECONDS`.
    """
    last = None
    compiled = timed_re.compile(regex)
    for match in compiled.finditer(text, timeout=PATTERN_SECONDS):
        last = match[1] if compiled.groups else match[0]
    return last


def code(text: str) -> str | None:
    """Content of the last fenced block, between ``` or ~~~ on lines of their own; None if that block never closes.

    As in Markdown, a fence is closed by one of the same character, at least as long and bare.

    >>> code("First:\\n```python\\nx = 1\\n```\\nBetter:\\n```\\nx = 2\\n```\\n")
    'x = 2\\n'
    """
    last, opened, start = None, "", 0
    for fence in _FENCE.finditer(text):
        marks, rest = fence[1], fence[2]
        if not opened:
            if marks[0] == "`" and "`" in rest:
                continue  # inline code that happens to begin a line
            last, opened, start = None, marks, fence.end()
        elif marks[0] == opened[0] and len(marks) >= len(opened) and not rest.strip():
            last, opened = text[start : fence.start()], ""
    return last


def choice(text: str) -> str | None:
    """A letter A to E, upper case: boxed or the whole text, else the last "answer is (B)", else the last lone capital.

    >>> choice("A dog would pick B. The answer is (c)."), choice("I would go with D")
    ('C', 'D')
    """
    for whole in (boxed(text), text):
        if whole is not None and len(whole) < _SHORT and (match := _WHOLE_LETTER.fullmatch(whole.strip())):
            return match[1].upper()
    for expression in (_STATED_LETTER, _LONE_LETTER):
        last = None
        for match in expression.finditer(text):
            last = next(group for group in match.groups() if group)
        if last is not None:
            return last.upper()
    return None


def json_field(text: str, path: str) -> str | None:
    """Value at the dotted path in the last JSON object that has it, fenced or not.

    Text is given as it is, true and false in lower case, lists and objects as compact JSON; null is no answer.

    >>> json_field('```json\\n{"result": {"value": 7}}\\n```', "result.value")
    '7'
    """
    last = None
    for found in _json_objects(text):
        value = _follow(found, path.split("."))
        last = value if value is not None else last
    return last


def _json_objects(text: str) -> list[Any]:
    objects, waste = [], 0
    start = _OBJECT.search(text)
    while start is not None and waste < _JSON_WASTE:
        end = start.start() + 1
        try:
            found, end = _JSON.raw_decode(text, start.start())
            objects.append(found)
        except json.JSONDecodeError as error:  # making one counts the lines before it, hence the thousandth
            waste += error.pos - start.start() + error.pos // 1000 + 1
        except (RecursionError, ValueError):  # nested too deep, or an integer too long to hold
            waste += _JSON_DEEP
        start = _OBJECT.search(text, end)
    return objects


def _follow(value: Any, steps: list[str]) -> str | None:
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
