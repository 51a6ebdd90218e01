"""The main flow: from a stored job to a finished archive.

run_job -> land_leftovers   what an earlier run left in its journals becomes Parquet
        -> standing         what is done, spent and owed
        -> sample           workers, fed until nothing is owed
        -> select           votes and curves, from the archive alone
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace

from polythink.errors import PolythinkError
from polythink.jobs.cluster import cluster, default_workers
from polythink.jobs.control import Control
from polythink.jobs.crew import Crew
from polythink.jobs.keeper import Keeper, Reader
from polythink.jobs.requests import Requests, endpoints
from polythink.jobs.sampling import PATIENCE_S, Sampling, Watch
from polythink.jobs.selection import select
from polythink.jobs.spec_parts import PythonGrade
from polythink.jobs.standing import Standing, standing
from polythink.jobs.workload import Workload, grade_function
from polythink.records import Arm, Problem
from polythink.selectors.grading import Grader
from polythink.selectors.sandbox import SandboxLimits
from polythink.storage import landing
from polythink.storage.archive import Archive
from polythink.storage.state import JobState, Status


def run_job(
    archive: Archive,
    work: Workload,
    *,
    watch: Watch,
    control: Control,
    address: str | None = None,
    patience_s: float = PATIENCE_S,
) -> JobState:
    """Run a stored job until nothing is owed, it is asked to stop, or it cannot go on; then select.

    `watch` hears the state about once a second, and the last one. `patience_s` is how many seconds it tries endpoints
    none of which has ever answered. The returned state is also in the archive: `done`, or `stopped`, `interrupted`,
    `cancelled` with the reason. Raises JobBusyError if another process runs the job, ArchiveError if the archive cannot
    be written, ClusterError if Ray cannot be reached or its workers keep failing; the archive is whole then too.
    """

    def tell(state: JobState) -> None:
        archive.write_state(state)
        watch(state)

    with archive.lock(work.job_id), _grader(archive, work) as grader:
        started = _started(archive, work)
        tell(started)
        try:
            final = _run(archive, work, started, _reader(work, grader), control, tell, address, patience_s)
        except PolythinkError as error:
            tell(_broken_off(archive, started, "stopped", str(error)))
            raise
        except KeyboardInterrupt:
            final = _broken_off(archive, started, "interrupted", "interrupted at once; resume it to go on")
            tell(final)  # before the votes, for the next signal may be a kill
            select(archive, work)
            return final
        tell(final)
        return final


def _run(
    archive: Archive,
    work: Workload,
    started: JobState,
    reader: Reader,
    control: Control,
    tell: Watch,
    address: str | None,
    patience_s: float,
) -> JobState:
    for path in landing.segments(archive, work.job_id):
        landing.land(archive, work.job_id, path, reader.read)
    where = standing(archive, work, started)
    if where.scheduler.is_finished:
        where.state = replace(where.state, status="done", reason=None)
    else:
        tell(where.state)
        _sample(archive, work, where, reader, control, tell, address, patience_s)
    select(archive, work)
    return replace(where.state, updated_at=time.time())


def _sample(
    archive: Archive,
    work: Workload,
    where: Standing,
    reader: Reader,
    control: Control,
    tell: Watch,
    address: str | None,
    patience_s: float,
) -> None:
    wanted = work.job.workers if isinstance(work.job.workers, int) else None
    with cluster(address, workers=wanted):
        keeper = Keeper(archive, work.job_id, reader)
        crew = Crew(
            endpoints(work),
            workers=wanted or default_workers(),
            in_flight=work.job.concurrency,
            requests_per_minute={name: spec.requests_per_minute for name, spec in work.job.endpoints.items()},
        )
        try:
            requests = Requests(work.job_id, _problems(work), _arms(work), endpoints(work))
            Sampling(
                where,
                crew=crew,
                keeper=keeper,
                requests=requests,
                control=control,
                tell=tell,
                patience_s=patience_s,
            ).work()
        finally:
            crew.close()
            keeper.close()


def _started(archive: Archive, work: Workload) -> JobState:
    state = archive.state(work.job_id)
    if state is None:
        raise PolythinkError(f"job {work.job_id} has no state; was it stored?")
    now = time.time()
    return replace(
        state, status="running", reason=None, started_at=now, updated_at=now, host=socket.gethostname(), pid=os.getpid()
    )


def _broken_off(archive: Archive, started: JobState, status: Status, reason: str) -> JobState:
    state = archive.state(started.job_id) or started
    return replace(state, status=status, reason=reason, in_flight=0, updated_at=time.time())


def _grader(archive: Archive, work: Workload) -> Grader:
    grade, rule = work.job.grade, work.job.answer.rule()
    if isinstance(grade, PythonGrade):
        limits = SandboxLimits(seconds=grade.timeout_s)
        return Grader(rule, mode="function", function=grade_function(archive, work), limits=limits)
    return Grader(rule, mode="gold" if grade == "auto" else "none")


def _reader(work: Workload, grader: Grader) -> Reader:
    return Reader(_problems(work), work.job.answer.rule(), grader)


def _problems(work: Workload) -> dict[str, Problem]:
    return {problem.problem_id: problem for problem in work.problems}


def _arms(work: Workload) -> dict[str, Arm]:
    return {arm.arm_id: arm for arm in work.arms}
