"""Asks math-verify which different forms are equal, in a process that can be killed, each question once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from polythink.errors import SandboxError
from polythink.selectors.equivalence import may_be_equal
from polythink.selectors.sandbox import Sandbox, SandboxLimits

_FUNCTION = f"{Path(__file__).with_name('math_child.py')}:same"
_PROBE = "7919"  # an ordinary form no answer is likely to equal
_REMEMBERED = 200_000  # verdicts and probes kept
LIMITS = SandboxLimits(seconds=5.0, memory_bytes=2**30)


class MathJudge:
    """A `PairJudge` by math-verify. Context manager; the child process starts at the first question.

    A form is first compared with a plain number. One that cannot stand that in time, memory or sense is hostile, and
    never asked about again: it costs one time limit, however many answers it is up against.
    """

    def __init__(self, limits: SandboxLimits = LIMITS) -> None:
        self._sandbox = Sandbox(_FUNCTION, limits=limits, quiet=True)
        self._verdicts: dict[tuple[str, str], bool] = {}
        self._sound: dict[str, bool] = {}

    def same(self, form: str, others: Sequence[str]) -> list[bool]:
        """Whether the form equals each of the others. Equal text is equal; what cannot be compared is not."""
        if len(self._verdicts) + len(self._sound) > _REMEMBERED:
            self._verdicts.clear()
            self._sound.clear()
        self._probe([form, *others])
        asked = [other for other in dict.fromkeys(others) if self._is_open(form, other)]
        for other, verdict in zip(asked, self._ask(form, asked), strict=True):
            self._verdicts[_pair(form, other)] = verdict
        return [form == other or self._verdicts.get(_pair(form, other), False) for other in others]

    def _is_open(self, form: str, other: str) -> bool:
        if _pair(form, other) in self._verdicts or not may_be_equal(form, other) or form == other:
            return False
        return self._sound[form] and self._sound[other]

    def _probe(self, forms: Sequence[str]) -> None:
        unknown = [form for form in dict.fromkeys(forms) if form not in self._sound]
        probed = [form for form in unknown if may_be_equal(form, _PROBE)]
        self._sound |= dict.fromkeys(unknown, True)
        for form, result in zip(probed, self._sandbox.call([(form, _PROBE) for form in probed]), strict=True):
            self._sound[form] = not isinstance(result, SandboxError)

    def _ask(self, form: str, others: Sequence[str]) -> list[bool]:
        """Verdicts in order. Two forms may each be sound and their comparison endless: the form then stands alone."""
        verdicts: list[bool] = []
        for other in others:
            result = self._sandbox.call([(form, other)])[0]
            verdicts.append(result is True)
            if isinstance(result, SandboxError):
                self._sound[form] = False
                break
        return verdicts + [False] * (len(others) - len(verdicts))

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
