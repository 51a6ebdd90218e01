"""One worker's side of a limit pool: what waits, what may start when, what to report. No I/O, no clock."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count

from polythink.workers.leases import Ask, Ended, Lease, Permit, Reading, Refusal, Report
from polythink.workers.tasks import Task

BYTES_PER_TOKEN = 3.0  # of a prompt, until replies have told: rather too many tokens than too few
LOOKED_AT = 16  # tasks at the front of a queue, to predict their input
LEARNING = 0.1  # weight of the newest reply in the ratio


@dataclass(frozen=True, slots=True)
class Start:
    """A task to start now."""

    task: Task
    permit: Permit
    is_probe: bool


class Holder:
    """The tasks of one worker for one pool."""

    def __init__(self, job: str, *, streams: int) -> None:
        self._job = job
        self._streams = streams
        self._waiting: dict[str, deque[Task]] = {}
        self._due: list[tuple[float, int, Permit, bool]] = []  # permits not used yet, by time
        self._order = count()
        self._running: Counter[str] = Counter()
        self._bytes_per_token: dict[str, float] = {}
        self._returned: list[Permit] = []
        self._ended: list[Ended] = []
        self._refusals: list[Refusal] = []
        self._answered = self._limitless = self._overloads = 0
        self._reading: tuple[Reading, float] | None = None  # and when it came

    @property
    def waiting(self) -> int:
        """Tasks not started."""
        return sum(len(tasks) for tasks in self._waiting.values())

    @property
    def running(self) -> int:
        return self._running.total()

    @property
    def is_busy(self) -> bool:
        """Whether there is anything to report or to ask for."""
        return bool(self._waiting or self._due or self._ended or self._returned or self.running)

    def put(self, tasks: Iterable[Task]) -> None:
        """Queue tasks."""
        for task in tasks:
            self._waiting.setdefault(self._kind(task), deque()).append(task)

    def recall(self) -> list[Task]:
        """Give back what has not started."""
        tasks = [task for kind in self._waiting.values() for task in kind]
        self._waiting.clear()
        return tasks

    def take(self, lease: Lease, now: float) -> None:
        """A lease came: its permits are used one after the other."""
        gap = lease.spread_s / max(1, len(lease.permits))
        for number, permit in enumerate(lease.permits):
            heapq.heappush(self._due, (now + number * gap, next(self._order), permit, lease.is_probe))

    def starts(self, now: float) -> list[Start]:
        """What is to be started now."""
        started: list[Start] = []
        while self._due and self._due[0][0] <= now:
            _, _, permit, is_probe = heapq.heappop(self._due)
            tasks = self._waiting.get(permit.kind)
            if not tasks:
                self._returned.append(permit)
                continue
            started.append(Start(tasks.popleft(), permit, is_probe))
            if not tasks:
                del self._waiting[permit.kind]
            self._running[permit.kind] += 1
        return started

    def next_start(self) -> float | None:
        """When the next permit may be used."""
        return self._due[0][0] if self._due else None

    def answered(self, reading: Reading | None, now: float) -> None:
        """The head of a reply is in that is no overload."""
        self._answered += 1
        if reading is None:
            self._limitless += 1
        else:
            self._reading = reading, now

    def ended(self, start: Start, *, input_tokens: int | None, output_tokens: int | None) -> None:
        """A request is over; the counts are None where no reply told them."""
        self._running[start.permit.kind] -= 1
        self._ended.append(Ended(permit=start.permit, input_tokens=input_tokens, output_tokens=output_tokens))
        if input_tokens and start.task.prompt_bytes:
            ratio, kind = start.task.prompt_bytes / input_tokens, start.permit.kind
            earlier = self._bytes_per_token.get(kind)
            self._bytes_per_token[kind] = ratio if earlier is None else earlier + LEARNING * (ratio - earlier)

    def refused(self, refusal: Refusal) -> None:
        """A 429 about rate."""
        self._refusals.append(refusal)

    def overloaded(self) -> None:
        """A 529, a 5xx, a reset or a time-out."""
        self._overloads += 1

    def report(self, now: float, *, uncollected: int = 0) -> Report:
        """Everything since the last report. Results that nobody has collected yet take up room as requests do: if the
        driver is killed, they are lost as those are.
        """
        running = self._running.copy()
        for _, _, permit, _ in self._due:
            running[permit.kind] += 1
        reading = None
        if self._reading is not None:
            told, at = self._reading
            reading = replace(told, age_s=max(0.0, now - at))
        room = max(0, self._streams - self.running - len(self._due) - uncollected)
        report = Report(
            asks=self._asks(room),
            room=room,
            running=+running,
            returned=tuple(self._returned),
            ended=tuple(self._ended),
            reading=reading,
            answered=self._answered,
            limitless=self._limitless,
            overloads=self._overloads,
            refusals=tuple(self._refusals),
        )
        self._forget_news()
        return report

    def _forget_news(self) -> None:
        self._returned, self._ended, self._refusals = [], [], []
        self._answered = self._limitless = self._overloads = 0
        self._reading = None

    def _asks(self, room: int) -> tuple[Ask, ...]:
        due = Counter(permit.kind for _, _, permit, _ in self._due)
        asks: list[Ask] = []
        for kind, tasks in self._waiting.items():
            wanted = min(len(tasks) - due[kind], room)
            if wanted > 0:
                asks.append(self._ask(kind, tasks, wanted))
        return tuple(asks)

    def _ask(self, kind: str, tasks: deque[Task], wanted: int) -> Ask:
        ratio = self._bytes_per_token.get(kind, BYTES_PER_TOKEN)
        front = [tasks[n].prompt_bytes for n in range(min(wanted, LOOKED_AT))]
        return Ask(
            kind=kind,
            count=wanted,
            input_tokens=sum(front) / len(front) / ratio,
            output_tokens=tasks[0].output_guess,
        )

    def _kind(self, task: Task) -> str:
        return f"{self._job}/{task.key.arm_id}"
