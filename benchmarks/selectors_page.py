"""`docs/selectors-measured.md`, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_NAMES = {  # in the order of the table
    "pass": "pass@n, the bound",
    "majority": "majority",
    "first": "first",
    "shortest": "shortest",
    "judge": "judge, best",
    "judge-weighted": "judge, weighted",
    "scorer": "scorer, best",
    "scorer-weighted": "scorer, weighted",
    "scorer-judge": "scorer over the judge's ratings, best",
    "scorer-judge-weighted": "the same, weighted",
    "genselect": "genselect",
    "consistency": "consistency",
    "pairwise": "pairwise",
    "knockout": "knockout",
    "swiss": "swiss",
}
_HEAD = """\
# Selectors, measured

Written by `python -m benchmarks selectors --write docs/selectors-measured.md`; do not edit. **Everything here is
simulated**: real jobs over HTTP, in the batch lane, answered by the [simulator](simulator.md)'s synthetic mind, whose
traps, near misses and judge are invented. It says how selectors compare where the truth is known, not how a model does.

- The {problems} problems of `examples/competition.jsonl`, one arm: {model}, {budget:,} thinking tokens; {samples}
  samples; seed {seed} of the simulator.
- The judge, and every other selector that asks a model, is {model} without thinking. It takes a right answer for right
  with chance 0.85, a wrong one for wrong with 0.75, and gives 10% of its choices to whatever is shown first (the
  simulator's defaults).
- Batch requests are answered in the order of the grid, so all jobs below have the same first samples, on every machine.
- Bands are 95%, by bootstrap over problems. Prices are list prices, half for batches.
"""
_UNDER_ACCURACY = """
Selectors with a curve: the expectation over all n-subsets of the samples. The last five have none: they pick from the
first n samples of every problem, once. Pairwise, knockout and swiss are measured at 8 and 16 only, for a tournament is
judged anew at every n, and one of 40 asks up to hundreds of verdicts about each problem.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A selector at so many samples."""

    accuracy: float  # 0..1
    low: float
    high: float
    sample_usd: float  # of the samples, per problem
    judge_usd: float  # of what the selector asked, per problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A job that stopped early, next to the majority of all samples."""

    rule: str
    samples: float  # per problem, the mean
    accuracy: float  # 0..1
    difference: float
    error: float  # standard error of the difference over problems
    usd: float  # per problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """Comparisons by a judge that likes the first place."""

    bias: float
    first_place: float  # share of pairwise verdicts that name whoever is shown first
    accuracy: Mapping[str, float]  # by selector


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that the page shows."""

    model: str
    budget: int  # thinking tokens
    samples: int  # per problem
    seed: int  # of the simulator
    problems: int
    points: Mapping[str, Mapping[int, Point]]  # by selector and n
    stopped: Sequence[Stopped]
    biases: Sequence[Bias]
    right: Mapping[str, Mapping[str, bool]]  # of all samples: selector, then problem


def page(found: Measured) -> str:
    """The page, as Markdown."""
    head = _HEAD.format(
        problems=found.problems, model=found.model, budget=found.budget, samples=found.samples, seed=found.seed
    )
    ns = sorted(found.points["majority"])
    parts = [head, "## Accuracy\n", _accuracies(found.points, ns), _UNDER_ACCURACY]
    parts += ["## USD for each problem\n", _prices(found.points), "## What it teaches\n", _lessons(found, ns[-1])]
    parts += ["## A judge that likes the first place\n", _biases(found.biases)]
    return "\n".join([*parts, "## Stopping early\n", _stops(found, ns[-1])])


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _accuracies(points: Mapping[str, Mapping[int, Point]], ns: list[int]) -> str:
    def shown(point: Point | None) -> str:
        if point is None:
            return ""
        return f"{100 * point.accuracy:.1f} ({100 * point.low:.0f} to {100 * point.high:.0f})"

    rows = [[label, *(shown(points[name].get(n)) for n in ns)] for name, label in _NAMES.items()]
    return _table(["accuracy in %, at n =", *map(str, ns)], rows)


def _prices(points: Mapping[str, Mapping[int, Point]]) -> str:
    rows = []
    for name in ("judge", "genselect", "consistency", "pairwise", "knockout", "swiss"):
        for n in (8, 16, 40):
            point = points[name].get(n)
            if point is not None:
                both = point.sample_usd + point.judge_usd
                share = f"{100 * point.judge_usd / both:.1f}%"
                costs = f"{point.sample_usd:.4f}", f"{point.judge_usd:.5f}", f"{both:.4f}", share
                rows.append([_NAMES[name].removesuffix(", best"), str(n), *costs])
    one = points["majority"][1].sample_usd
    note = f"""
A sample costs {one:.5f}. Selectors that ask nobody cost n times that; what the scorer and a weighted vote make of the
judge's ratings costs what the judge does.
"""
    return _table(["selector", "n", "samples", "judging", "both", "share of judging"], rows) + note


def _lessons(found: Measured, last: int) -> str:
    def at(name: str, n: int) -> str:
        return f"{100 * found.points[name][n].accuracy:.1f}%"

    def against(name: str) -> str:
        vote, right = found.right["majority"], found.right[name]
        won, lost = (sum(one[p] and not other[p] for p in vote) for one, other in ((right, vote), (vote, right)))
        return f"wins {won} problems and loses {lost}"

    wrong = sum(not right for right in found.right["majority"].values())
    swiss, all_samples = found.points["swiss"][8], found.points["majority"][last]
    return f"""\
- **Votes level off, coverage does not.** From 8 to {last} samples the majority goes from {at("majority", 8)} to
  {at("majority", last)}, pass@n from {at("pass", 8)} to {at("pass", last)}. On {wrong} problems the vote of all {last} is wrong: there
  a wrong answer leads, and more samples only make it surer.
- **Judge against vote.** The best rating is {at("judge", 2)} at 2 samples, where the vote is {at("majority", 2)}; at 8 they are
  {at("judge", 8)} and {at("majority", 8)}, at {last} {at("judge", last)} and {at("majority", last)}. Against the vote of all it
  {against("judge")}: the best of many goes to a wrong answer that was overrated once.
- **Weighted against best.** Ratings summed by answer average the judge's errors, and go on to gain: {at("judge-weighted", last)}
  at {last}; against the vote it {against("judge-weighted")}. With one sample it is {at("judge-weighted", 1)}, below the
  {at("majority", 1)} of the sample itself: a rating of 0 withholds the vote.
- **The scorer's agreement misleads.** This mind's style says nothing about truth, so a scorer without a judge has only
  agreement to go by: at {last} it is {at("scorer", last)}, and against the vote it {against("scorer")}. Given the judge's
  ratings it is {at("scorer-judge", last)}, weighted {at("scorer-judge-weighted", last)}, less than the ratings alone by a weighted
  vote: votes are right more often than not, so it learns to trust them, and follows them into traps.
- **Comparisons.** Side by side, at 8 samples: swiss {at("swiss", 8)}, knockout {at("knockout", 8)}, pairwise {at("pairwise", 8)},
  genselect {at("genselect", 8)}, best rating {at("judge", 8)}. Swiss over 8 samples costs {swiss.sample_usd + swiss.judge_usd:.4f} USD
  a problem, the vote of {last} ({at("majority", last)}) {all_samples.sample_usd:.4f}: verdicts are cheaper than thoughts.
- **`consistency` asks a model for what counting gives**: {at("consistency", last)} at {last}, the vote {at("majority", last)}.
- **`shortest` is worse than any one sample**: {at("shortest", 8)} at 8, `first` {at("first", 8)}. In this mind a short thought is one
  that ended too soon.
"""


def _biases(biases: Sequence[Bias]) -> str:
    names = ("swiss", "knockout", "pairwise", "genselect")
    rows = [
        [f"{100 * b.bias:.0f}%", f"{100 * b.first_place:.1f}%", *(f"{100 * b.accuracy[name]:.1f}" for name in names)]
        for b in biases
    ]
    return f"""\
The same 8 samples, judged by a judge that gives so many of its choices to whatever is shown first:

{_table(["bias", "verdicts for the first place", *(f"{name}, %" for name in names)], rows)}
Comparisons are made in both orders, each weighing the same, so a liking for a place is a liking for no candidate: where
both verdicts go to the first place the two cancel to a tie. That undoes the side a bias takes, not the verdicts it
wastes: these decide nothing any more, and what is left is noisier. More `votes`, or `rounds`, can buy it back; the bracket
of a knockout forgets at once. `genselect` shows each window in one drawn order: over many problems nobody gains by his
place, within one a bias is a draw.
"""


def _stops(found: Measured, last: int) -> str:
    fixed = found.points["majority"][last]
    rows = [["all", str(last), "", f"{100 * fixed.accuracy:.1f}%", "", f"{fixed.sample_usd:.4f}"]]
    rows += [_stop(each, last) for each in found.stopped]
    return f"""\
Jobs with a `stop` and `samples: {last}`, run to their end, against the majority of all {last} samples of the same problems:

{_table(["stop", "samples", "share", "accuracy", "difference", "USD for each problem"], rows)}
The difference is paired, ± its standard error over problems. Where it is above 0, a trap had not yet won when the
problem was stopped: luck, not a gain to count on. Rules save most where problems are decided soon. Two answers that are
level take all samples; `beta` at least leaves off when those that are left would hardly change the vote.
"""


def _stop(each: Stopped, last: int) -> list[str]:
    apart = f"{100 * each.difference:+.2f}% ± {100 * each.error:.2f}%"
    share = f"{100 * each.samples / last:.0f}%"
    return [each.rule, f"{each.samples:.1f}", share, f"{100 * each.accuracy:.1f}%", apart, f"{each.usd:.4f}"]
