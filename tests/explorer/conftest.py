"""An archive written by hand: every number in it can be counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from polythink.records import Arm, Attempt, Problem, Reading, Reasoning, SampleKey, Usage
from polythink.selectors.registry import parse_selector
from polythink.selectors.stage import select_job
from polythink.storage import schema
from polythink.storage.archive import Archive
from polythink.storage.rows import arm_rows, attempt_rows, problem_rows, trace_rows
from polythink.storage.state import JobState

STARTED = 1_795_000_000.0  # Unix seconds
Sample = tuple[Attempt, Reading]


def arm(arm_id: str, budget: int | None, ordinal: int, model: str = "claude-haiku-4-5") -> Arm:
    reasoning = Reasoning(kind="budget_tokens", budget_tokens=budget) if budget else Reasoning(kind="none")
    return Arm(
        arm_id=arm_id,
        endpoints=("default",),
        model=model,
        reasoning=reasoning,
        max_tokens=(budget or 0) + 4096,
        system=None,
        template="{{ problem }}",
        ordinal=ordinal,
    )


def problem(problem_id: str, gold: str | None, ordinal: int, text: str = "What is six times seven?") -> Problem:
    fields = {"id": problem_id, "problem": text, "answer": gold}
    return Problem(problem_id=problem_id, gold=gold, fields=fields, ordinal=ordinal)


def sample(
    key: SampleKey,
    answer: str | None,
    gold: str | None,
    *,
    thinking: str = "Let me think.",
    text: str | None = None,
    thinking_tokens: int | None = 0,
    cost_usd: float | None = 0.001,
    simulator: str | None = None,
    outcome: str | None = None,
) -> Sample:
    blocks = [{"type": "thinking", "thinking": thinking}, {"type": "text", "text": text or f"The answer is {answer}."}]
    attempt = Attempt(
        key=key,
        number=1,
        status="failed" if outcome == "failed" else "complete",
        lane="live",
        endpoint="default",
        queued_at=STARTED,
        started_at=STARTED,
        finished_at=STARTED + 5,
        content=json.dumps(blocks),
        stop_reason="end_turn",
        usage=Usage(input_tokens=50, output_tokens=(thinking_tokens or 0) + 40, thinking_tokens=thinking_tokens),
        cost_usd=cost_usd,
        model="claude-haiku-4-5",
        simulator=simulator,
    )
    correct = None if gold is None or answer is None else answer == gold
    kind = outcome or ("answered" if answer is not None else "no_answer")
    return attempt, Reading(outcome=kind, answer=answer, canonical_answer=answer, correct=correct)  # type: ignore[arg-type]


def write_job(
    archive: Archive,
    job_id: str,
    problems: Sequence[Problem],
    arms: Sequence[Arm],
    samples: Sequence[Sample],
    *,
    per_problem: int,
    selectors: Sequence[str] = ("majority", "first"),
    cap_usd: float | None = 100.0,
) -> None:
    attempts, readings = [a for a, _ in samples], [r for _, r in samples]
    archive.replace_part(schema.PROBLEMS, job_id, "0", problem_rows(problems, [p.gold for p in problems]))
    archive.replace_part(schema.ARMS, job_id, "0", arm_rows(arms, per_problem))
    archive.replace_part(schema.TRACES, job_id, "0", trace_rows(job_id, attempts, readings))
    archive.replace_part(schema.ATTEMPTS, job_id, "0", attempt_rows(job_id, attempts))
    archive.write_state(
        JobState(
            job_id=job_id,
            name=job_id.rpartition("-")[0] or job_id,
            status="done",
            total=len(problems) * len(arms) * per_problem,
            done=len(samples),
            created_at=STARTED,
            started_at=STARTED,
            updated_at=STARTED + 600,
            cap_usd=cap_usd,
            host="localhost",
            pid=1,
        )
    )
    if selectors:
        configs = [parse_selector(name) for name in selectors]
        select_job(archive, job_id, selectors=configs, equivalence="string")


def graded_samples(
    problems: Sequence[Problem], arms: Sequence[Arm], per_problem: int, mind: str | None
) -> list[Sample]:
    """More thinking, more right answers; a few samples of every other outcome."""
    rng = Random(5)
    made = []
    for p in problems:
        hardness = rng.random()
        for a in arms:
            budget = a.reasoning.budget_tokens or 0
            for index in range(per_problem):
                used = int(budget * rng.uniform(0.35, 0.95))
                chance = 0.95 / (1 + 2 ** (8 * hardness - len(bin(used)) / 2.2))
                key = SampleKey(problem_id=p.problem_id, arm_id=a.arm_id, sample_index=index)
                answer = p.gold if rng.random() < chance else str(rng.choice([3, 3, 3, 8, 9, 11]))
                kind = rng.choices([None, "truncated", "refused", "failed"], [96, 2, 1, 1])[0]
                made.append(
                    sample(
                        key,
                        answer if kind is None else None,
                        p.gold,
                        thinking="First, the small cases.\n" * (1 + used // 100),
                        thinking_tokens=used,
                        cost_usd=(used + 100) * 5e-6,
                        simulator=mind,
                        outcome=kind,
                    )
                )
    return made


@pytest.fixture
def build() -> SimpleNamespace:
    """The helpers above, for tests that write an archive of their own."""
    return SimpleNamespace(arm=arm, problem=problem, sample=sample, write_job=write_job)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


@pytest.fixture
def graded_archive(archive: Archive) -> Callable[..., Archive]:
    """Writes the job `sums-1`: 3 arms, 8 problems, 4 samples each."""

    def write(mind: str | None = None, budgets: Sequence[int | None] = (None, 1024, 4096)) -> Archive:
        problems = [problem(f"p{n}", str(40 + n), n, f"What is {n} plus forty?") for n in range(8)]
        arms = [arm(f"haiku.{b or 'none'}", b, n) for n, b in enumerate(budgets)]
        write_job(archive, "sums-1", problems, arms, graded_samples(problems, arms, 4, mind), per_problem=4)
        return archive

    return write
