"""What one sample says: its answer, and what became of it. Nothing is graded here."""

from __future__ import annotations

import regex

from polythink.records import AnswerRule, Outcome, Reading
from polythink.selectors import extractors
from polythink.selectors.equivalence import canonical

CUT_SHORT = frozenset({"max_tokens", "model_context_window_exceeded"})  # stop reasons of an unfinished text


def check_rule(rule: AnswerRule) -> None:
    """Raise ValueError, naming the field and the fix, if no text could ever be read by the rule."""
    if rule.extraction == "regex":
        if not rule.pattern:
            raise ValueError("pattern: missing; extraction 'regex' needs a regular expression")
        try:
            regex.compile(rule.pattern)
        except regex.error as error:
            raise ValueError(f"pattern: {rule.pattern!r} is not a regular expression: {error}") from error
    if rule.extraction == "json" and not rule.json_path:
        raise ValueError("json_path: missing; extraction 'json' needs the dotted path of a field, as in result.value")


def extract(text: str, rule: AnswerRule) -> str | None:
    """The answer in the text under the rule, trimmed; None if there is none or it is blank.

    Raises ValueError if the rule lacks what its extraction needs (see `check_rule`), TimeoutError where its pattern
    backtracks without end.
    """
    answer = _extract(text, rule)
    if answer is None or not answer.strip():
        return None
    trimmed = answer.strip("\n").rstrip() if rule.extraction == "code" else answer.strip()  # the first line's indent
    # A lone surrogate (a JSON escape can make one) has no UTF-8 form and could not be stored.
    return trimmed.encode("utf-8", "replace").decode("utf-8")


def _extract(text: str, rule: AnswerRule) -> str | None:
    match rule.extraction:
        case "boxed":
            return extractors.boxed(text)
        case "last_number":
            return extractors.last_number(text)
        case "choice":
            return extractors.choice(text)
        case "code":
            return extractors.code(text)
        case "verbatim":
            return text
    check_rule(rule)
    if rule.extraction == "regex":
        return extractors.pattern(text, rule.pattern or "")
    return extractors.json_field(text, rule.json_path or "")


def read_sample(*, text: str, stop_reason: str | None, failed: bool, rule: AnswerRule) -> Reading:
    """Outcome, answer and canonical answer of one finished sample, ungraded (`correct` is None).

    A failed attempt is `failed`; a refusal is `refused`, whatever text came with it; a text cut short is `answered`
    if an answer can be read all the same, else `truncated`; any other text is `answered` or `no_answer`. Where the
    user's pattern runs out of time there is no answer.
    """
    if failed:
        return _ungraded("failed", None, rule)
    if stop_reason == "refusal":
        return _ungraded("refused", None, rule)
    try:
        answer = extract(text, rule)
    except TimeoutError:
        answer = None
    if answer is not None:
        return _ungraded("answered", answer, rule)
    return _ungraded("truncated" if stop_reason in CUT_SHORT else "no_answer", None, rule)


def _ungraded(outcome: Outcome, answer: str | None, rule: AnswerRule) -> Reading:
    form = canonical(answer, rule.equivalence) if answer is not None else None
    return Reading(outcome=outcome, answer=answer, canonical_answer=form, correct=None)


def gold_form(gold: str | None, rule: AnswerRule) -> str | None:
    """Canonical form of a reference answer: read like a sample's where that finds something, else taken as it stands.

    A gold of `The answer is \\boxed{7}`, `#### 7` or `(B)` so meets the answers read by the same rule; patterns and
    paths are written for the model's text and are not tried on it.
    """
    if gold is None:
        return None
    read = extract(gold, rule) if rule.extraction in ("boxed", "last_number", "choice") else None
    return canonical(read or gold, rule.equivalence)
