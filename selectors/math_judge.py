"""Asks math-verify which different forms are equal, in a process that can be killed, each question once."""

from __future__ import annotations

import cmath
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from polythink.errors import SandboxError
from polythink.selectors.equivalence import may_be_equal
from polythink.selectors.rationals import parse_rational
from polythink.selectors.sandbox import Sandbox, SandboxLimits

_FUNCTION = f"{Path(__file__).with_name('math_child.py')}:ask"
_CLEARLY_APART = 1e-4  # relative and absolute; math-verify rounds to 6 decimals
_REMEMBERED = 200_000  # verdicts and values kept
LIMITS = SandboxLimits(seconds=5.0, memory_bytes=2**30)


class MathJudge:
    """A `PairJudge` by math-verify. Context manager; the child process starts at the first question.

    A form is first asked for its value. One that cannot stand that in time, memory or sense is hostile, and never asked
    about again: it costs one time limit, however many answers it is up against. Forms whose values differ visibly
    need no algebra: of each form, and not of each pair, the child is asked.
    """

    def __init__(self, limits: SandboxLimits = LIMITS) -> None:
        self._sandbox = Sandbox(_FUNCTION, limits=limits, quiet=True)
        self._verdicts: dict[tuple[str, str], bool] = {}
        self._values: dict[str, complex | None] = {}  # of sound forms; None where a form has none
        self._hostile: set[str] = set()

    def same(self, form: str, others: Sequence[str]) -> list[bool]:
        """Whether the form equals each of the others. Equal text is equal; what cannot be compared is not."""
        if len(self._verdicts) + len(self._values) > _REMEMBERED:
            self._verdicts.clear()
            self._values.clear()
            self._hostile.clear()
        compared = [other for other in dict.fromkeys(others) if may_be_equal(form, other)]
        self._learn([form, *compared] if compared else [])
        asked = [other for other in compared if self._is_open(form, other)]
        for other, verdict in zip(asked, self._ask(form, asked), strict=True):
            self._verdicts[_pair(form, other)] = verdict
        return [form == other or self._verdicts.get(_pair(form, other), False) for other in others]

    def _is_open(self, form: str, other: str) -> bool:
        if form == other or _pair(form, other) in self._verdicts or not self._hostile.isdisjoint((form, other)):
            return False
        a, b = self._values[form], self._values[other]
        return a is None or b is None or cmath.isclose(a, b, rel_tol=_CLEARLY_APART, abs_tol=_CLEARLY_APART)

    def _learn(self, forms: Sequence[str]) -> None:
        """The value of each form not yet known: a number's is its own, of others the child is asked."""
        unknown = [form for form in dict.fromkeys(forms) if form not in self._values and form not in self._hostile]
        numbers = {form: value for form in unknown if (value := _number(form)) is not None}
        probed = [form for form in unknown if form not in numbers]
        self._values |= numbers
        for form, result in zip(probed, self._sandbox.call([(form, None) for form in probed]), strict=True):
            if isinstance(result, SandboxError):
                self._hostile.add(form)
            else:
                self._values[form] = None if result is None else complex(*result)

    def _ask(self, form: str, others: Sequence[str]) -> list[bool]:
        """Verdicts in order. Two forms may each be sound and their comparison endless: the form then stands alone."""
        verdicts: list[bool] = []
        for other in others:
            result = self._sandbox.call([(form, other)])[0]
            verdicts.append(result is True)
            if isinstance(result, SandboxError):
                self._hostile.add(form)
                break
        return verdicts + [False] * (len(others) - len(verdicts))

    @property
    def hostile(self) -> frozenset[str]:
        """The forms that could not stand a comparison in time, memory or sense, and are equal to themselves only."""
        return frozenset(self._hostile)

    def close(self) -> None:
        self._sandbox.close()

    def __enter__(self) -> MathJudge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _pair(first: str, second: str) -> tuple[str, str]:
    return (first, second) if first < second else (second, first)


def _number(form: str) -> complex | None:
    rational = parse_rational(form)
    try:
        return None if rational is None else complex(float(rational))
    except OverflowError:
        return None
