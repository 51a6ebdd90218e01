"""Samples that others generated, as read from their files: rows to samples, and every line that is not one. Pure."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from polythink.jobs.problem_files import BadRow, Row, as_text

NUMBERS = ("input_tokens", "output_tokens", "thinking_tokens")
PER_SAMPLE = (
    "sample_index",
    "answer",
    "completion",
    "thinking",
    "correct",
    "score",
    "stop_reason",
    "cost_usd",
    *NUMBERS,
)
OURS = ("question_id", "question", "gold", "family", "arm", "model", "samples", *PER_SAMPLE)
ONLY_ARM = "imported"  # the arm of rows that name neither arm nor model
_ASKED_FOR = frozenset({"samples", "family"})  # taken only where a mapping names it
_VERDICTS = {"true": True, "1": True, "false": False, "0": False}
_ARM_CHARACTERS = re.compile(r"[^A-Za-z0-9._:/-]+")
_ARM_LENGTH = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """A line that was not taken as it stands."""

    file: str
    line: int | None  # from 1; for Parquet the number of the row
    found: str
    taken: bool = False  # whether its samples were taken all the same

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.found}"


@dataclass(slots=True, kw_only=True)
class ForeignSample:
    """One sample. None wherever its row says nothing."""

    problem_id: str
    arm_id: str
    sample_index: int
    answer: str | None = None
    completion: str | None = None
    thinking: str | None = None
    correct: bool | None = None
    score: float | None = None
    stop_reason: str | None = None
    cost_usd: float | None = None  # USD
    input_tokens: int | None = None
    output_tokens: int | None = None
    thinking_tokens: int | None = None
    model: str | None = None
    metadata: str | None = None  # JSON object: the row's further fields


@dataclass(slots=True, kw_only=True)
class ForeignProblem:
    """What the rows of a problem say of it; `common` are the further fields in which all of them agree."""

    problem_id: str
    question: str | None
    gold: str | None
    family: str | None
    common: dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Foreign:
    """All samples of the files, in their order, each (problem, arm, index) once."""

    samples: list[ForeignSample] = field(default_factory=list)
    problems: dict[str, ForeignProblem] = field(default_factory=dict)  # by problem_id
    arms: dict[str, str] = field(default_factory=dict)  # model by arm_id
    issues: list[Issue] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)  # fields that `names` gives and no row has
    fields: set[str] = field(default_factory=set)  # that the rows have


class _OddRow(ValueError):
    """A row that holds no sample; the message says why."""


def read_foreign(rows: Iterable[tuple[str, Row | BadRow]], names: Mapping[str, str]) -> Foreign:
    """The samples in rows given with the file each is from.

    `names` gives our field's name in the rows, a dotted path included, empty for none; every other of OURS bears its
    own name, `samples` and `family` excepted. A list in a field of a sample makes as many samples of its row; `samples`
    makes the row stand for so many, of which `correct` are right. Samples without an index take the lowest that are
    free, in file order. Of two samples of the same problem, arm and index the first is kept.
    """
    return _Reading(names).read(rows)


class _Reading:
    def __init__(self, names: Mapping[str, str]) -> None:
        named = {ours: names.get(ours, "" if ours in _ASKED_FOR else ours) for ours in OURS}
        self._paths = {ours: theirs for ours, theirs in named.items() if theirs}
        self._used = {path.partition(".")[0] for path in self._paths.values()} | set(self._paths.values())
        self._found = Foreign(absent={theirs for theirs in names.values() if theirs})
        self._taken: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        self._unnumbered: list[ForeignSample] = []

    def read(self, rows: Iterable[tuple[str, Row | BadRow]]) -> Foreign:
        for file, row in rows:
            if isinstance(row, BadRow):
                self._tell(file, row.line, f"{row.found}; wanted {row.wanted}")
                continue
            try:
                self._take(file, row)
            except _OddRow as odd:
                self._tell(file, row.line, str(odd))
        self._number()
        return self._found

    def _tell(self, file: str, line: int | None, found: str, *, taken: bool = False) -> None:
        self._found.issues.append(Issue(file=file, line=line, found=found, taken=taken))

    def _take(self, file: str, row: Row) -> None:
        self._found.fields |= row.fields.keys()
        self._found.absent -= {path for path in self._found.absent if path.partition(".")[0] in row.fields}
        values = {ours: found for ours, path in self._paths.items() if (found := _at(row.fields, path)) is not None}
        problem_id = as_text(values.get("question_id"))
        if problem_id is None:
            raise _OddRow(
                f"no `{self._paths.get('question_id', 'question_id')}`; name the field: --map question_id=..."
            )
        model = as_text(values.get("model"))
        arm_id = arm_name(as_text(values.get("arm")) or model or ONLY_ARM)
        extra = {name: value for name, value in row.fields.items() if name not in self._used}
        metadata = json.dumps(extra, ensure_ascii=False) if extra else None
        samples = [
            ForeignSample(problem_id=problem_id, arm_id=arm_id, model=model, metadata=metadata, **fields)
            for fields in _spread(values)
        ]
        self._add_problem(file, row.line, problem_id, values, extra)
        self._found.arms.setdefault(arm_id, model or arm_id)
        for sample in samples:
            self._add(file, row.line, sample)

    def _add_problem(
        self, file: str, line: int, problem_id: str, values: Mapping[str, Any], extra: dict[str, Any]
    ) -> None:
        told = {name: as_text(values.get(name)) for name in ("question", "gold", "family")}
        kept = self._found.problems.get(problem_id)
        if kept is None:
            self._found.problems[problem_id] = ForeignProblem(problem_id=problem_id, common=extra, **told)
            return
        for name, value in told.items():
            if value is not None and getattr(kept, name) is None:
                setattr(kept, name, value)
            elif value is not None and getattr(kept, name) != value:
                self._tell(file, line, f"another {name} for {problem_id!r}; the first one counts", taken=True)
        if kept.common != extra:
            kept.common = {k: v for k, v in kept.common.items() if k in extra and extra[k] == v}

    def _add(self, file: str, line: int, sample: ForeignSample) -> None:
        if sample.sample_index < 0:
            self._unnumbered.append(sample)
        elif sample.sample_index in (taken := self._taken[sample.problem_id, sample.arm_id]):
            where = f"{sample.problem_id!r}, arm {sample.arm_id!r}"
            self._tell(file, line, f"sample {sample.sample_index} of {where} again; the first one is kept")
            return
        else:
            taken.add(sample.sample_index)
        self._found.samples.append(sample)

    def _number(self) -> None:
        """Indices for the samples that came without, beside those that are taken."""
        keys = {(sample.problem_id, sample.arm_id) for sample in self._unnumbered}
        free = {key: _not_in(self._taken.get(key, set())) for key in keys}
        for sample in self._unnumbered:
            sample.sample_index = next(free[sample.problem_id, sample.arm_id])


def _not_in(taken: set[int]) -> Iterator[int]:
    return (index for index in count() if index not in taken)


def arm_name(text: str) -> str:
    """An arm's id from whatever names it.

    >>> arm_name("org/model v1 (T=0.7)"), arm_name("-x")
    ('org/model-v1-T-0.7', 'x')
    """
    return _ARM_CHARACTERS.sub("-", text).strip("-._:/")[:_ARM_LENGTH] or ONLY_ARM


def _at(row: Mapping[str, Any], path: str) -> Any:
    """The value of a field, or at a dotted path into it; None where there is none."""
    if path in row:
        return row[path]
    value: Any = row
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _spread(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The fields of each sample of a row. Raises _OddRow."""
    if "samples" in values:
        return _counted(values)
    lists = {name: value for name in PER_SAMPLE if isinstance(value := values.get(name), list)}
    lengths = {len(value) for value in lists.values()}
    if len(lengths) > 1:
        raise _OddRow("lists of unlike lengths: " + ", ".join(f"{len(v)} in `{n}`" for n, v in lists.items()))
    samples = lengths.pop() if lengths else 1
    if samples != 1 and "sample_index" in values and "sample_index" not in lists:
        raise _OddRow(f"one sample_index for {samples} samples; give a list of them, or none")
    own = [
        {name: lists.get(name, [values.get(name)] * samples)[place] for name in PER_SAMPLE} for place in range(samples)
    ]
    return [_fields(sample) for sample in own]


