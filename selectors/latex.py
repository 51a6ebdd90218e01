"""One spelling for LaTeX that means the same on paper. Text rewriting only; no algebra."""

from __future__ import annotations

import re
import unicodedata

from polythink.selectors.rationals import parse_rational

_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))
_SIZES = re.compile(r"\\(?:left|right|bigl|bigr|Bigl|Bigr|big|Big|displaystyle|textstyle)(?![a-zA-Z])\.?")
_SPACES = re.compile(r"\\(?:quad|qquad|thinspace|,|;|:|!| )(?![a-zA-Z])|\\[,;:!]|~")
_DEGREES = re.compile(r"\^\s?\{?\s?\\circ\s?\}?|\\degree(?![a-zA-Z])|\u00b0")
_TEXT = re.compile(r"\\(?:text|textbf|textrm|textit|mathrm|mathbf|mathit|mbox|operatorname)\s?\{([^{}\\]*)\}")
_UNIT = re.compile(r"\\(?:text|textrm|mathrm|mbox)\s?\{[^{}\\]*\}(?:\^\{?[23]\}?)?$")
_FRACTIONS = re.compile(r"\\[dtc]frac(?![a-zA-Z])")
_FIRST_ARGUMENT = re.compile(r"\\(frac|sqrt) ?([0-9a-zA-Z])(?=[^a-zA-Z]|[a-zA-Z]$|$)")
_SECOND_ARGUMENT = re.compile(r"(\\frac\{[^{}]*\}) ?([0-9a-zA-Z])")
_LONE_GROUP = re.compile(r"([\^_])\{([0-9a-zA-Z])\}")
_IDLE_SPACE = re.compile(r"(?<![a-zA-Z]) | (?![a-zA-Z])")
_PLAIN_CHARACTERS = {"\u2212": "-", "\u00d7": "\\times ", "\u00b7": "\\cdot ", "\u03c0": "\\pi ", "\u221e": "\\infty "}
_MAX_WRAPPERS = 4


def normalise_latex(answer: str) -> str:
    """The answer in one spelling: no delimiters, sizes, spacing, degrees, dollar signs, units or final full stop.

    A trailing \\text{} is a unit, and dropped, only where a number stands before it; elsewhere it is unwrapped. A
    space stays only between two letters.

    >>> normalise_latex(r"$\\left( 3, \\dfrac{\\pi}{2} \\right)$."), normalise_latex(r"90 \\text{ cm}")
    ('(3,\\\\frac{\\\\pi}{2})', '90')
    """
    text = _unwrap(unicodedata.normalize("NFC", answer))
    for character, spelling in _PLAIN_CHARACTERS.items():
        text = text.replace(character, spelling)
    text = _SPACES.sub(" ", _SIZES.sub("", text))
    text = _DEGREES.sub("", text.replace("\\$", "").replace("\\%", "%"))
    text = _without_unit(text.strip())
    text = _FRACTIONS.sub(r"\\frac", _TEXT.sub(lambda match: match[1].strip(), text))
    text = _IDLE_SPACE.sub("", " ".join(text.split()))
    text = _SECOND_ARGUMENT.sub(r"\1{\2}", _FIRST_ARGUMENT.sub(r"\\\1{\2}", text))
    return _LONE_GROUP.sub(r"\1\2", text)


def _unwrap(text: str) -> str:
    for _ in range(_MAX_WRAPPERS):
        text = text.strip().removesuffix(".").rstrip()
        for opening, closing in _WRAPPERS:
            inner = text[len(opening) : -len(closing)]
            if text.startswith(opening) and text.endswith(closing) and inner and opening not in inner:
                text = inner
                break
        else:
            break
    return text


def _without_unit(text: str) -> str:
    unit = _UNIT.search(text, max(0, len(text) - 100))
    if unit is None:
        return text
    number = text[: unit.start()]
    return number.strip() if parse_rational(number) is not None else text
