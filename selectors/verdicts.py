"""From the replies that an archive holds to the scores of a judge, or to what it still asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from polythink.selectors.judging import Ask, Asking, Contest, Judge, Ruling, contest_of, judging_job_id, spread
from polythink.selectors.registry import SelectorConfig
from polythink.selectors.votes import Ballot
from polythink.storage.archive import Archive

_REPLIES = """
    SELECT problem_id, answer FROM traces WHERE job_id = ? AND sample_index < ? ORDER BY problem_id, sample_index
"""
# In one order, for sums of floats depend on it.
_COSTS = """
    SELECT problem_id, sum(cost_usd ORDER BY cost_usd) AS usd FROM attempts WHERE job_id = ?
    GROUP BY problem_id ORDER BY problem_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the archive holds of a judge's replies, by contest."""

    replies: Mapping[str, Mapping[str, Sequence[str | None]]]  # contest_id -> ask_id -> verdicts; whole asks only
    cost_usd: Mapping[str, float]  # contest_id -> USD, failed attempts included; without a price, left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Where the judging of one ballot stands: scores by sample_index, or what is wanted."""

    contest: Contest
    ruling: Ruling | None
    scores: Mapping[int, float]
    wanted: tuple[Ask, ...]
    cost_usd: float | None


def heard(archive: Archive, job_id: str, config: Asking) -> Heard:
    """The replies to the judge of a job. An ask that lacks some of its votes is left out."""
    votes = config.settings["votes"]
    judging = judging_job_id(job_id, config.name, config.settings)
    asks: dict[tuple[str, str], list[str | None]] = {}
    for row in archive.sql(_REPLIES, [judging, votes]).to_pylist():
        contest, _, ask = row["problem_id"].rpartition("|")
        asks.setdefault((contest, ask), []).append(row["answer"])
    replies: dict[str, dict[str, Sequence[str | None]]] = {}
    for (contest, ask), said in asks.items():
        if len(said) == votes:
            replies.setdefault(contest, {})[ask] = said
    costs: dict[str, float] = {}
    for row in archive.sql(_COSTS, [judging]).to_pylist():
        contest = row["problem_id"].rpartition("|")[0]
        if row["usd"] is not None:
            costs[contest] = costs.get(contest, 0.0) + row["usd"]
    return Heard(replies=replies, cost_usd=costs)


def judged(
    archive: Archive, job_id: str, config: SelectorConfig, ballots: Sequence[tuple[str, Ballot]]
) -> Iterator[Judged]:
    """Where each ballot's judging stands, in order. Ballots come with the arm each belongs to."""
    assert config.kind.judge is not None
    judge, per, said = config.kind.judge(config.settings), config.settings["per"], heard(archive, job_id, config)
    for arm_id, ballot in ballots:
        yield _judged(judge, per, said, contest_of(ballot, arm_id, per), ballot)


def _judged(judge: Judge, per: str, said: Heard, contest: Contest, ballot: Ballot) -> Judged:
    found = judge.step(contest, said.replies.get(contest.contest_id, {}))
    ruling = found if isinstance(found, Ruling) else None
    return Judged(
        contest=contest,
        ruling=ruling,
        scores=spread(ballot, ruling.scores, per) if ruling else {},
        wanted=() if isinstance(found, Ruling) else found,
        cost_usd=said.cost_usd.get(contest.contest_id),
    )
