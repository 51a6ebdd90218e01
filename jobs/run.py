"""The main flow: from a stored job to a finished archive.

run_job -> _land_leftovers   what an earlier run left in its journals becomes Parquet
        -> standing          what is done, spent and owed
        -> _sample           workers, fed until nothing is owed
        -> _judge            the same for what judges ask, as jobs derived from this one
        -> select            votes and curves, from the archive alone
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from polythink.errors import JobChangedError, LeaseLostError, PolythinkError
from polythink.jobs.adaptive import Adaptive
from polythink.jobs.batch_book import Entry
from polythink.jobs.batch_crew import BatchCrew
from polythink.jobs.batch_ledger import BatchLedger
from polythink.jobs.both_lanes import BothLanes
from polythink.jobs.cluster import cluster, default_workers
from polythink.jobs.control import Control
from polythink.jobs.crew import Crew
from polythink.jobs.estimate import pilot_ordinals
from polythink.jobs.graders import job_grader
from polythink.jobs.grid import Ordinals
from polythink.jobs.intents import leftovers
from polythink.jobs.judging import judging_rounds
from polythink.jobs.keeper import Keeper, Reader
from polythink.jobs.lanes import check_reachable, on_their_lanes
from polythink.jobs.liveness import SUBMISSION_VARIABLE
from polythink.jobs.pools import membership, pools, sharing
from polythink.jobs.requests import Requests, endpoints
from polythink.jobs.rereading import check_read_alike
from polythink.jobs.sameness_rounds import sameness_rounds
from polythink.jobs.sampling import OUTAGE_S, PATIENCE_S, Sampling, Sender, Watch
from polythink.jobs.selection import notes, select_anew
from polythink.jobs.spec import Job
from polythink.jobs.standing import Standing, kept_answers, standing, with_spared
from polythink.jobs.waves import Waves
from polythink.jobs.workload import Workload
from polythink.records import Lane, SampleKey
from polythink.selectors.registry import ForeignSelectorError, SelectorConfig, parse_selector
from polythink.storage import landing
from polythink.storage.archive import Archive
from polythink.storage.lease import Lease
from polythink.storage.state import JobState, Status


def run_job(
    archive: Archive,
    work: Workload,
    *,
    watch: Watch,
    control: Control,
    address: str | None = None,
    patience_s: float = PATIENCE_S,
    outage_s: float = OUTAGE_S,
    force: bool = False,
    pilot: int | None = None,
) -> JobState:
    """Run a stored job until nothing is owed, it is asked to stop, or it cannot go on; then select.

    `watch` hears the state about once a second, and the last one. `patience_s` is how many seconds it tries endpoints
    none of which has ever answered; `outage_s`, how many it waits for one that has gone out of service. The returned
    state is also in the archive: `done`, or `stopped`, `interrupted`, `cancelled` with the reason.

    `force` takes the job from whoever runs it. A `pilot` sends about so many samples, of all arms alike, and stops.

    Raises JobChangedError if the job's samples were imported or are read in two ways, or its batches are with an
    endpoint that it no longer has, JobBusyError if another process runs it, LeaseLostError once one has taken it from
    this, ArchiveError if the archive cannot be written, ClusterError if Ray cannot be reached or its workers keep
    failing, EndpointError if an endpoint of the batch lane refuses the job or cannot be reached; the archive is whole
    then too.
    """
    if (kept := archive.state(work.job_id)) is not None and kept.status == "imported":
        raise JobChangedError(f"job {work.job_id} holds imported samples: it has no requests that could be sent")

    def tell(state: JobState) -> None:
        lease.check()
        archive.write_state(state)
        watch(state)

    with archive.lock(work.job_id, force=force) as lease, job_grader(archive, work) as grader:
        check_read_alike(archive, work.job_id)
        reader = Reader(work.problems_by_id, work.job.answer.rule(), grader)
        sent = on_their_lanes(work, time.time(), is_pilot=pilot is not None)
        run = _Run(archive, sent, reader, lease, control, tell, address, patience_s, outage_s, pilot)
        started = _started(archive, work)
        tell(started)
        try:
            final = run.from_start(started)
        except LeaseLostError:
            raise  # the state is another's to write now
        except PolythinkError as error:
            tell(_broken_off(archive, started, "stopped", str(error)))
            raise
        except KeyboardInterrupt:
            final = _broken_off(archive, started, "interrupted", "interrupted at once; resume it to go on")
            tell(final)  # before the votes, for the next signal may be a kill
            select_anew(archive, work)
            return final
        tell(final)
        return final


def run_judges(
    archive: Archive,
    work: Workload,
    selectors: Sequence[SelectorConfig],
    *,
    watch: Watch,
    control: Control,
    address: str | None = None,
    patience_s: float = PATIENCE_S,
    outage_s: float = OUTAGE_S,
) -> JobState | None:
    """Ask what judges have not been told yet, by jobs derived from a job whose lock is held.

    First which answers are the same, where a judge decides that, then what the judges among the selectors ask. `watch`
    hears of the derived jobs. Returns the state of the one that could not be finished, whose reason says why; None if
    all was heard. A judge of another package that goes wrong could not be either, and the others are asked all the
    same. Raises as `run_job` does.
    """
    conversations = [(c.row_name, judging_rounds(archive, work, c)) for c in selectors if c.kind.judge is not None]
    if (judge := work.job.answer.equivalence_judge) is not None:
        conversations.insert(0, (judge.row_name, sameness_rounds(archive, work, judge)))
    run = partial(run_job, watch=watch, control=control, address=address, patience_s=patience_s, outage_s=outage_s)
    broken: JobState | None = None
    with ExitStack() as session:
        for name, rounds in conversations:
            try:
                for derived in rounds:
                    if not on_their_lanes(derived, time.time()).batched:  # one Ray for all rounds
                        session.enter_context(cluster(address, workers=_asked_workers(derived.job)))
                    state = run(archive, derived)
                    if state.status != "done":
                        return replace(state, reason=f"judging for {name}: {state.reason}")
            except ForeignSelectorError as error:
                broken = replace(_state(archive, work), status="stopped", reason=f"judging for {name}: {error}")
    return broken


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a job whose lock is held."""

    archive: Archive
    work: Workload
    reader: Reader
    lease: Lease
    control: Control
    tell: Watch
    address: str | None
    patience_s: float
    outage_s: float
    pilot: int | None

    def from_start(self, started: JobState) -> JobState:
        """The whole run; returns the last state."""
        warnings = self._land_leftovers()
        ledger = BatchLedger(self.archive, self.work.job_id, self.lease)
        ledger.catch_up()
        check_reachable(self.work, ledger.open)
        sent = [entry for record in ledger.open for entry in record.entries]
        only = None if self.pilot is None else self._pilot_ordinals(self.pilot)
        where = standing(self.archive, self.work, replace(started, warnings=warnings), only, sent)
        requests = Requests(self.work)
        held = self._hold(where, requests, sent)
        with ExitStack() as session:
            adaptive = session.enter_context(self._adaptive(where)) if where.scheduler.comes_in_waves else None
            where.state = with_spared(where.state, where.scheduler)
            if where.scheduler.is_finished:
                where.state = replace(where.state, status="done", reason=None)
            else:
                self.tell(where.state)
                self._sample(where, requests, ledger, held, adaptive)
        if where.state.status == "done" and where.state.done < where.state.wanted:
            where.state = replace(where.state, status="stopped", reason="the pilot is in; resume the job to go on")
        if where.state.status == "done":
            where.state = self._judge(where.state)
        selected = select_anew(self.archive, self.work, prepares=where.state.status == "done")
        said = notes(selected, self.work.job_id)
        return replace(where.state, warnings=where.state.warnings + said, updated_at=time.time())

    def _pilot_ordinals(self, wanted: int) -> Ordinals:
        job = self.work.job
        return pilot_ordinals(len(self.work.problems), len(self.work.arms), job.samples, wanted, job.seed)

    def _judge(self, done: JobState) -> JobState:
        """Ask the judges that the job names; returns how it stands then."""

        def tell(state: JobState) -> None:
            reason = f"judging for {state.selector}: {state.done:,} of {state.total:,} verdicts so far"
            self.tell(replace(done, status="running", reason=reason, updated_at=time.time()))

        judges = [parse_selector(value) for value in self.work.job.select]
        broken_off = run_judges(
            self.archive,
            self.work,
            judges,
            watch=tell,
            control=self.control,
            address=self.address,
            patience_s=self.patience_s,
            outage_s=self.outage_s,
        )
        return done if broken_off is None else replace(done, status=broken_off.status, reason=broken_off.reason)

    def _land_leftovers(self) -> tuple[str, ...]:
        """Land what an earlier run left; returns what is to be said of it."""
        warnings = []
        for ref in leftovers(self.archive, self.work.job_id, time.time()):
            segment = landing.land(self.archive, self.work.job_id, ref, self.reader.read)
            warnings.append(landing.damage(self.archive, ref, segment))
        return tuple(filter(None, warnings))

    @contextmanager
    def _adaptive(self, where: Standing) -> Iterator[Adaptive]:
        """The job's waves, as far as what is kept carries them."""
        stop = self.work.job.stopping_rule
        assert stop is not None
        waves = Waves(stop, where.scheduler.grid)
        rule = self.work.job.answer.rule()
        with Adaptive(waves, where.scheduler, rule, kept_answers(self.archive, self.work)) as adaptive:
            adaptive.begin()
            yield adaptive

    def _sample(
        self,
        where: Standing,
        requests: Requests,
        ledger: BatchLedger,
        held: Collection[SampleKey],
        adaptive: Adaptive | None,
    ) -> None:
        keeper = Keeper(self.archive, self.work.job_id, self.reader, self.lease)
        where.scheduler.cache(requests.is_cached)
        try:
            with self._sender(requests, ledger, held) as crew:
                Sampling(
                    where,
                    crew=crew,
                    keeper=keeper,
                    requests=requests,
                    control=self.control,
                    tell=self.tell,
                    patience_s=self.patience_s,
                    outage_s=self.outage_s,
                    deadline_at=self.work.job.cap.deadline_at if self.work.job.cap else None,
                    adaptive=adaptive,
                ).work()
        finally:
            keeper.close()
        where.state = replace(where.state, warnings=where.state.warnings + keeper.warnings)

    @contextmanager
    def _sender(self, requests: Requests, ledger: BatchLedger, held: Collection[SampleKey]) -> Iterator[Sender]:
        """What sends, by the lanes of the arms. Batches that are open already are followed whatever these are."""
        batched, live = self._on_lane("batch"), self._on_lane("live")
        names = [pool.name for pool in pools(batched)]
        batches = BatchCrew(ledger, requests, endpoints(self.work), names, wanted=held, asked=self.control.asked)
        if not live.arms:
            yield batches
            batches.close()
            return
        wanted = _asked_workers(self.work.job)
        with cluster(self.address, workers=wanted):
            workers = Crew(
                endpoints(live),
                pools(live),
                membership(live),
                workers=wanted or default_workers(),
                sharing=sharing(live.arms),
            )
            try:
                if not (names or ledger.open):
                    yield workers
                    return
                with BothLanes(batches, workers) as both:
                    yield both
                    both.close()
            finally:
                workers.close()

    def _on_lane(self, lane: Lane) -> Workload:
        return replace(self.work, arms=tuple(arm for arm in self.work.arms if self.work.lane(arm) == lane))

    def _hold(self, where: Standing, requests: Requests, sent: Sequence[Entry]) -> frozenset[SampleKey]:
        """Hold every sample that an earlier run left with the API, before it is decided which are wanted."""
        held = frozenset(entry.key for entry in sent if where.scheduler.hold(entry.key, entry.number))
        for key in held:
            where.purse.hold(requests.worst_case_usd(key))
            where.tokens.hold(requests.max_tokens(key))
        return held


def _asked_workers(job: Job) -> int | None:
    return job.workers if isinstance(job.workers, int) else None


def _started(archive: Archive, work: Workload) -> JobState:
    state = _state(archive, work)
    # A run that no submission started must not be looked for where an earlier one was.
    is_submitted = state.submission_id is not None and os.environ.get(SUBMISSION_VARIABLE) == state.submission_id
    now = time.time()
    return replace(
        state,
        status="running",
        reason=None,
        started_at=now,
        updated_at=now,
        host=socket.gethostname(),
        pid=os.getpid(),
        address=state.address if is_submitted else None,
        submission_id=state.submission_id if is_submitted else None,
        warnings=(),
    )


def _state(archive: Archive, work: Workload) -> JobState:
    state = archive.state(work.job_id)
    if state is None:
        raise PolythinkError(f"job {work.job_id} has no state; was it stored?")
    return state


def _broken_off(archive: Archive, started: JobState, status: Status, reason: str) -> JobState:
    state = archive.state(started.job_id) or started
    return replace(state, status=status, reason=reason, in_flight=0, updated_at=time.time())
