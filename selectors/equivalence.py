"""When two answers are the same: canonical forms, and classes of forms.

Equal canonical forms are the same answer: exact, cheap, and enough for `string` and `number`. Under `math`, different
forms may still be equal (`2\\sqrt{2}` and `\\sqrt{8}`), which a judge of pairs decides.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Protocol

from polythink.records import Equivalence
from polythink.selectors.dates import parse_date
from polythink.selectors.latex import normalise_latex
from polythink.selectors.rationals import parse_rational
from polythink.selectors.units import plain_quantity

MAX_JUDGED_LENGTH = 500  # characters; a longer form is equal to itself only
_WORDS = re.compile(r"[^\W\d_]{2,}(?:[ '-][^\W\d_]+)*")
_TOWER = re.compile(r"[0-9]\}?\)?(?:\^|\*\*)[{( ]{0,3}[0-9]+[})]?(?:\^|\*\*|!)")
_HUGE_POWER = re.compile(r"(?:\^|\*\*)[{( ]{0,3}[-+]?[0-9]{5,}")
_HUGE_FACTORIAL = re.compile(r"[0-9]{4,}[)}]?!|!!!|!\)!")


class PairJudge(Protocol):
    """Decides whether one form equals each of several others. Must be symmetric and remember nothing that matters."""

    def same(self, form: str, others: Sequence[str]) -> list[bool]: ...


def canonical(answer: str, equivalence: Equivalence) -> str | None:
    """The form under which equal answers meet; None for a blank answer.

    `string`: Unicode NFC, runs of whitespace made one space. `number`: the exact rational, as `7` or `-3/4`, a unit
    written after it dropped, or the day as `2024-03-05`; what is neither falls back to `string`. `math`: the same,
    with normalised LaTeX as the fall-back. `lines`: NFC, common indent and white space at line ends removed.

    >>> canonical("1,234.0 km", "number"), canonical(r"\\dfrac{1}{2}", "math"), canonical(" a  b ", "string")
    ('1234', '1/2', 'a b')
    """
    if equivalence == "lines":
        return _lines(answer) or None
    plain = " ".join(unicodedata.normalize("NFC", answer).split())
    if equivalence == "string":
        return plain or None
    number, day = parse_rational(plain_quantity(answer)), parse_date(plain)
    if number is None and day is None and equivalence == "math":
        plain = normalise_latex(answer) or plain
        number = parse_rational(plain_quantity(plain))
    if number is not None:
        return str(number)
    return day or parse_date(plain) or plain or None


def _lines(answer: str) -> str:
    dedented = textwrap.dedent(unicodedata.normalize("NFC", answer).expandtabs())
    return "\n".join(line.rstrip() for line in dedented.splitlines()).strip("\n")


def class_map(forms: Iterable[str], judge: PairJudge | None) -> dict[str, str]:
    """Each form's class, named by the shortest (then first in order) form in it.

    Depends on the set of forms alone, not on their order. Without a judge every form is a class of its own. Where the
    judge is not transitive, a form joins the first class, in that order, whose name it equals.
    """
    ordered = sorted(set(forms), key=lambda form: (len(form), form))
    if judge is None or are_told_apart(ordered):
        return {form: form for form in ordered}
    classes: dict[str, str] = {}
    names: list[str] = []
    for form in ordered:
        open_names = [name for name in names if may_be_equal(name, form)]
        verdicts = judge.same(form, open_names) if open_names else []
        found = next((name for name, equal in zip(open_names, verdicts, strict=True) if equal), None)
        classes[form] = form if found is None else found
        if found is None:
            names.append(form)
    return classes


def are_told_apart(forms: Iterable[str]) -> bool:
    """Whether these canonical forms need no judge: numbers, which were compared exactly, or all of one kind."""
    distinct = set(forms)
    return len(distinct) < 2 or all(_is_number(form) for form in distinct)


def may_be_equal(first: str, second: str) -> bool:
    """Whether two different canonical forms are worth a judge's time.

    Two rationals are not: they were compared exactly. Plain words, very long forms and powers or factorials too large
    to write out are equal to themselves only.
    """
    if not (is_judged(first) and is_judged(second)):
        return False
    return not (_is_number(first) and _is_number(second))


@lru_cache(maxsize=65_536)
def _is_number(form: str) -> bool:
    return parse_rational(form) is not None


@lru_cache(maxsize=65_536)
def is_judged(form: str) -> bool:
    """Whether a form is mathematics of a size that can be compared."""
    if len(form) > MAX_JUDGED_LENGTH or _WORDS.fullmatch(form) or parse_date(form) == form:
        return False
    return not (_TOWER.search(form) or _HUGE_POWER.search(form) or _HUGE_FACTORIAL.search(form))