def _counted(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row that stands for several samples, the right ones first."""
    samples, right = (_number(name, values.get(name)) for name in ("samples", "correct"))
    if samples is None or right is None or not 0 <= right <= samples or samples % 1 or right % 1:
        raise _OddRow(f"{right} right of {samples} samples; wanted two whole numbers, the first at most the second")
    base = _fields({name: values.get(name) for name in PER_SAMPLE if name not in ("correct", "sample_index")})
    return [base | {"correct": place < right, "sample_index": -1} for place in range(int(samples))]


def _fields(own: Mapping[str, Any]) -> dict[str, Any]:
    """A sample's fields in our types; an index of -1 is to be found. Raises _OddRow."""
    fields: dict[str, Any] = {name: as_text(own.get(name)) for name in ("completion", "thinking", "stop_reason")}
    answer = as_text(own.get("answer"))
    fields["answer"] = answer.strip() or None if answer is not None else None
    index = _number("sample_index", own.get("sample_index"))
    if index is not None and (index < 0 or index % 1):
        raise _OddRow(f"a sample_index of {own.get('sample_index')!r}; wanted a whole number from 0")
    fields["sample_index"] = -1 if index is None else int(index)
    fields["correct"] = _verdict(own.get("correct"))
    fields |= {name: _number(name, own.get(name)) for name in ("score", "cost_usd")}
    return fields | {name: None if (n := _number(name, own.get(name))) is None else int(n) for name in NUMBERS}


def _verdict(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    verdict = _VERDICTS.get((as_text(value) or "").strip().lower())
    if verdict is None:
        raise _OddRow(f"`correct` is {value!r:.60}; wanted true, false, 1, 0 or null")
    return verdict


def _number(name: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _OddRow(f"`{name}` is {value!r:.60}; wanted a number")
    return number
