"""From the replies that an archive holds to the scores of a judge, or to what it still asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from polythink.selectors.judging import Ask, Asking, Contest, Judge, Ruling, contest_of, judging_job_id, spread
from polythink.selectors.registry import SelectorConfig, others_code
from polythink.selectors.shown import shown_digests, shown_id
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

    replies: Mapping[
        str, Mapping[str, Sequence[str | None]]
    ]  # contest_id -> id of the ask -> verdicts; whole asks only
    cost_usd: Mapping[str, float]  # contest_id -> USD, failed attempts included; without a price, left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Where the judging of one ballot stands: scores by sample_index, or what is wanted."""

    contest: Contest
    ruling: Ruling | None
    scores: Mapping[int, float]
    wanted: Mapping[str, Ask]  # by the id that its replies will be kept by
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
    """Where each ballot's judging stands, in order. Ballots come with the arm each belongs to.

    Raises ForeignSelectorError if the judge of another package goes wrong.
    """
    assert config.kind.judge is not None
    with others_code(config):
        judge = config.kind.judge(config.settings)
    per, said, digests = config.settings["per"], heard(archive, job_id, config), shown_digests(archive, job_id)
    for arm_id, ballot in ballots:
        contest = contest_of(ballot, arm_id, per)
        with others_code(config):
            standing = _judged(judge, per, said, contest, digests.get(contest.contest_id, {}), ballot)
        yield standing


def _judged(
    judge: Judge, per: str, said: Heard, contest: Contest, digests: Mapping[int, str], ballot: Ballot
) -> Judged:
    found = _heard_out(judge, contest, said.replies.get(contest.contest_id, {}), digests)
    ruling = found if isinstance(found, Ruling) else None
    return Judged(
        contest=contest,
        ruling=ruling,
        scores=spread(ballot, ruling.scores, per) if ruling else {},
        wanted={} if isinstance(found, Ruling) else found,
        cost_usd=said.cost_usd.get(contest.contest_id),
    )


def _heard_out(
    judge: Judge, contest: Contest, said: Mapping[str, Sequence[str | None]], digests: Mapping[int, str]
) -> Ruling | dict[str, Ask]:
    """The ruling, or what is not in `said`: the judge is told, step by step, of the replies to what it asks."""
    replies: dict[str, Sequence[str | None]] = {}
    while not isinstance(found := judge.step(contest, replies), Ruling):
        asks = {shown_id(ask, digests): ask for ask in found}
        news = {ask.ask_id: said[key] for key, ask in asks.items() if key in said and ask.ask_id not in replies}
        if not news:
            return asks
        replies |= news
    return found
