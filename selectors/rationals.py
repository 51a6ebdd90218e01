"""Numbers as people and models write them, read as exact rationals."""

from __future__ import annotations

import re
from fractions import Fraction

MAX_LENGTH = 400  # characters; anything longer is text, however many digits it has
_MAX_EXPONENT = 400  # powers of ten

_DECIMAL = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?|[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_TEN = r"(?:\\times|\\cdot|\*|\u00d7|\u00b7)10(?:\^|\*\*)"
_POWER = rf"(?:[eE](?P<e>[-+]?[0-9]{{1,4}})|{_TEN}\{{?(?P<p>[-+]?[0-9]{{1,4}})\}}?)"
_PLAIN = re.compile(rf"(?P<sign>[-+]?)(?P<a>{_DECIMAL}){_POWER}?(?:/(?P<bs>[-+]?)(?P<b>{_DECIMAL}))?(?P<percent>%?)")
_FRACTION = re.compile(
    rf"(?P<sign>[-+]?)(?P<whole>[0-9]{{0,50}})\\frac\{{(?P<as>[-+]?)(?P<a>{_DECIMAL})\}}\{{(?P<bs>[-+]?)(?P<b>{_DECIMAL})\}}(?P<percent>%?)"
)
_DROPPED = ("\\$", "$", "\\,", "\\!", "\\;", "\\:", "\\ ", "\\left", "\\right", "\\(", "\\)", "\\[", "\\]")
_REPLACED = (("\u2212", "-"), ("\\%", "%"), ("{,}", ","), ("\\dfrac", "\\frac"), ("\\tfrac", "\\frac"))
_SHORT_FRACTION = re.compile(r"\\frac([0-9])([0-9])(?![0-9])")


def parse_rational(text: str) -> Fraction | None:
    """The number the whole text is, exactly; None if it is not one.

    Read: sign, thousands separators, decimals, a/b, \\frac and mixed numbers, percent (a hundredth), powers of ten
    (`1.5e3`, `1.5 \\times 10^{3}`), dollar signs and LaTeX spacing, one final full stop.

    >>> parse_rational("1,234.0"), parse_rational(r"\\tfrac{3}{6}"), parse_rational("50%"), parse_rational("12 apples")
    (Fraction(1234, 1), Fraction(1, 2), Fraction(1, 2), None)
    """
    if len(text) > MAX_LENGTH:
        return None
    bare = _bare(text)
    try:
        if match := _PLAIN.fullmatch(bare):
            return _plain(match)
        if match := _FRACTION.fullmatch(bare):
            return _fraction(match)
    except ZeroDivisionError:
        return None
    return None


def _bare(text: str) -> str:
    for part in _DROPPED:
        text = text.replace(part, "")
    for old, new in _REPLACED:
        text = text.replace(old, new)
    return _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", "".join(text.split()).removesuffix("."))


def _plain(match: re.Match[str]) -> Fraction | None:
    exponent = int(match["e"] or match["p"] or 0)
    if abs(exponent) > _MAX_EXPONENT:
        return None
    value = _decimal(match["a"]) * Fraction(10) ** exponent
    if match["b"] is not None:
        value /= _signed(match["bs"], _decimal(match["b"]))
    return _signed(match["sign"], value) / (100 if match["percent"] else 1)


def _fraction(match: re.Match[str]) -> Fraction | None:
    part = _signed(match["as"], _decimal(match["a"])) / _signed(match["bs"], _decimal(match["b"]))
    if match["whole"] and not 0 <= part < 1:  # 3\frac{5}{2} is not a way to write a number
        return None
    return _signed(match["sign"], Fraction(int(match["whole"] or 0)) + part) / (100 if match["percent"] else 1)


def _decimal(digits: str) -> Fraction:
    return Fraction(digits.replace(",", ""))


def _signed(sign: str, value: Fraction) -> Fraction:
    return -value if sign == "-" else value
