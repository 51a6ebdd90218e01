"""Classes of free text: which different forms of one problem give the same answer, by the verdicts of a judge model.

Forms stand in order of length, then text. The first that is in no class is a pivot: every later one without a class is
laid beside it, and those that the judge finds the same join it. Then comes the next pivot. Classes so depend on the set
of forms and on the verdicts alone. At most forms x classes pairs are asked about, each once; a pair is known by its two
forms, so that more samples ask only about new ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polythink.selectors.judge_prompts import choice, quoted

Pair = tuple[str, str]  # two forms, the first before the second in the order of forms


@dataclass(frozen=True, slots=True, kw_only=True)
class EquivalenceJudge:
    """Asks a model which forms of a problem are the same; forms are those of `string`."""

    settings: Mapping[str, Any]  # model, reasoning, endpoint, max_tokens, votes

    @property
    def name(self) -> str:
        return "equivalence"

    @property
    def row_name(self) -> str:
        """As `jobs.selector` has it."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Forms in classes, as far as verdicts are there."""

    classes: dict[str, str]  # form -> its class, named by the first form in it
    wanted: tuple[Pair, ...]  # what must be asked before more can be said; empty once all is known
    alone: tuple[str, ...]  # forms that are classes of their own for want of a verdict


def partition(forms: Iterable[str], same: Callable[[Pair], bool | None]) -> Partition:
    """Put forms into classes. `same` gives the verdict on a pair, None while there is none.

    >>> found = partition(["Paris, France", "Paris", "Rome"], {("Rome", "Paris"): False}.get)
    >>> found.classes
    {'Rome': 'Rome', 'Paris, France': 'Paris, France', 'Paris': 'Paris'}
    >>> found.wanted, found.alone
    ((('Rome', 'Paris, France'),), ('Paris, France',))
    """
    waiting = sorted(set(forms), key=lambda form: (len(form), form))
    classes: dict[str, str] = {}
    wanted: tuple[Pair, ...] = ()
    alone: list[str] = []
    while waiting:
        pivot, *others = waiting
        verdicts = {other: same((pivot, other)) for other in others}
        open_forms = [other for other, verdict in verdicts.items() if verdict is None]
        classes[pivot] = pivot
        classes |= {other: pivot for other, verdict in verdicts.items() if verdict}
        classes |= {other: other for other in open_forms}
        alone += open_forms
        wanted = wanted or tuple((pivot, other) for other in open_forms)  # later pivots may yet turn out to be none
        waiting = [other for other, verdict in verdicts.items() if verdict is False]
    return Partition(classes=classes, wanted=wanted, alone=tuple(alone))


def ask_id(pair: Pair) -> str:
    """Names a pair by its forms, the same in every process and however many samples there are."""
    return hashlib.blake2b(json.dumps(pair).encode(), digest_size=10).hexdigest()


def agreed(replies: Sequence[str | None]) -> bool:
    """Whether more than half of the readable votes say that two forms are the same; without any they are not.

    >>> agreed(["1"]), agreed(["1", "0"]), agreed([None, "maybe"]), agreed(["1", None])
    (True, False, False, True)
    """
    votes = [vote for reply in replies if (vote := choice(reply, 0, 1)) is not None]
    return 2 * sum(votes) > len(votes)


def same_prompt(pair: Pair, question: str) -> str:
    """The user prompt about a pair."""
    return (
        f"{quoted(question, pair)}\n\n"
        "Decide whether candidates 1 and 2 give the same answer to the problem: whether whoever asked would learn the "
        "same from both. Whether that answer is right does not matter, nor do wording, order, notation, length or the "
        "reasoning on the way. They differ if one says what the other denies, or leaves out a part that was asked "
        "for.\n"
        "Then end with one line of exactly this form, where 1 says that they give the same answer and 0 that they do "
        "not:\n"
        "VERDICT: <0 or 1>"
    )
