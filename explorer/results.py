"""A job's results as small records: what reports, figures and the terminal are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from polythink.records import Outcome
from polythink.selectors.registry import PASS
from polythink.selectors.stopped import AdaptivePoint
from polythink.selectors.thinking import ThinkingLine, ThinkingPoint

OUTCOMES: tuple[Outcome, ...] = ("answered", "no_answer", "truncated", "refused", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """The job as a whole."""

    job_id: str
    name: str
    status: str
    reason: str | None  # why it stopped
    created_at: datetime | None  # first run, UTC
    updated_at: datetime | None  # last sign of life, UTC
    total: int  # samples asked for, less those that a stopping rule spared
    traces: int  # samples finished
    problems: int
    families: int  # of problems that stand or fall together; as many as problems where each is one of its own
    spent_usd: float | None  # None where no price is known
    cap_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFacts:
    """One arm and what became of its samples."""

    arm_id: str
    model: str
    reasoning: str | None  # budget_tokens, effort, adaptive or none; None where samples were imported
    budget_tokens: int | None  # tokens
    effort: str | None
    traces: int  # samples finished
    correct: int  # of them right
    outcomes: dict[str, int]  # samples by outcome
    thinking_tokens: float | None  # mean per sample, over samples where they are known
    output_tokens: float | None  # mean per sample
    cost_usd: float | None  # all attempts, failed ones included


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One point of one curve; selector `pass` is pass@n."""

    arm_id: str
    selector: str
    n: int  # samples per problem
    accuracy: float  # 0..1
    low: float  # 0..1
    high: float  # 0..1
    problems: int  # that the average is over


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """A point of a selector's curve, at its price."""

    arm_id: str
    selector: str
    n: float  # samples per problem; where problems were stopped early, the mean
    stopped: bool  # early
    usd_per_problem: float
    accuracy: float  # 0..1
    low: float  # 0..1
    high: float  # 0..1
    is_efficient: bool  # nothing as cheap is more accurate, nothing cheaper as accurate


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceBin:
    """Picks of an arm whose confidence lies in one tenth."""

    arm_id: str
    selections: int
    confidence: float  # 0..1, mean
    accuracy: float  # 0..1
    accuracy_low: float  # 0..1
    accuracy_high: float  # 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How far the confidence of an arm's picks can be believed."""

    arm_id: str
    selections: int  # graded
    confidence: float  # 0..1, mean
    accuracy: float  # 0..1
    calibration_error: float  # 0..1, expected, over tenths
    brier: float  # 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemGap:
    """A problem on which the vote falls short of the samples, at the most samples it has."""

    problem_id: str
    n: int
    right_share: float  # 0..1, of its samples
    pass_at_n: float
    majority_at_n: float
    gap: float
    entropy: float  # bits
    classes: int  # of answers


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPair:
    """Two arms on the same problems, under the shown selector."""

    n: int  # samples per problem
    first_arm: str
    second_arm: str
    difference: float  # -1..1, of the first less the second
    low: float
    high: float
    p_value: float
    p_holm: float  # adjusted for all pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """What a selector picked for one problem in one arm."""

    arm_id: str
    answer: str | None
    correct: bool | None
    confidence: float | None  # 0..1
    votes: int
    voters: int
    abstained: int
    tied: bool
    tally: tuple[tuple[str, int], ...]  # answer classes with their votes, largest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """One trace, its long texts cut in the middle."""

    arm_id: str
    sample_index: int
    outcome: str
    answer: str | None
    correct: bool | None
    thinking_tokens: int | None
    cost_usd: float | None
    thinking: str
    text: str
    wins: bool  # whether its wording is the one picked


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemFacts:
    """One problem: what was asked, what was picked, a few traces."""

    problem_id: str
    prompt: str  # as much of the row's text as is shown
    gold: str | None
    picks: tuple[Pick, ...]  # at most one per arm, in order of arms
    excerpts: tuple[Excerpt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendLine:
    """Money by model and lane."""

    model: str | None
    lane: str
    attempts: int  # requests
    input_tokens: int
    output_tokens: int
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that reports, figures and the terminal show of a job."""

    job: JobFacts
    arms: tuple[ArmFacts, ...]  # in order of the job file
    curves: tuple[CurvePoint, ...]
    thinking: tuple[ThinkingPoint, ...]
    lines: tuple[ThinkingLine, ...]  # of models with two different amounts of thinking
    frontier: tuple[FrontierPoint, ...]  # those with a price, the cheapest first
    bins: tuple[ConfidenceBin, ...]  # of the shown selector
    calibrations: tuple[Calibration, ...]  # of the shown selector, in order of arms
    gaps: tuple[ProblemGap, ...]  # of the best arm, the largest first
    pairs: tuple[ArmPair, ...]  # the clearest first
    selector: str | None  # whose picks are shown
    problems: tuple[ProblemFacts, ...]  # the first MAX_PROBLEMS
    spend: tuple[SpendLine, ...]
    minds: dict[str, int]  # simulated samples by the mind that answered
    stopped: tuple[AdaptivePoint, ...] = ()  # of the arms whose problems were stopped early

    @property
    def simulated(self) -> int:
        """Samples that no real API answered."""
        return sum(self.minds.values())

    def arm(self, arm_id: str) -> ArmFacts:
        return next(arm for arm in self.arms if arm.arm_id == arm_id)

    def at_full_n(self, arm_id: str, selector: str) -> CurvePoint | None:
        """The arm's curve at the largest n that all of its problems reach; None without such a curve."""
        points = [p for p in self.curves if p.arm_id == arm_id and p.selector == selector]
        everyone = max((p.problems for p in points), default=0)
        return max((p for p in points if p.problems == everyone), key=lambda p: p.n, default=None)

    def same_n(self) -> int | None:
        """The samples per problem that every arm reached; None if they differ."""
        ends = (self.at_full_n(arm.arm_id, PASS) for arm in self.arms)
        counts = {end.n for end in ends if end is not None}
        return counts.pop() if len(counts) == 1 else None

    def at_one(self, arm_id: str) -> CurvePoint | None:
        """Accuracy of a single sample: pass@1; None if nothing was graded."""
        points = (p for p in self.curves if p.arm_id == arm_id and p.selector == PASS and p.n == 1)
        return next(points, None)
