"""The run loop: feed workers, keep what comes back, until nothing is owed or the run must end."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol

from polythink.jobs.adaptive import Adaptive
from polythink.jobs.control import Control
from polythink.jobs.crew import APART, Loss, News
from polythink.jobs.intents import intent_of
from polythink.jobs.keeper import Keeper
from polythink.jobs.origin import is_simulated, mixture, set_apart
from polythink.jobs.purse import LATER_DEADLINE, RAISE_TOKENS, RAISE_USD
from polythink.jobs.requests import Requests
from polythink.jobs.scheduler import Due
from polythink.jobs.standing import Standing, with_spared
from polythink.jobs.suspects import died, lost
from polythink.records import Attempt, Intent, Lane, SampleKey
from polythink.storage.state import JobState, Status
from polythink.workers.tasks import Result, Task

Watch = Callable[[JobState], None]
TELL_EVERY_S = 1.0  # seconds between two reports of the state
OUTAGE_S = 3600.0  # seconds out of service after which the run no longer waits for an endpoint
PATIENCE_S = 30.0  # seconds without any reply before the run gives up on its endpoints


class Sender(Protocol):
    """Who takes tasks to the API and brings results back, for the run's one thread."""

    def lane(self, pool: str) -> Lane:
        """The lane of a limit pool. Batches are put on record by who sends them, live requests by the run."""
        ...

    def room(self, lanes: Collection[Lane]) -> dict[str, int]:
        """How many tasks of each limit pool of some lanes it can take now."""
        ...

    def send(self, pool: str, tasks: Sequence[Task]) -> None: ...

    def news(self) -> News:
        """What happened since last asked, waiting a moment for something to happen."""
        ...

    def recall(self) -> list[Task]:
        """Take back what this run need not wait for."""
        ...

    def leave_out(self, endpoint: str) -> list[Task]:
        """Send nothing more to an endpoint. Returns what waits there."""
        ...


