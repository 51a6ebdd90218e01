"""Samples that others generated become a job of the archive, what was recorded of them kept."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import getpid
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from polythink.errors import JobChangedError, SpecError, SpecIssue, UnknownJobError
from polythink.jobs.foreign import Foreign, ForeignSample, Issue, read_foreign
from polythink.jobs.load import job_yaml
from polythink.jobs.problem_files import BadRow, Row, read_rows
from polythink.jobs.spec import Job
from polythink.jobs.spec_lines import issues, near, parse
from polythink.jobs.spec_validation import validate
from polythink.jobs.workload import WHOLE
from polythink.records import AnswerRule, Outcome, Problem, SampleKey
from polythink.selectors.equivalence import canonical
from polythink.selectors.grading import Grader, GradeRequest
from polythink.selectors.reading import CUT_SHORT, gold_form, read_sample
from polythink.selectors.rewards import forget_asked
from polythink.storage import schema
from polythink.storage.archive import Archive
from polythink.storage.rows import problem_rows, to_table
from polythink.storage.state import JobState

IMPORTED: Final = "imported"  # lane of the traces, status of the job


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What one import wrote."""

    job_id: str
    samples: int
    problems: int
    arms: int
    issues: tuple[Issue, ...]  # in order of files and lines


def import_samples(
    archive: Archive, name: str, files: Sequence[Path], *, names: Mapping[str, str], answer: Mapping[str, Any]
) -> Imported:
    """Make the job of that name hold the samples in the files, and nothing else.

    Args:
        archive: where to.
        name: the job's; one imported earlier under it is replaced.
        files: .jsonl, .jsonl.gz, .csv or .parquet.
        names: our field's name in the rows, see `read_foreign`.
        answer: as in a job file. With `extract`, answers are read anew from the completions; else the recorded ones
            are kept. Recorded verdicts and scores are kept; an answer without a verdict is compared with gold.

    Raises SpecError if no line holds a sample, a mapped field is not there, or name or answer is none that a job can
    have; JobChangedError if the job of that name was not imported.
    """
    found = read_foreign(_rows(files), names)
    _check(found, names, files)
    job = _job(name, files, found, answer)
    job_id = _job_id(archive, name)
    traces = _traces(job_id, found, job.answer.rule(), anew="extract" in answer)
    with archive.lock(job_id):
        _write(archive, job_id, job, found, traces)
    return Imported(
        job_id=job_id,
        samples=len(found.samples),
        problems=len(found.problems),
        arms=len(found.arms),
        issues=tuple(found.issues),
    )


def _rows(files: Sequence[Path]) -> Iterator[tuple[str, Row | BadRow]]:
    for path in files:
        for row in read_rows(path):
            yield str(path), row


def _check(found: Foreign, names: Mapping[str, str], files: Sequence[Path]) -> None:
    ours = {theirs: ours for ours, theirs in names.items()}
    wrong = [
        SpecIssue(
            path=f"--map {ours[theirs]}",
            line=None,
            file=None,
            found=f"`{theirs}`, which no row has",
            wanted=f"{near(theirs, found.fields)}the fields are {', '.join(sorted(found.fields))}",
        )
        for theirs in sorted(found.absent)
        if found.fields
    ]
    if not found.samples and not wrong:
        first = str(found.issues[0]) if found.issues else "no rows"
        file = ", ".join(map(str, files))
        wrong = [SpecIssue(path="(file)", line=None, file=file, found=first, wanted="at least one sample")]
    if wrong:
        raise SpecError(tuple(wrong))


def _job(name: str, files: Sequence[Path], found: Foreign, answer: Mapping[str, Any]) -> Job:
    per_ballot: dict[tuple[str, str], int] = {}
    for sample in found.samples:
        key = sample.problem_id, sample.arm_id
        per_ballot[key] = per_ballot.get(key, 0) + 1
    fields: dict[str, Any] = {
        "name": name,
        "problems": {"path": [str(path) for path in files]},
        "arms": [{"id": arm_id, "model": model, "reasoning": "none"} for arm_id, model in found.arms.items()],
        "samples": max(per_ballot.values()),
        "answer": {"extract": "verbatim", **answer},
        "grade": "none",
    }
    return _checked_job(fields)


def _checked_job(fields: Mapping[str, Any]) -> Job:
    """The job, or SpecError with what is wrong in it."""
    validated = validate(fields)
    if validated.findings:
        raise SpecError(issues(list(validated.findings), parse("", None), None))
    return validated.job


def _job_id(archive: Archive, name: str) -> str:
    try:
        job_id = archive.resolve(name)
    except UnknownJobError:
        return f"{name}-{secrets.token_hex(3)}"
    state = archive.state(job_id)
    if state is not None and state.status != IMPORTED:
        raise JobChangedError(f"job {job_id} was run, not imported; give the import another name: --job")
    return job_id


