"""Selectors by name, with the options each takes. A new selector is a module of its own and one entry here."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from polythink.selectors.curves import CurveFunction
from polythink.selectors.first import First
from polythink.selectors.majority import Majority
from polythink.selectors.majorityk import majority_curve
from polythink.selectors.passk import first_curve
from polythink.selectors.votes import Selector

PASS, ALL = "pass", "all"  # the curves of pass@n and pass^n, which select nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectorConfig:
    """A selector as a job asks for it. Made by `parse_selector`, which checks it."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectorKind:
    """What the registry knows of a selector."""

    options: Mapping[str, tuple[str, ...]]  # option -> the values it takes, the default first
    make: Callable[[Mapping[str, str], int], Selector]  # from options and seed
    curve: Callable[[int], CurveFunction]  # its expectation over k-subsets, from the seed


def _majority(options: Mapping[str, str], seed: int) -> Selector:
    return Majority(ties="seeded" if options.get("ties") == "seeded" else "first", seed=seed)


SELECTORS: Mapping[str, SelectorKind] = {
    "majority": SelectorKind(
        options={"ties": ("first", "seeded")},
        make=_majority,
        curve=lambda seed: partial(majority_curve, seed=seed),
    ),
    "first": SelectorKind(options={}, make=lambda options, seed: First(), curve=lambda seed: first_curve),
}


def parse_selector(value: object) -> SelectorConfig:
    """A selector from a job file: a name, or one name with its options. Raises ValueError that names the fix.

    >>> parse_selector({"majority": {"ties": "seeded"}})
    SelectorConfig(name='majority', options={'ties': 'seeded'})
    """
    if isinstance(value, str):
        name, options = value, None
    elif isinstance(value, Mapping) and len(value) == 1:
        name, options = next(iter(value.items()))
    else:
        raise ValueError(f"found {value!r}; wanted a selector's name, or one name with its options")
    if not isinstance(name, str) or name not in SELECTORS:
        raise ValueError(f"unknown selector {name!r}; {_hint(str(name), SELECTORS)}")
    if not isinstance(options, Mapping | None):
        raise ValueError(f"{name}: found {options!r}; wanted its options, as in {{majority: {{ties: seeded}}}}")
    checked = {str(option): _check(name, str(option), choice) for option, choice in (options or {}).items()}
    return SelectorConfig(name=name, options=checked)


def _check(name: str, option: str, choice: object) -> str:
    known = SELECTORS[name].options
    if option not in known:
        raise ValueError(f"{name}: unknown option {option!r}; {_hint(option, known)}")
    if not isinstance(choice, str) or choice not in known[option]:
        raise ValueError(f"{name}.{option}: found {choice!r}; {_hint(str(choice), known[option])}")
    return choice


def _hint(found: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(found, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there is {', '.join(names) or 'none'}"
