"""The replay mind: recorded generations, each served once per (prompt, settings)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from polythink.simulator.api_errors import invalid
from polythink.simulator.ids import seeded
from polythink.simulator.minds import Composition, Ending, StopReason
from polythink.simulator.problems import KnownProblem, ProblemFileError, ProblemIndex, field_of, read_rows
from polythink.simulator.request import MessageRequest
from polythink.simulator.synthetic import cut_to
from polythink.simulator.tokens import text_tokens

Order = Literal["recorded", "shuffled"]
_STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "end_turn",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recorded generation. Token counts are None where the recording has none."""

    text: str
    thinking: str | None
    stop_reason: StopReason
    input_tokens: int | None
    output_tokens: int | None


class ReplayMind:
    """Serves what was recorded, in order or shuffled by seed. The n-th draw of a prompt gets the n-th recording."""

    name = "replay"
    incremental = False

    def __init__(self, recordings: dict[str, list[Recording]], problems: Iterable[KnownProblem]) -> None:
        self._recordings = recordings
        self._problems = ProblemIndex(problems)

    def compose(self, request: MessageRequest, draw: int) -> Composition:
        """The recording for one draw. Raises ApiError (400): unknown question, or its recordings are used up."""
        problem = self._problems.find(request.prompt)
        if problem is None:
            raise invalid("replay: no recorded question stands in the last user message")
        recorded = self._recordings[problem.problem_id]
        if draw >= len(recorded):
            raise invalid(
                f"replay: question {problem.problem_id} has {len(recorded)} recordings and all of them were served; "
                "ask for fewer samples or give more recordings"
            )
        return cut_to(_composition(recorded[draw], request), request.max_tokens)


def load_replay(paths: Sequence[Path], *, order: Order = "recorded", seed: int = 0) -> ReplayMind:
    """The replay mind over JSONL[.gz] recordings.

    Raises ProblemFileError for a row without `question` or `completion`.
    """
    problems: dict[str, KnownProblem] = {}
    recordings: dict[str, list[tuple[int, Recording]]] = {}
    for path in paths:
        for number, row in enumerate(read_rows(path), start=1):
            problem, index, recording = _read(row, f"{path}: row {number}", number)
            problems.setdefault(problem.problem_id, problem)
            recordings.setdefault(problem.problem_id, []).append((index, recording))
    if not problems:
        raise ProblemFileError("the replay mind needs recordings; give --recordings FILE with at least one row")
    ordered = {name: _ordered(name, rows, order, seed) for name, rows in recordings.items()}
    return ReplayMind(ordered, problems.values())


def _ordered(name: str, rows: list[tuple[int, Recording]], order: Order, seed: int) -> list[Recording]:
    kept = [recording for _, recording in sorted(rows, key=lambda row: row[0])]
    if order == "shuffled":
        seeded("replay", str(seed), name).shuffle(kept)
    return kept


def _read(row: dict[str, Any], where: str, number: int) -> tuple[KnownProblem, int, Recording]:
    question = field_of(row, ("question",))
    if question is None or not isinstance(row.get("completion"), str):
        raise ProblemFileError(f"{where} needs the text fields question and completion")
    problem_id = field_of(row, ("question_id",)) or question
    problem = KnownProblem(problem_id=problem_id, question=question.strip(), gold=field_of(row, ("gold",)), row=row)
    usage = row.get("usage") or {}
    thinking = row.get("thinking")
    recording = Recording(
        text=row["completion"],
        thinking=thinking if isinstance(thinking, str) and thinking else None,
        stop_reason=_STOP_REASONS.get(str(row.get("stop_reason")), "end_turn"),
        input_tokens=_count(usage.get("input_tokens")),
        output_tokens=_count(usage.get("output_tokens")),
    )
    index = _count(row.get("sample_index"))
    return problem, number if index is None else index, recording


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _composition(recording: Recording, request: MessageRequest) -> Composition:
    scale = request.facts.tokenizer_scale
    thinking = text_tokens(recording.thinking or "", scale)
    text = text_tokens(recording.text, scale)
    if recording.output_tokens is not None:
        share = thinking / max(1, thinking + text)
        thinking = round(recording.output_tokens * share)
        text = recording.output_tokens - thinking
    return Composition(
        thinking=recording.thinking,
        text=recording.text,
        thinking_tokens=thinking,
        text_tokens=text,
        ending=Ending(recording.stop_reason),
        input_tokens=recording.input_tokens,
    )