def _write(archive: Archive, job_id: str, job: Job, found: Foreign, traces: pa.Table) -> None:
    rule = job.answer.rule()
    problems = list(_problems(found).values())
    golds = [gold_form(problem.gold, rule) for problem in problems]
    forget_asked(archive, job_id)
    archive.replace_part(schema.PROBLEMS, job_id, WHOLE, problem_rows(problems, golds))
    archive.replace_part(schema.ARMS, job_id, WHOLE, to_table(schema.ARMS, _arm_rows(found, job.samples)))
    archive.write_text(job_id, "spec.yaml", job_yaml(job))
    archive.write_text(job_id, "job.json", job.model_dump_json(indent=1))
    archive.replace_part(schema.TRACES, job_id, WHOLE, traces)
    archive.write_state(_state(archive, job_id, job.name, found))


def _problems(found: Foreign) -> dict[str, Problem]:
    return {
        problem_id: Problem(
            problem_id=problem_id,
            gold=kept.gold,
            fields={"question_id": problem_id, "question": kept.question, "gold": kept.gold} | kept.common,
            ordinal=ordinal,
            family=kept.family,
        )
        for ordinal, (problem_id, kept) in enumerate(found.problems.items())
    }


def _arm_rows(found: Foreign, samples: int) -> list[dict[str, Any]]:
    unknown = dict.fromkeys(("reasoning", "budget_tokens", "effort", "max_tokens", "system", "template", "endpoint"))
    return [
        {"arm_id": arm_id, "ordinal": ordinal, "model": model, "samples": samples, **unknown}
        for ordinal, (arm_id, model) in enumerate(found.arms.items())
    ]


def _state(archive: Archive, job_id: str, name: str, found: Foreign) -> JobState:
    now = time.time()
    earlier = archive.state(job_id)
    return JobState(
        job_id=job_id,
        name=name,
        status=IMPORTED,
        total=len(found.samples),
        done=len(found.samples),
        output_tokens=sum(sample.output_tokens or 0 for sample in found.samples),
        created_at=earlier.created_at if earlier else now,
        started_at=now,
        updated_at=now,
        host=socket.gethostname(),
        pid=getpid(),
    )


def _traces(job_id: str, found: Foreign, rule: AnswerRule, *, anew: bool) -> pa.Table:
    """The rows of `traces`, column by column: there may be millions."""
    samples = found.samples
    columns: dict[str, list[Any]] = {
        name: [getattr(sample, name) for sample in samples] for name in _KEPT if name in schema.TRACES.arrow.names
    }
    keys = [SampleKey(problem_id=s.problem_id, arm_id=s.arm_id, sample_index=s.sample_index) for s in samples]
    columns["sample_id"] = [key.sample_id(job_id) for key in keys]
    columns["text"] = [sample.completion for sample in samples]
    columns["outcome"], columns["answer"] = _answers(samples, rule, anew=anew)
    forms = {answer: canonical(answer, rule.equivalence) for answer in set(columns["answer"]) if answer is not None}
    columns["canonical_answer"] = [forms.get(answer) for answer in columns["answer"]]
    columns["correct"] = _verdicts(found, rule, columns["answer"], forms)
    columns["lane"], columns["simulated"] = [IMPORTED] * len(samples), [False] * len(samples)
    arrays = [
        pa.array(columns[c.name], c.type) if c.name in columns else pa.nulls(len(samples), c.type)
        for c in schema.TRACES.columns
    ]
    return pa.Table.from_arrays(arrays, schema=schema.TRACES.arrow)


_KEPT = (
    "problem_id", "arm_id", "sample_index", "score", "stop_reason", "cost_usd", "input_tokens", "output_tokens",
    "thinking_tokens", "model", "thinking", "metadata",
)  # fmt: skip


def _answers(
    samples: Sequence[ForeignSample], rule: AnswerRule, *, anew: bool
) -> tuple[list[Outcome], list[str | None]]:
    if anew:
        readings = [
            read_sample(text=sample.completion or "", stop_reason=sample.stop_reason, failed=False, rule=rule)
            for sample in samples
        ]
        return [reading.outcome for reading in readings], [reading.answer for reading in readings]
    return [_outcome(sample) for sample in samples], [sample.answer for sample in samples]


def _outcome(sample: ForeignSample) -> Outcome:
    if sample.stop_reason == "refusal":
        return "refused"
    if sample.answer is not None:
        return "answered"
    return "truncated" if sample.stop_reason in CUT_SHORT else "no_answer"


def _verdicts(
    found: Foreign, rule: AnswerRule, answers: Sequence[str | None], forms: Mapping[str, str | None]
) -> list[bool | None]:
    """The recorded verdicts; where there is none, that of a comparison with gold, made once for equal answers."""
    problems = _problems(found)
    pairs = list(zip(found.samples, answers, strict=True))
    open_pairs = {(s.problem_id, forms[a]) for s, a in pairs if s.correct is None and a is not None}
    requests = [
        GradeRequest(problem=problems[problem_id], answer=form, canonical_answer=form)
        for problem_id, form in sorted(open_pairs, key=str)
    ]
    with Grader(rule) as grader:
        grades = dict(
            zip(
                ((request.problem.problem_id, request.canonical_answer) for request in requests),
                (grade.correct for grade in grader.grade_all(requests)),
                strict=True,
            )
        )
    return [s.correct if s.correct is not None or a is None else grades[s.problem_id, forms[a]] for s, a in pairs]
