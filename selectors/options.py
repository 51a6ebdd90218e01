"""Options of selectors as data: what each takes, and clear words for what it does not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

OptionKind = Literal["choice", "count", "text", "names", "function", "setting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option. A `setting` is checked further by whoever uses it."""

    kind: OptionKind
    default: Any = None  # JSON value
    choices: tuple[str, ...] = ()  # of a choice
    required: bool = False
    at_least: int = 1  # of a count
    at_most: int | None = None  # of a count


def choice(*choices: str) -> Option:
    """One of these words, the default first."""
    return Option(kind="choice", default=choices[0], choices=choices)


def count(default: int, *, at_least: int = 1, at_most: int | None = None) -> Option:
    """A whole number."""
    return Option(kind="count", default=default, at_least=at_least, at_most=at_most)


def text(default: str | None = None, *, required: bool = False) -> Option:
    """Words that are not blank."""
    return Option(kind="text", default=default, required=required)


def names() -> Option:
    """A list of names, none by default."""
    return Option(kind="names", default=())


def function() -> Option:
    """A Python function: file.py:function, relative to the job file, or package.module:function."""
    return Option(kind="function")


def setting(default: Any) -> Option:
    """Any JSON value."""
    return Option(kind="setting", default=default)


def checked(name: str, known: Mapping[str, Option], given: Mapping[Any, Any]) -> dict[str, Any]:
    """The options that were given. Raises ValueError that names the option and the fix."""
    for option in given:
        if option not in known:
            raise ValueError(f"{name}: unknown option {option!r}; {hint(str(option), known)}")
    missing = [option for option, rule in known.items() if rule.required and option not in given]
    if missing:
        raise ValueError(f"{name}.{missing[0]}: missing; write {{{name}: {{{missing[0]}: ...}}}}")
    return {option: _check(f"{name}.{option}", known[option], value) for option, value in given.items()}


def completed(known: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """All options, the defaults of those not given included."""
    return {option: given.get(option, rule.default) for option, rule in known.items()}


def _check(place: str, rule: Option, value: Any) -> Any:
    match rule.kind:
        case "choice" if not isinstance(value, str) or value not in rule.choices:
            raise ValueError(f"{place}: found {value!r}; {hint(str(value), rule.choices)}")
        case "count" if type(value) is not int or value < rule.at_least:
            raise ValueError(f"{place}: found {value!r}; wanted a whole number from {_range(rule)}")
        case "count" if rule.at_most is not None and value > rule.at_most:
            raise ValueError(f"{place}: found {value!r}; wanted a whole number from {_range(rule)}")
        case "text" if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{place}: found {value!r}; wanted a text")
        case "names" if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
            raise ValueError(f"{place}: found {value!r}; wanted a list of names")
        case "function" if not isinstance(value, str) or not all(value.rpartition(":")):
            raise ValueError(f"{place}: found {value!r}; wanted file.py:function or package.module:function")
    return value


def _range(rule: Option) -> str:
    return f"{rule.at_least}" if rule.at_most is None else f"{rule.at_least} to {rule.at_most}"


def hint(found: str, known: Iterable[str]) -> str:
    """What may have been meant, else all there is."""
    names = list(known)
    near = difflib.get_close_matches(found, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there is {', '.join(names) or 'none'}"
