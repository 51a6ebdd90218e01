"""Runs in the sandbox: whether two LaTeX forms are the same mathematics, by math-verify."""

from __future__ import annotations

import cmath
import functools
import logging
from typing import Any

from math_verify import LatexExtractionConfig, parse, verify

logging.disable(logging.CRITICAL)  # the library warns that it keeps no time; the sandbox does

_CLEARLY_APART = 1e-4  # relative and absolute; math-verify rounds to 6 decimals


@functools.lru_cache(maxsize=4096)
def _parsed(form: str) -> list[Any]:
    """The expressions a form reads as; empty if it is not mathematics. Never a part of it, never a guess."""
    return parse(  # type: ignore[no-any-return]
        f"${form}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None
    )


@functools.lru_cache(maxsize=4096)
def _value(form: str) -> complex | None:
    """The form's numerical value; None unless it is one finite constant."""
    expressions = _parsed(form)
    try:
        value = complex(expressions[0]) if len(expressions) == 1 else None
    except (TypeError, ValueError, AttributeError, OverflowError):
        return None
    return value if value is not None and cmath.isfinite(value) else None


def same(first: str, second: str) -> bool:
    """Whether the forms are equal. math-verify treats gold and target unlike, so both ways are asked."""
    one, other = _parsed(first), _parsed(second)
    if not one or not other:
        return False
    a, b = _value(first), _value(second)
    if a is not None and b is not None and not cmath.isclose(a, b, rel_tol=_CLEARLY_APART, abs_tol=_CLEARLY_APART):
        return False  # constants that differ visibly need no algebra
    return bool(verify(one, other, timeout_seconds=None) or verify(other, one, timeout_seconds=None))
