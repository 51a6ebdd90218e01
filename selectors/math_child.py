"""Runs in the sandbox: what a LaTeX form is worth, and whether two are the same mathematics, by math-verify."""

from __future__ import annotations

import cmath
import functools
import logging
import zlib
from typing import Any

from math_verify import LatexExtractionConfig, parse, verify
from sympy import Expr, Float

logging.disable(logging.CRITICAL)  # the library warns that it keeps no time; the sandbox does

_PROBE = "7919"  # an ordinary form no answer is likely to equal


def value(form: str) -> list[float] | None:
    """Real and imaginary part of the form; None unless it has one, and then it must stand a comparison."""
    found = _value(form)
    if found is None:
        _same(form, _PROBE)
        return None
    return [found.real, found.imag]


def ask(first: str, second: str | None) -> bool | list[float] | None:
    """The `value` of the first form, or whether it is the same as the second. One function, for one process."""
    return value(first) if second is None else _same(first, second)


@functools.lru_cache(maxsize=4096)
def _parsed(form: str) -> list[Any]:
    """The expressions a form reads as; empty if it is not mathematics. Never a part of it, never a guess."""
    return parse(  # type: ignore[no-any-return]
        f"${form}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None
    )


@functools.lru_cache(maxsize=4096)
def _value(form: str) -> complex | None:
    """The form's numerical value, variables standing for fixed odd numbers; None unless it is one finite expression.

    Equal expressions have equal values wherever their variables stand.
    """
    expressions = _parsed(form)
    if len(expressions) != 1 or not isinstance(expressions[0], Expr):
        return None
    try:
        value = complex(expressions[0].subs({symbol: _stand_in(str(symbol)) for symbol in expressions[0].free_symbols}))
    except (TypeError, ValueError, AttributeError, OverflowError, ZeroDivisionError):
        return None
    return value if cmath.isfinite(value) else None


def _stand_in(symbol: str) -> Float:
    """Between 1 and 2, by the variable's name."""
    return Float(1 + zlib.crc32(symbol.encode()) / 2**32)


def _same(first: str, second: str) -> bool:
    """Whether the forms are equal. math-verify treats gold and target unlike, so both ways are asked."""
    one, other = _parsed(first), _parsed(second)
    if not one or not other:
        return False
    return bool(verify(one, other, timeout_seconds=None) or verify(other, one, timeout_seconds=None))
