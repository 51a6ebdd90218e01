"""Which problem a request is about: the question text, found inside the last user message."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polythink.simulator.ids import digest

QUESTION_FIELDS = ("question", "problem", "prompt")
GOLD_FIELDS = ("gold", "answer", "solution")
ID_FIELDS = ("question_id", "id", "problem_id")
_MEMORY = 100_000  # prompts whose problem is remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownProblem:
    """A problem as the simulator knows it."""

    problem_id: str
    question: str  # "" for an invented problem
    gold: str | None
    row: dict[str, Any]


class ProblemFileError(ValueError):
    """A problem or recording file cannot be used; says which line and what is missing."""


class ProblemIndex:
    """Finds the problem a prompt asks about. Built once; the same prompt is looked up once."""

    def __init__(self, problems: Iterable[KnownProblem]) -> None:
        self._by_question = {problem.question: problem for problem in problems}
        self._found: dict[bytes, KnownProblem | None] = {}

    def __len__(self) -> int:
        return len(self._by_question)

    def find(self, prompt: str) -> KnownProblem | None:
        """The problem whose question the prompt holds. Of several, the last one that is not part of a longer one."""
        key = digest((prompt,))
        if key not in self._found:
            if len(self._found) >= _MEMORY:
                self._found.clear()
            self._found[key] = self._search(prompt)
        return self._found[key]

    def _search(self, prompt: str) -> KnownProblem | None:
        if exact := self._by_question.get(prompt.strip()):
            return exact
        spans = [span for question in self._by_question if (span := _last_span(question, prompt))]
        outer = [one for one in spans if not any(_inside(one, other) for other in spans)]
        if not outer:
            return None
        start, end = max(outer)
        return self._by_question[prompt[start:end]]


def _last_span(question: str, prompt: str) -> tuple[int, int] | None:
    """Where the question stands last in the prompt as words of its own, not as part of a longer number or word."""
    end = len(prompt)
    while (start := prompt.rfind(question, 0, end)) >= 0:
        stop = start + len(question)
        if not (_joined(prompt, start) or _joined(prompt, stop)):
            return start, stop
        end = stop - 1
    return None


def _joined(text: str, at: int) -> bool:
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()


def _inside(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one != other and other[0] <= one[0] and one[1] <= other[1]


def load_problems(paths: Sequence[Path], question_field: str | None = None) -> list[KnownProblem]:
    """Problems of JSONL, CSV or (where pyarrow is installed) Parquet files; `.gz` is unpacked.

    Raises ProblemFileError naming file, line and field.
    """
    problems = []
    for path in paths:
        for number, row in enumerate(read_rows(path), start=1):
            question = field_of(row, (question_field,) if question_field else QUESTION_FIELDS)
            if not question:
                wanted = question_field or " or ".join(QUESTION_FIELDS)
                raise ProblemFileError(f"{path}: row {number} has no question text; give it a field {wanted}")
            gold = field_of(row, GOLD_FIELDS)
            problem_id = field_of(row, ID_FIELDS) or f"{path.stem}-{number}"
            problems.append(KnownProblem(problem_id=problem_id, question=question.strip(), gold=gold, row=row))
    return problems


def field_of(row: dict[str, Any], names: Iterable[str]) -> str | None:
    """The first of these fields that has a value, as text."""
    for name in names:
        value = row.get(name)
        if value is not None and str(value).strip():
            return str(value)
    return None


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL, CSV or Parquet file. Raises ProblemFileError for what cannot be read."""
    name = path.name.removesuffix(".gz")
    if not path.is_file():
        raise ProblemFileError(f"{path}: no such file")
    if name.endswith(".parquet"):
        yield from _parquet_rows(path)
        return
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        if name.endswith(".csv"):
            yield from csv.DictReader(lines)
            return
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _json_row(line, path, number)


def _json_row(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ProblemFileError(f"{path}: line {number} is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise ProblemFileError(f"{path}: line {number} is not a JSON object")
    return row


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq  # heavy, and needed for this one format only

    for batch in pq.ParquetFile(path).iter_batches():
        yield from batch.to_pylist()