class Sampling:
    """One run's loop over one thread. What it changes is in its `Standing`."""

    def __init__(
        self,
        standing: Standing,
        *,
        crew: Sender,
        keeper: Keeper,
        requests: Requests,
        control: Control,
        tell: Watch,
        patience_s: float = PATIENCE_S,
        outage_s: float = OUTAGE_S,
        deadline_at: float | None = None,
        adaptive: Adaptive | None = None,
    ) -> None:
        self._standing = standing
        self._adaptive = adaptive
        self._scheduler = standing.scheduler
        self._purse = standing.purse
        self._tokens = standing.tokens
        self._is_short_of_tokens = False  # of the caps, that which had no room last
        self._deadline_at = deadline_at
        self._crew = crew
        self._keeper = keeper
        self._requests = requests
        self._control = control
        self._tell = tell
        self._patience_s = patience_s
        self._outage_s = outage_s
        self._arrived: list[Attempt] = []  # not yet handed to the keeper
        self._left_out: set[str] = set()  # endpoints
        self._out_since: float | None = None  # when the first probe of an outage failed
        self._told_at = 0.0
        self._ending: tuple[Status, str | None] | None = None
        self._silent_since: float | None = None  # when the first of only failed connections failed
        self._was_answered = False

    def work(self) -> None:
        """Run to the end. Raises ArchiveError or ClusterError where the run cannot go on."""
        while not self._scheduler.is_finished and not (self._ending and self._scheduler.out == 0):
            self._heed_control()
            if self._adaptive is not None:
                self._adaptive.advance()
            self._keep_and_send(self._draw() if self._ending is None else [])
            self._take_in()
            self._keeper.roll()
            self._report()
        self._keep([], at_once=True)
        status, reason = self._ending or ("done", None)
        if self._scheduler.is_finished:
            status, reason = "done", None
        self._standing.state = replace(self._snapshot(), status=status, reason=reason)

    def end(self, status: Status, reason: str) -> None:
        """Send nothing more; what is in flight is still awaited and kept, for it is paid."""
        if self._ending is None:
            self._ending = (status, reason)
            for task in self._crew.recall():
                self._put_back(task)

    def _heed_control(self) -> None:
        match self._control.asked():
            case "interrupted":
                self.end("interrupted", "interrupted; resume it to go on")
            case "cancelled":
                self.end("cancelled", "cancelled; resume it to go on")
        if self._deadline_at is not None and time.time() >= self._deadline_at:
            self.end("stopped", f"the deadline has passed; {LATER_DEADLINE}")

    def _draw(self) -> list[tuple[str, list[Task]]]:
        """What is due and affordable, by pool."""
        lanes: set[Lane] = set()
        if self._keeper.is_prompt:  # what is drawn must become durable before it is sent
            lanes.add("live")
        if self._adaptive is None or not self._adaptive.is_looking:
            lanes.add("batch")  # it takes the whole wave: what comes a moment later would wait for its end
        now = time.monotonic()
        is_short = False
        drawn: list[tuple[str, list[Task]]] = []
        for pool, room in self._crew.room(lanes).items():
            if pool == APART:
                tasks, is_complete = self._suspects(room, now)
            else:
                tasks, is_complete = self._affordable(pool, room, now)
            is_short = is_short or not is_complete
            if tasks:
                drawn.append((pool, tasks))
        if is_short and not drawn:
            self._note_cap()
        return drawn

    def _keep_and_send(self, drawn: Sequence[tuple[str, list[Task]]]) -> None:
        """In one write, the results that have arrived and what is about to be sent; then it is."""
        tasks = [task for pool, tasks in drawn if self._crew.lane(pool) == "live" for task in tasks]
        now = time.time()
        self._keep([intent_of(task, self._requests.worst_case_usd(task.key), now) for task in tasks])
        for pool, tasks in drawn:
            self._crew.send(pool, tasks)

    def _keep(self, intents: Sequence[Intent], *, at_once: bool = False) -> None:
        arrived, self._arrived = self._arrived, []
        durable = self._keeper.keep([*arrived, *intents])
        if at_once:
            durable += self._keeper.flush()
        for attempt in durable:
            self._count(attempt)

    def _affordable(self, pool: str, most: int, now: float) -> tuple[list[Task], bool]:
        """Tasks that are due and may go to a pool, and whether the cap had room for all of them."""
        arm_ids = self._requests.arms_of(pool)
        tasks: list[Task] = []
        for _ in range(most):
            due = self._scheduler.next_due(now, arm_ids)
            if due is None:
                break
            task = self._afford(due, pool)
            if task is None:
                return tasks, False
            tasks.append(task)
        return tasks, True

    def _suspects(self, most: int, now: float) -> tuple[list[Task], bool]:
        """Tasks for samples that go apart from all others, and whether the cap had room for all of them."""
        group = self._scheduler.next_suspects(now) if most else []
        tasks = [task for due in group if (task := self._afford(due))]
        return tasks, len(tasks) == len(group)

    def _afford(self, due: Due, pool: str | None = None) -> Task | None:
        """The task for a sample that is due; None, and the sample is put back, if the cap has no room for it."""
        key = self._scheduler.grid.key(due.ordinal)
        if self._reserve(key):
            return self._requests.task(key, due.number, time.time(), due.role, pool)
        self._scheduler.put_back(due.ordinal)
        return None

    def _reserve(self, key: SampleKey) -> bool:
        worst_usd = self._requests.worst_case_usd(key)
        if not self._purse.reserve(worst_usd):
            self._is_short_of_tokens = False
            return False
        self._is_short_of_tokens = not self._tokens.reserve(self._requests.max_tokens(key))
        if self._is_short_of_tokens:
            self._purse.settle(reserved=worst_usd, actual=0.0)
        return not self._is_short_of_tokens

    def _note_cap(self) -> None:
        """A cap is reached for good only when nothing in flight can still give something back."""
        if self._scheduler.out == 0:
            self.end("stopped", self._cap_reason())

    def _cap_reason(self) -> str:
        if self._is_short_of_tokens:
            cap, used = self._tokens.cap or 0, self._tokens.settled
            room = f"the cap of {cap:,.0f} output tokens leaves no room for another request ({used:,.0f} used)"
            return f"{room}; {RAISE_TOKENS}"
        cap, spent, held = self._purse.cap or 0.0, self._purse.settled, self._purse.reserved
        unknown = f", up to ${held:,.4f} held for requests whose end was not seen" if held > 0 else ""
        room = f"the cap of ${cap:,.2f} leaves no room for another request (${spent:,.4f} spent{unknown})"
        return f"{room}; {RAISE_USD}"

    def _take_in(self) -> None:
        news = self._crew.news()
        if news.warnings:
            self._warn(news.warnings)
        for key in news.begun:
            self._scheduler.begun(key)
        self._arrived += [attempt for result in news.results if (attempt := self._settle(result))]
        for task in news.returned:
            self._put_back(task)
        self._arrived += [attempt for loss in news.losses for attempt in self._lose(loss)]
        if news.at_once:
            self._keep([], at_once=True)

    def _lose(self, loss: Loss) -> list[Attempt]:
        """A worker died. What its requests may have cost is not known, so it stays reserved.

        Returns the attempts to be recorded: as lost; or, of a sample that is set aside for it, as failed.
        """
        now = time.time()
        deaths = self._scheduler.lose([task.key for task in loss.tasks], loss.death)
        if not deaths:
            return [lost(task, loss.death, now, self._requests.worst_case_usd(task.key)) for task in loss.tasks]
        (task,) = loss.tasks
        attempt = self._judge(died(task, deaths, now, self._requests.worst_case_usd(task.key)))
        return [attempt] if attempt else []

    def _settle(self, result: Result) -> Attempt | None:
        attempt, failure = result.attempt, result.failure
        cost = attempt.cost_usd or 0.0
        tokens = attempt.usage.output_tokens
        worst = self._requests.worst_case_usd(attempt.key)
        if attempt.status == "lost":  # its worst case stays set aside, on record
            result = replace(result, attempt=replace(attempt, reserved_usd=worst))
        elif failure is not None and (attempt.message_id is not None or failure.may_be_billed):  # its cost is not known
            result = replace(result, attempt=replace(attempt, reserved_usd=max(0.0, worst - cost)))
            self._purse.settle(reserved=cost, actual=cost)
            self._tokens.settle(reserved=tokens, actual=tokens)
        else:
            self._purse.settle(reserved=worst, actual=cost)
            self._tokens.settle(reserved=self._requests.max_tokens(attempt.key), actual=tokens)
        self._note_outage(result)
        if failure is None or not failure.unreachable:
            self._was_answered = True
        elif not self._was_answered:
            self._lose_patience(failure.message)
        if failure is not None and failure.disposition == "stop_job":
            self._leave_out(attempt.endpoint, f"the API refuses: {failure.message}")
        return self._judge(result)

    def _leave_out(self, endpoint: str, reason: str) -> None:
        """Go on without an endpoint that refuses, if every arm has another one; else end."""
        if endpoint in self._left_out or self._ending:
            return
        self._left_out.add(endpoint)
        self._requests.leave_out(endpoint)
        arms = with_spared(self._standing.state, self._scheduler).arms
        if any(self._requests.is_stranded(arm_id) for arm_id, arm in arms.items() if arm.done < arm.wanted):
            self.end("stopped", reason)
            return
        for task in self._crew.leave_out(endpoint):
            self._put_back(task)
        self._warn([f"nothing more is sent to endpoint {endpoint}: {reason}"])

    def _warn(self, warnings: Sequence[str]) -> None:
        state = self._standing.state
        self._standing.state = replace(state, warnings=(*state.warnings, *warnings))

    def _note_outage(self, result: Result) -> None:
        """Whoever is back within the hour is waited for; probes are no strikes, so something else must end the wait."""
        if result.failure is None or not result.is_probe:
            self._out_since = None if result.failure is None else self._out_since
            return
        now = time.monotonic()
        self._out_since = self._out_since or now
        if now - self._out_since > self._outage_s:
            self.end("stopped", f"the endpoint is out of service: {result.failure.message}; resume it to go on")

    def _judge(self, result: Result) -> Attempt | None:
        """The attempt as it must be recorded: as a trace only beside others of its origin."""
        if reason := mixture(self._standing.simulated, result.attempt):
            self.end("stopped", reason)
            result = set_apart(result, reason)
        attempt = self._scheduler.settle(result, time.monotonic(), may_give_up=self._was_answered)
        if attempt is not None and attempt.is_final and self._standing.simulated is None:
            self._standing.simulated = is_simulated(attempt)
        return attempt

    def _lose_patience(self, message: str) -> None:
        now = time.monotonic()
        self._silent_since = self._silent_since or now
        if now - self._silent_since > self._patience_s:
            self.end("stopped", f"no endpoint answers: {message}; check base_url and the network")

    def _put_back(self, task: Task) -> None:
        self._scheduler.put_back_key(task.key)
        self._keeper.recall(task.key, task.number)
        self._purse.settle(reserved=self._requests.worst_case_usd(task.key), actual=0.0)
        self._tokens.settle(reserved=self._requests.max_tokens(task.key), actual=0.0)

    def _count(self, attempt: Attempt) -> None:
        state = self._standing.state
        arm_id, arms = attempt.key.arm_id, state.arms
        if attempt.is_final:
            arm = arms[arm_id]
            arms = {**arms, arm_id: replace(arm, done=arm.done + 1)}
            if self._adaptive is not None:
                self._adaptive.heard(attempt)
        self._standing.state = replace(
            state,
            done=state.done + attempt.is_final,
            failed=state.failed + (attempt.status == "failed"),
            retries=state.retries + (attempt.status == "retry"),
            output_tokens=state.output_tokens + attempt.usage.output_tokens,
            arms=arms,
        )

    def _snapshot(self) -> JobState:
        return replace(
            with_spared(self._standing.state, self._scheduler),
            in_flight=self._scheduler.out,
            spent_usd=self._purse.settled,
            updated_at=time.time(),
        )

    def _report(self) -> None:
        if time.monotonic() - self._told_at >= TELL_EVERY_S:
            self._told_at = time.monotonic()
            self._tell(self._snapshot())
