"""Selectors by name, with the options each takes. A new selector is a module of its own and one entry here.

A package of somebody else's adds selectors by entry points of the group `polythink.selectors`: each names a
`SelectorKind`, and is found by the entry point's name. It is loaded when it is first asked for: a package that is
broken breaks what asks for its selectors, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from polythink.errors import PolythinkError
from polythink.selectors import options as option
from polythink.selectors.bestofk import best_curve
from polythink.selectors.curves import CurveFunction
from polythink.selectors.first import RULE as FIRST_RULE
from polythink.selectors.first import First
from polythink.selectors.genselect import BEST, CONSISTENT, Genselect
from polythink.selectors.judging import Judge
from polythink.selectors.learning import FEWEST_FOLDS, MOST_FOLDS
from polythink.selectors.majority import Majority
from polythink.selectors.majorityk import majority_curve
from polythink.selectors.options import Option, hint
from polythink.selectors.pairwise import CRITERION, Pairwise
from polythink.selectors.passk import first_curve
from polythink.selectors.pointwise import RUBRIC, Pointwise
from polythink.selectors.scored import BEST_RULE, WEIGHTED_RULE, Best, Weighted
from polythink.selectors.scorerk import scorer_curve
from polythink.selectors.sources import check_expression
from polythink.selectors.tournaments import Knockout, Swiss
from polythink.selectors.votes import Rule, Selector
from polythink.selectors.weightedk import weighted_curve

PASS, ALL = "pass", "all"  # the curves of pass@n and pass^n, which select nothing
GROUP = "polythink.selectors"  # entry points of other packages
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_LENGTH = "coalesce(output_tokens, length(coalesce(thinking, '')) + length(coalesce(text, '')))"
Options = Mapping[str, Any]  # all of a selector's, defaults included


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectorConfig:
    """A selector as a job asks for it. Made by `parse_selector`, which checks it."""

    name: str  # of its kind
    options: Options = field(default_factory=dict)  # those that were given
    label: str = ""  # what its rows are called; empty: as its kind

    @property
    def row_name(self) -> str:
        """As `selections.selector` has it."""
        return self.label or self.name

    @property
    def kind(self) -> SelectorKind:
        return kind_of(self.name)

    @property
    def settings(self) -> Options:
        """All options, defaults included."""
        return option.completed(self.kind.options, self.options)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectorKind:
    """What the registry knows of a selector.

    One with an `expression`, a `function`, a `judge` or `learns` gets a score for each vote.
    """

    options: Mapping[str, Option]
    make: Callable[[Options, int], Selector]  # from options and seed
    curve: Callable[[Options, int], CurveFunction | None]  # its expectation over k-subsets; None: it has none
    expression: Callable[[Options], str | None] = lambda settings: None  # SQL over traces that gives the score
    function: Callable[[Options], str | None] = lambda settings: None  # in Python, whose kept values are the score
    learns: bool = False  # the score from what was graded
    judge: Callable[[Options], Judge] | None = None  # asks for verdicts that give the score
    rule: Callable[[Options], Rule] = lambda settings: Rule()  # in words, where selections are explained
    check: Callable[[Options], None] = lambda settings: None  # raises ValueError for what does not fit together


def _by_use(settings: Options, seed: int) -> Selector:
    return Weighted() if settings.get("use") == "weighted" else Best()


def _rule_by_use(settings: Options) -> Rule:
    return WEIGHTED_RULE if settings.get("use") == "weighted" else BEST_RULE


def _curve_by_use(settings: Options, seed: int) -> CurveFunction:
    return partial(weighted_curve, seed=seed) if settings.get("use") == "weighted" else best_curve


def _by_expression(rule: Literal["best", "weighted"]) -> SelectorKind:
    return SelectorKind(
        options={"by": option.text(), "python": option.function()},
        make=lambda settings, seed: _by_use({"use": rule}, seed),
        curve=lambda settings, seed: _curve_by_use({"use": rule}, seed),
        expression=lambda settings: settings["by"],
        function=lambda settings: settings["python"],
        rule=lambda settings: _rule_by_use({"use": rule}),
        check=partial(_check_scored, rule),
    )


def _check_scored(rule: str, settings: Options) -> None:
    if settings["by"] is None and settings["python"] is None:
        raise ValueError(
            f"{rule}.by: missing; write {{{rule}: {{by: ...}}}} or {{{rule}: {{python: file.py:function}}}}"
        )
    if settings["by"] is not None and settings["python"] is not None:
        raise ValueError(f"{rule}: found both `by` and `python`; a score comes from one, leave out the other")
    if settings["by"] is not None:
        check_expression(settings["by"])


def _check_scorer(settings: Options) -> None:
    for name in ("scores", "embed"):
        if settings["from"] is not None and settings[name]:
            raise ValueError(
                f"scorer: found `from` and `{name}`; a model that is taken knows its features, leave out one"
            )


def _by_length(sign: str) -> SelectorKind:
    return SelectorKind(
        options={},
        make=lambda settings, seed: Best(),
        curve=lambda settings, seed: best_curve,
        expression=lambda settings: f"{sign} {_LENGTH}",
        rule=_rule_by_use,
    )


_ASKED: Mapping[str, Option] = {
    "model": option.text(required=True),
    "reasoning": option.setting("none"),
    "endpoint": option.text(),
    "max_tokens": option.setting("auto"),
    "votes": option.count(1),
    "per": option.choice("sample", "answer"),
}


def _judged(judge: Callable[[Options], Judge], *, has_curve: bool = False, **own: Option) -> SelectorKind:
    use = {"use": option.choice("best", "weighted")} if has_curve else {}
    return SelectorKind(
        options={**_ASKED, **use, **own},
        make=_by_use,
        curve=_curve_by_use if has_curve else lambda settings, seed: None,
        judge=judge,
        rule=_rule_by_use,
    )


SELECTORS: Mapping[str, SelectorKind] = {
    "majority": SelectorKind(
        options={"ties": option.choice("first", "seeded")},
        make=lambda settings, seed: Majority(ties=settings["ties"], seed=seed),
        curve=lambda settings, seed: partial(majority_curve, seed=seed),
        rule=lambda settings: Majority(ties=settings["ties"]).rule,
    ),
    "first": SelectorKind(
        options={},
        make=lambda settings, seed: First(),
        curve=lambda settings, seed: first_curve,
        rule=lambda settings: FIRST_RULE,
    ),
    "shortest": _by_length("-"),
    "longest": _by_length("+"),
    "best": _by_expression("best"),
    "weighted": _by_expression("weighted"),
    "scorer": SelectorKind(
        options={
            "use": option.choice("best", "weighted"),
            "folds": option.count(5, at_least=FEWEST_FOLDS, at_most=MOST_FOLDS),
            "scores": option.names(),
            "embed": option.function(),
            "from": option.text(),
        },
        make=_by_use,
        curve=lambda settings, seed: partial(scorer_curve, is_weighted=settings["use"] == "weighted", seed=seed),
        learns=True,
        rule=_rule_by_use,
        check=_check_scorer,
    ),
    "judge": _judged(
        lambda settings: Pointwise(scale=settings["scale"], rubric=settings["rubric"]),
        has_curve=True,
        scale=option.count(10),
        rubric=option.text(RUBRIC),
    ),
    "pairwise": _judged(
        lambda settings: Pairwise(opponents=settings["opponents"], criterion=settings["criterion"]),
        opponents=option.count(4, at_least=2),
        criterion=option.text(CRITERION),
    ),
    "knockout": _judged(lambda settings: Knockout(criterion=settings["criterion"]), criterion=option.text(CRITERION)),
    "swiss": _judged(
        lambda settings: Swiss(rounds=settings["rounds"], criterion=settings["criterion"]),
        rounds=option.count(0, at_least=0),
        criterion=option.text(CRITERION),
    ),
    "genselect": _judged(
        lambda settings: Genselect(window=settings["window"], criterion=settings["criterion"]),
        window=option.count(8, at_least=2),
        criterion=option.text(BEST),
    ),
    "consistency": _judged(
        lambda settings: Genselect(window=settings["window"], criterion=CONSISTENT),
        window=option.count(16, at_least=2),
    ),
}


@cache
def _others() -> Mapping[str, EntryPoint]:
    """What installed packages add under names that are not ours, not loaded yet."""
    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in SELECTORS}


def _names() -> list[str]:
    return [*_others(), *SELECTORS]


@cache
def kind_of(name: str) -> SelectorKind:
    """The kind of that name, one of ours or of an installed package. Raises ValueError that names the fix."""
    if name in SELECTORS:
        return SELECTORS[name]
    if (entry := _others().get(name)) is None:
        raise ValueError(f"unknown selector {name!r}; {hint(name, _names())}")
    package = entry.dist.name if entry.dist else "unknown"
    fix = f"mend, update or uninstall the package {package}, or leave {name} out"
    try:
        found = entry.load()
    except Exception as error:
        raise ValueError(f"{name}: {entry.value} cannot be loaded: {_said(error)}; {fix}") from error
    if not isinstance(found, SelectorKind):
        raise ValueError(f"{name}: {entry.value} is of type {type(found).__name__}, wanted a SelectorKind; {fix}")
    if found.judge is not None and (missing := _ASKED.keys() - found.options):
        raise ValueError(f"{name}: {entry.value} judges without the options {', '.join(sorted(missing))}; {fix}")
    return found


class ForeignSelectorError(ValueError):
    """A selector of another package went wrong."""


@contextmanager
def others_code(config: SelectorConfig, where: str = "") -> Iterator[None]:
    """Whatever goes wrong in a selector of another package, as a ForeignSelectorError; in ours it stays what it is.

    What is raised on purpose is no fault of the selector: the archive that cannot be read, for instance.
    """
    try:
        yield
    except (ForeignSelectorError, PolythinkError):
        raise
    except Exception as error:
        if config.name in SELECTORS:
            raise
        raise ForeignSelectorError(str(error) if type(error) is ValueError else f"{where}{_said(error)}") from error


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def parse_selector(value: object) -> SelectorConfig:
    """A selector from a job file: a name, or one name with its options. Raises ValueError that names the fix.

    Every selector takes `as`, the name of its rows, so that one kind can be asked for twice.

    >>> parse_selector({"majority": {"ties": "seeded", "as": "drawn"}})
    SelectorConfig(name='majority', options={'ties': 'seeded'}, label='drawn')
    """
    if isinstance(value, str):
        name, given = value, None
    elif isinstance(value, Mapping) and len(value) == 1:
        name, given = next(iter(value.items()))
    else:
        raise ValueError(f"found {value!r}; wanted a selector's name, or one name with its options")
    if not isinstance(name, str):
        raise ValueError(f"unknown selector {name!r}; {hint(str(name), _names())}")
    kind = kind_of(name)
    if not isinstance(given, Mapping | None):
        raise ValueError(f"{name}: found {given!r}; wanted its options, as in {{majority: {{ties: seeded}}}}")
    rest = {k: v for k, v in (given or {}).items() if k != "as"}
    options = option.checked(name, kind.options, rest)
    config = SelectorConfig(name=name, options=options, label=_label(name, (given or {}).get("as")))
    with others_code(config, f"{name}: "):
        kind.check(config.settings)
        for source in (kind.function, kind.expression):
            source(config.settings)  # here and not when samples are paid
    return config


def _label(name: str, label: object) -> str:
    if label is None or label == name:
        return ""
    if not isinstance(label, str) or not _LABEL.fullmatch(label) or label in (PASS, ALL) or label in _names():
        raise ValueError(f"{name}.as: found {label!r}; wanted a name of lower-case letters, digits, - and _, not taken")
    return label
