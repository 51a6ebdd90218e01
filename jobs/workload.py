"""A job as the archive keeps it: everything a run or a resume needs, on any machine, without the original files."""

from __future__ import annotations

import json
import secrets
import socket
import time
from dataclasses import dataclass, replace
from os import getpid

from polythink.errors import ArchiveError, JobChangedError, UnknownJobError
from polythink.jobs import functions
from polythink.jobs.changes import new_arms, read_otherwise, unlike
from polythink.jobs.load import LoadedJob
from polythink.jobs.spec import Job
from polythink.jobs.spec_parts import Cap, PythonGrade
from polythink.records import Arm, Lane, Problem, Reasoning
from polythink.selectors.reading import gold_form
from polythink.storage import schema
from polythink.storage.archive import Archive
from polythink.storage.rows import arm_rows, problem_rows
from polythink.storage.state import JobState, progress

WHOLE = "all"  # these tables are one part, replaced when a job is extended


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A job with its id, problems and arms."""

    job_id: str
    job: Job
    arms: tuple[Arm, ...]
    problems: tuple[Problem, ...]
    batched: frozenset[str] = frozenset()  # the arms that go in batches, once it is decided (lanes.py)

    @property
    def total(self) -> int:
        """Samples asked for."""
        return len(self.problems) * len(self.arms) * self.job.samples

    def lane(self, arm: Arm) -> Lane:
        """How samples of an arm reach the API."""
        return "batch" if arm.arm_id in self.batched else "live"

    @property
    def problems_by_id(self) -> dict[str, Problem]:
        return {problem.problem_id: problem for problem in self.problems}

    @property
    def arms_by_id(self) -> dict[str, Arm]:
        return {arm.arm_id: arm for arm in self.arms}


def store(archive: Archive, loaded: LoadedJob) -> Workload:
    """Put a job into the archive: a new one, or more of the one that bears its name.

    Raises JobChangedError if samples already kept would be mixed with unlike ones.
    """
    with archive.lock_name(loaded.job.name):
        work = preview(archive, loaded)
        with archive.lock(work.job_id):
            overwrite(archive, loaded, work)
        return work


def overwrite(archive: Archive, loaded: LoadedJob, work: Workload) -> None:
    """Write a job whose lock is held, as `preview` gave it."""
    for reference in loaded.functions:
        functions.copy(archive, work.job_id, reference)
    _write(archive, work, loaded.source)


def preview(archive: Archive, loaded: LoadedJob, *, may_reread: bool = False) -> Workload:
    """What `store` would store, with nothing written. Raises JobChangedError likewise.

    It raises no such error for kept samples that are to be read or graded otherwise if they `may_reread`.
    """
    kept = _kept(archive, loaded.job.name)
    if kept is None:
        return _as_kept(loaded, f"{loaded.job.name}-{secrets.token_hex(3)}")
    work = _as_kept(loaded, kept.job_id)
    if differences := unlike(kept.job, kept.arms, kept.problems, work.job, work.arms, work.problems):
        raise JobChangedError(
            f"{_differs(kept.job_id, differences)}\n"
            "Give the new job another name; --new-arms makes changed arms new ones and keeps those that are gone."
        )
    if may_reread:
        return work
    if differences := read_otherwise(kept.job, kept.arms, kept.problems, work.job, work.problems):
        raise JobChangedError(
            f"{_differs(kept.job_id, differences)}\n"
            "`polythink reread` reads and grades the kept samples by this file and sends nothing; "
            "or give the new job another name."
        )
    return work


def with_new_arms(archive: Archive, loaded: LoadedJob) -> LoadedJob:
    """The job with the arms of the kept one of its name, and arms that sample otherwise as new ones beside them.

    Raises JobChangedError if a kept arm has an endpoint that the job no longer names.
    """
    kept = _kept(archive, loaded.job.name)
    if kept is None:
        return loaded
    arms = new_arms(kept.arms, loaded.arms)
    for arm in arms:
        if missing := set(arm.endpoints) - set(loaded.job.endpoints):
            raise JobChangedError(
                f"arm {arm.arm_id} of job {kept.job_id} samples from endpoint {', '.join(sorted(missing))}, "
                "which the job file no longer names; name it there"
            )
    return replace(loaded, arms=arms)


def _kept(archive: Archive, name: str) -> Workload | None:
    try:
        return recall(archive, archive.resolve(name))
    except UnknownJobError:
        return None


def stored_job(archive: Archive, job_id: str) -> Job:
    """What the archive says the job is. Raises ArchiveError if that cannot be read."""
    try:
        return Job.model_validate_json(archive.read_text(job_id, "job.json") or "")
    except ValueError as error:
        raise ArchiveError(f"job {job_id}: its job.json cannot be read: {error}") from error


def recall(archive: Archive, job_id: str) -> Workload:
    """A job out of the archive. Raises ArchiveError if it is not whole."""
    job = stored_job(archive, job_id)
    problems = archive.sql("SELECT * FROM problems WHERE job_id = ? ORDER BY ordinal", [job_id]).to_pylist()
    arms = archive.sql("SELECT * FROM arms WHERE job_id = ? ORDER BY ordinal", [job_id]).to_pylist()
    return Workload(
        job_id=job_id,
        job=job,
        arms=tuple(_arm(row) for row in arms),
        problems=tuple(
            Problem(
                problem_id=row["problem_id"],
                gold=row["gold"],
                fields=json.loads(row["fields"]),
                ordinal=row["ordinal"],
                family=row["family"],
            )
            for row in problems
        ),
    )


def with_cap(archive: Archive, work: Workload, cap: Cap) -> Workload:
    """The stored job under another cap, durably. Raises JobBusyError while another process runs it."""
    job = work.job.model_copy(update={"cap": cap})
    with archive.lock(work.job_id):
        archive.write_text(work.job_id, "job.json", job.model_dump_json(indent=1))
        if (state := archive.state(work.job_id)) is not None:
            archive.write_state(replace(state, cap_usd=cap.usd))
    return replace(work, job=job)


def put(archive: Archive, work: Workload, *, parent_job_id: str, selector: str) -> None:
    """Put a job into the archive that polythink itself derived from another."""
    _write(archive, work, work.job.model_dump_json(indent=1))  # JSON is YAML
    if (state := archive.state(work.job_id)) is not None:
        archive.write_state(replace(state, parent_job_id=parent_job_id, selector=selector))


def _as_kept(loaded: LoadedJob, job_id: str) -> Workload:
    """The job as it will be kept: the files of its functions beside it."""
    job = loaded.job
    changed: dict[str, object] = {
        "select": tuple(functions.selector_as_kept(value, loaded.base_dir) for value in job.select)
    }
    if isinstance(job.grade, PythonGrade) and loaded.grade_function is not None:
        python = functions.kept_as(loaded.grade_function)
        changed["grade"] = job.grade.model_copy(update={"python": python})
    return Workload(job_id=job_id, job=job.model_copy(update=changed), arms=loaded.arms, problems=loaded.problems)


def _write(archive: Archive, work: Workload, source: str) -> None:
    rule = work.job.answer.rule()
    golds = [gold_form(problem.gold, rule) for problem in work.problems]
    archive.replace_part(schema.PROBLEMS, work.job_id, WHOLE, problem_rows(work.problems, golds))
    archive.replace_part(schema.ARMS, work.job_id, WHOLE, arm_rows(work.arms, work.job.samples))
    archive.write_text(work.job_id, "spec.yaml", source)
    archive.write_text(work.job_id, "job.json", work.job.model_dump_json(indent=1))
    archive.write_state(_first_state(archive, work))


def _first_state(archive: Archive, work: Workload) -> JobState:
    now = time.time()
    state = archive.state(work.job_id) or JobState(
        job_id=work.job_id,
        name=work.job.name,
        status="submitted",
        created_at=now,
        started_at=now,
        updated_at=now,
        host=socket.gethostname(),
        pid=getpid(),
    )
    per_arm = len(work.problems) * work.job.samples
    arms = {arm.arm_id: progress(state, arm.arm_id, per_arm) for arm in work.arms}
    return replace(state, total=work.total, cap_usd=work.job.cap.usd if work.job.cap else None, arms=arms)


def _arm(row: dict[str, object]) -> Arm:
    fields = {name: row[name] for name in ("arm_id", "model", "max_tokens", "system", "template", "ordinal")}
    reasoning = Reasoning(kind=row["reasoning"] or "none", budget_tokens=row["budget_tokens"], effort=row["effort"])  # type: ignore[arg-type]
    endpoints = tuple(str(row["endpoint"]).split(", "))
    return Arm(endpoints=endpoints, reasoning=reasoning, **fields)  # type: ignore[arg-type]


def _differs(job_id: str, differences: list[str]) -> str:
    listed = "\n  ".join(differences)
    return f"job {job_id} already holds samples that differ from what is asked:\n  {listed}"
