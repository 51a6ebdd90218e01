"""The classes of a job's answers: which of them count as one, and who said so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from polythink.records import Equivalence
from polythink.selectors.equivalence import canonical, class_map
from polythink.selectors.math_judge import MathJudge
from polythink.selectors.sameness import EquivalenceJudge, Pair, Partition, agreed, ask_id, partition
from polythink.selectors.samples import Samples
from polythink.selectors.verdicts import heard
from polythink.storage.archive import Archive

Forms = Mapping[int, frozenset[str]]  # the canonical forms of each problem, by its number


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """Canonical forms of S answers, and their classes. Classes are a problem's, shared by its arms."""

    forms: list[str | None]  # [S] None where the sample abstains
    names: list[str | None]  # [S] the class, named by its shortest form; None likewise
    hostile: Forms = field(default_factory=dict)  # could not stand a comparison, and are equal to themselves only
    alone: Forms = field(default_factory=dict)  # classes of their own for want of a judge's verdict
    cost_usd: float | None = None  # spent on the verdicts of a judge; None where none was asked

    @property
    def unjudged(self) -> int:
        """Forms that stand alone for want of a verdict, over all problems."""
        return sum(map(len, self.alone.values()))


def answer_classes(
    archive: Archive, job_id: str, samples: Samples, equivalence: Equivalence | EquivalenceJudge
) -> Classes:
    """The classes of a job's answers by its rule; under a judge, as far as the archive holds its verdicts."""
    if isinstance(equivalence, EquivalenceJudge):
        forms = string_forms(samples)
        said = heard(archive, job_id, equivalence)
        parts = judged_partitions(samples, forms, said.replies)
        names = _named(samples, forms, lambda number, form: parts[number].classes[form])
        alone = {number: frozenset(part.alone) for number, part in parts.items() if part.alone}
        cost = sum(said.cost_usd.values()) if said.cost_usd else None
        return Classes(forms=forms, names=names, alone=alone, cost_usd=cost)
    forms = _forms(samples, equivalence)
    if equivalence != "math":
        return Classes(forms=forms, names=forms)
    return _by_math(samples, forms)


def string_forms(samples: Samples) -> list[str | None]:
    """[S] what a judge is shown of each answer; None where the sample abstains."""
    return _forms(samples, "string")


def judged_partitions(
    samples: Samples, forms: Sequence[str | None], replies: Mapping[str, Mapping[str, Sequence[str | None]]]
) -> dict[int, Partition]:
    """Each problem's forms in classes, by the replies to a judge: by problem id, then by the id of the ask."""
    ids = dict(zip(samples.problem.tolist(), samples.problem_id, strict=True))
    return {
        number: partition(found, _verdicts(replies.get(ids[number], {})))
        for number, found in problem_forms(samples, forms).items()
    }


def problem_forms(samples: Samples, forms: Sequence[str | None]) -> dict[int, set[str]]:
    """The different forms of each problem over all its arms, by the problem's number."""
    found: dict[int, set[str]] = {}
    for number, form in zip(samples.problem.tolist(), forms, strict=True):
        if form is not None:
            found.setdefault(number, set()).add(form)
    return found


def _forms(samples: Samples, rule: Equivalence) -> list[str | None]:
    spellings = {answer: canonical(answer, rule) for answer in set(samples.answer) if answer is not None}
    return [spellings[answer] if answer is not None else None for answer in samples.answer]


def _verdicts(replies: Mapping[str, Sequence[str | None]]) -> Callable[[Pair], bool | None]:
    return lambda pair: agreed(said) if (said := replies.get(ask_id(pair))) is not None else None


def _by_math(samples: Samples, forms: list[str | None]) -> Classes:
    maps: dict[int, dict[str, str]] = {}
    hostile: dict[int, frozenset[str]] = {}
    with MathJudge() as judge:
        for number, found in problem_forms(samples, forms).items():
            maps[number] = class_map(found, judge)
            if gave_out := judge.hostile & found:
                hostile[number] = gave_out
    names = _named(samples, forms, lambda number, form: maps[number][form])
    return Classes(forms=forms, names=names, hostile=hostile)


def _named(samples: Samples, forms: list[str | None], name: Callable[[int, str], str]) -> list[str | None]:
    pairs = zip(samples.problem.tolist(), forms, strict=True)
    return [name(number, form) if form is not None else None for number, form in pairs]
