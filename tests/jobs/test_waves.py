"""Waves ask for what the rules would have asked for, in whatever order samples finish and wherever a run is cut."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polythink.jobs.adaptive import Adaptive
from polythink.jobs.grid import DoneSet, Grid
from polythink.jobs.scheduler import Due, Scheduler
from polythink.jobs.waves import Waves
from polythink.records import AnswerRule, Attempt, SampleKey
from polythink.selectors.greedy import Greedy, allocate
from polythink.selectors.panel import ABSTAINS
from polythink.selectors.stopping import Beta, Dirichlet, StoppingRule, Window, stops_at
from polythink.workers.tasks import Failure, Result

RULES: tuple[StoppingRule, ...] = (
    Beta(confidence=0.8, at_least=2, wave=1), Beta(confidence=0.95, wave=3), Dirichlet(confidence=0.9), Window(size=3),
)  # fmt: skip
GREEDY = (Greedy(share=0.5), Greedy(share=0.7, at_least=1, wave=3), Greedy(share=0.1))
EXACT = AnswerRule(equivalence="string")

seeds = st.integers(0, 2**31)
rules = st.sampled_from((*RULES, *GREEDY))
sizes = st.tuples(st.integers(1, 5), st.integers(1, 2), st.integers(1, 14))


def attempt_of(key: SampleKey, number: int, answer: str | None) -> Attempt:
    text = "" if answer is None else rf"\\boxed{{{answer}}}"
    return Attempt(
        key=key,
        number=number,
        status="complete",
        lane="live",
        endpoint="e",
        queued_at=0.0,
        started_at=0.0,
        finished_at=0.0,
        content=f'[{{"type": "text", "text": "{text}"}}]',
    )


class Job:
    """A job of so many problems, arms and samples whose every answer is known beforehand."""

    def __init__(self, seed: int, rule: StoppingRule | Greedy, problems: int, arms: int, samples: int) -> None:
        self.rng = random.Random(seed)
        self.rule = rule
        self.grid = Grid([f"p{n}" for n in range(problems)], [f"a{n}" for n in range(arms)], samples)
        skew = [self.rng.choice((0.2, 0.5, 0.9)) for _ in range(self.grid.prompts)]
        self.answers = [self._answer(skew[ordinal % self.grid.prompts]) for ordinal in range(len(self.grid))]
        self.kept: dict[int, str | None] = {}
        self.begin()

    def _answer(self, skew: float) -> str | None:
        return None if self.rng.random() < 0.1 else "x" if self.rng.random() < skew else self.rng.choice("yz")

    def begin(self, *, is_cached: bool = False) -> None:
        """A run, which knows no more than what is kept."""
        done = DoneSet(len(self.grid))
        for ordinal in self.kept:
            done.add(ordinal)
        self.scheduler = Scheduler(self.grid, done, earlier_attempts={}, max_strikes=3, seed=0, in_waves=True)
        self.scheduler.cache(lambda key: is_cached)
        self.adaptive = Adaptive(Waves(self.rule, self.grid), self.scheduler, EXACT, dict(self.kept))
        self.adaptive.begin()

    def work(self, most: int) -> bool:
        """Send and finish, in some order, until all is over (True) or so many more samples are kept (False)."""
        out: list[Due] = []
        with self.adaptive:
            while not self.scheduler.is_finished:
                self.adaptive.advance()
                out += iter(lambda: self.scheduler.next_due(0.0, self.grid.arm_ids), None)
                if out:
                    due = out.pop(self.rng.randrange(len(out)))
                    assert due.ordinal not in self.kept, "sent twice"
                    self._finish(due)
                    most -= 1
                if most < 0:
                    return False
        return True

    def _finish(self, due: Due) -> None:
        key, answer = self.grid.key(due.ordinal), self.answers[due.ordinal]
        attempt = attempt_of(key, due.number, answer)
        self.scheduler.begun(key)
        self.scheduler.settle(Result(attempt=attempt), 0.0)
        self.kept[due.ordinal] = answer
        self.adaptive.heard(attempt)

    def labels(self, cell: int) -> list[int]:
        every = self.answers[cell :: self.grid.prompts]
        return [ABSTAINS if answer is None else ord(answer) for answer in every]

    def taken(self) -> list[int]:
        """Samples of each cell, which must be its first."""
        counts = [0] * self.grid.prompts
        for ordinal in sorted(self.kept):
            index, cell = divmod(ordinal, self.grid.prompts)
            assert index == counts[cell], "a sample was left out"
            counts[cell] += 1
        return counts

    def expected(self) -> list[int]:
        cells = range(self.grid.prompts)
        if not isinstance(self.rule, Greedy):
            return [stops_at(self.rule, self.labels(cell)) for cell in cells]
        arms, counts = len(self.grid.arm_ids), [0] * self.grid.prompts
        for arm in range(arms):
            each = [self.labels(cell) for cell in cells[arm::arms]]
            counts[arm::arms] = allocate(each, self.rule.budget(self.grid.per_arm), self.rule)
        return counts


@given(seeds, rules, sizes)
def test_every_problem_gets_what_its_rule_asks_for(
    seed: int, rule: StoppingRule | Greedy, size: tuple[int, int, int]
) -> None:
    job = Job(seed, rule, *size)
    assert job.work(10**6)
    assert job.taken() == job.expected()
    assert sum(job.scheduler.spared.values()) == len(job.grid) - len(job.kept)


@given(seeds, rules, sizes, st.integers(0, 60), st.booleans())
def test_a_run_that_is_cut_goes_on_to_the_same_samples(
    seed: int, rule: StoppingRule | Greedy, size: tuple[int, int, int], most: int, is_cached: bool
) -> None:
    job = Job(seed, rule, *size)
    while not job.work(most):
        most += 1
        job.begin(is_cached=is_cached)
    assert job.taken() == job.expected()


@given(seeds, st.sampled_from(RULES), sizes)
def test_samples_of_a_longer_job_are_looked_at_as_if_they_had_come_in_waves(
    seed: int, rule: StoppingRule, size: tuple[int, int, int]
) -> None:
    """Every problem has half of its samples already: those decided earlier get no more, none is lost."""
    job = Job(seed, rule, *size)
    half = (size[2] + 1) // 2
    job.kept = {ordinal: job.answers[ordinal] for ordinal in range(half * job.grid.prompts)}
    job.begin()
    assert job.work(10**6)
    assert job.taken() == [max(half, n) for n in job.expected()]


def test_a_sample_that_an_earlier_run_left_with_the_api_is_taken_in_though_its_problem_is_decided() -> None:
    job = Job(0, Beta(confidence=0.9, at_least=3, wave=1), 1, 1, 10)
    job.answers = ["x"] * 10
    job.kept = {0: "x", 1: "x", 2: "x"}
    done = DoneSet(10)
    for ordinal in job.kept:
        done.add(ordinal)
    job.scheduler = Scheduler(job.grid, done, earlier_attempts={}, max_strikes=3, seed=0, in_waves=True)
    assert job.scheduler.hold(job.grid.key(7), 1)
    job.adaptive = Adaptive(Waves(job.rule, job.grid), job.scheduler, EXACT, dict(job.kept))
    job.adaptive.begin()
    assert not job.scheduler.is_finished and job.scheduler.spared == {"a0": 6}
    job._finish(Due(7, 1))
    assert job.scheduler.is_finished
    job.adaptive.close()


def held(samples: int, *ordinals: int, in_waves: bool) -> Scheduler:
    """One problem, some of whose samples an earlier run left with the API."""
    scheduler = Scheduler(
        Grid(["p"], ["a"], samples), DoneSet(samples), earlier_attempts={}, max_strikes=3, seed=0, in_waves=in_waves
    )
    for ordinal in ordinals:
        assert scheduler.hold(scheduler.grid.key(ordinal), 1)
    return scheduler


def expired(scheduler: Scheduler, ordinal: int) -> None:
    """The API gives a held sample back without an answer, at once."""
    owed_again = replace(attempt_of(scheduler.grid.key(ordinal), 1, None), status="retry")
    failure = Failure(disposition="retry", error_type="expired", message="expired", limited=True, retry_after_s=0.0)
    assert scheduler.settle(Result(attempt=owed_again, failure=failure), 0.0) is not None


def drawn(scheduler: Scheduler) -> list[int]:
    return [due.ordinal for due in iter(lambda: scheduler.next_due(1.0, ["a"]), None)]


@pytest.mark.parametrize("in_waves", [False, True])
def test_a_held_sample_that_comes_back_unanswered_is_drawn_once(in_waves: bool) -> None:
    scheduler = held(8, 5, 6, in_waves=in_waves)
    if in_waves:
        scheduler.release(range(8))
    expired(scheduler, 5)
    expired(scheduler, 6)
    assert sorted(drawn(scheduler)) == list(range(8))


def test_a_held_sample_of_a_later_wave_that_comes_back_unanswered_waits_for_its_wave() -> None:
    scheduler = held(10, 9, in_waves=True)
    scheduler.release(range(4))
    expired(scheduler, 9)
    assert drawn(scheduler) == [0, 1, 2, 3]
    scheduler.release(range(4, 10))
    assert drawn(scheduler) == [4, 5, 6, 7, 8, 9]


def test_the_result_of_a_sample_that_is_done_leaves_nobody_out() -> None:
    scheduler = held(1, 0, in_waves=True)
    scheduler.done.add(0)
    result = Result(attempt=attempt_of(scheduler.grid.key(0), 1, None))
    assert scheduler.settle(result, 0.0) is None and scheduler.out == 0


def test_a_wave_of_one_sample_writes_no_cache_that_nobody_reads() -> None:
    job = Job(0, Window(size=3), 1, 1, 12)
    job.begin(is_cached=True)
    roles = [job.scheduler.next_due(0.0, ["a0"]) for _ in range(1)]
    assert roles[0] is not None and roles[0].role == "lead"
    job.adaptive.close()
    lone = held(8, in_waves=True)
    lone.cache(lambda key: True)
    lone.release(range(2))
    first = lone.next_due(0.0, ["a"])
    assert first is not None and first.role == "lead"
    lone.settle(Result(attempt=attempt_of(lone.grid.key(first.ordinal), 1, None)), 0.0)
    assert [due.role for due in iter(lambda: lone.next_due(1.0, ["a"]), None)] == ["follow"]
    lone.release([2])
    late = lone.next_due(1_000.0, ["a"])
    assert late is not None and late.role is None, "cold, and alone"
