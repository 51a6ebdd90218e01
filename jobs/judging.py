"""Judging in rounds: what a judge asks becomes the problems of a derived job, until it can rule on everything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from polythink.jobs.arms import expand
from polythink.jobs.judging_job import judging_job, less
from polythink.jobs.prompt import question
from polythink.jobs.spec_parts import Cap
from polythink.jobs.spent_beside import spent_beside
from polythink.jobs.workload import Workload, put, recall
from polythink.records import Problem
from polythink.selectors.classes import answer_classes
from polythink.selectors.judging import Ask, Asking, judging_job_id
from polythink.selectors.poll import job_ballots
from polythink.selectors.registry import SelectorConfig, others_code
from polythink.selectors.samples import load_samples
from polythink.selectors.verdicts import judged
from polythink.selectors.votes import Ballot
from polythink.storage.archive import Archive

_TEXTS = """
    SELECT traces.problem_id, traces.arm_id, traces.sample_index, text, answer
    FROM traces JOIN needed USING (problem_id, arm_id, sample_index) WHERE job_id = ?
"""
_Key = tuple[str, str, int]  # problem, arm, sample_index
_Wanted = tuple[str, str, str, Ask]  # problem of the derived job, problem, arm


def judging_rounds(archive: Archive, work: Workload, config: SelectorConfig) -> Iterator[Workload]:
    """The derived job as it must be run next, until nothing more is asked. Run each to its end before the next.

    Each round's job holds all earlier prompts too; those that have been answered are not sent again. Raises
    ForeignSelectorError if the judge of another package goes wrong.
    """
    samples = load_samples(archive, work.job_id)
    classes = answer_classes(archive, work.job_id, samples, work.job.answer.equivalence_rule())
    named = [(samples.arm_id[span.start], ballot) for span, ballot in job_ballots(samples, classes.names)]
    while wanted := list(_wanted(archive, work, config, named)):
        yield grown(archive, work, config, _prompts(archive, work, config, wanted))


def _wanted(
    archive: Archive, work: Workload, config: SelectorConfig, named: Sequence[tuple[str, Ballot]]
) -> Iterator[_Wanted]:
    """(problem of the derived job, problem, arm, ask) of everything that is asked now."""
    standings = judged(archive, work.job_id, config, named)
    for (arm_id, ballot), found in zip(named, standings, strict=True):
        named_by = found.contest.contest_id
        yield from ((f"{named_by}|{key}", ballot.problem_id, arm_id, ask) for key, ask in found.wanted.items())


def grown(archive: Archive, work: Workload, config: Asking, prompts: Iterable[tuple[str, str]]) -> Workload:
    """The derived job with these prompts too, in the archive; each with the id of its problem there."""
    job_id = judging_job_id(work.job_id, config.name, config.settings)
    kept = recall(archive, job_id) if archive.state(job_id) is not None else None
    known = set() if kept is None else {problem.problem_id for problem in kept.problems}
    problems = [] if kept is None else list(kept.problems)
    for problem_id, prompt in prompts:
        if problem_id not in known:
            fields = {"prompt": prompt}
            problems.append(Problem(problem_id=problem_id, gold=None, fields=fields, ordinal=len(problems)))
    votes = max(config.settings["votes"], kept.job.samples if kept else 0)
    job = judging_job(work.job, work.job_id, config, votes=votes, cap=_left(archive, work, job_id))
    derived = Workload(job_id=job_id, job=job, arms=expand(job), problems=tuple(problems))
    put(archive, derived, parent_job_id=work.job_id, selector=config.row_name)
    return derived


def _left(archive: Archive, work: Workload, job_id: str) -> Cap | None:
    """What the judged job's cap leaves for this judge: less the samples, and its other judges."""
    if work.job.cap is None:
        return None
    spent = spent_beside(archive, work.job_id, job_id)
    return less(work.job.cap, usd=spent.usd, output_tokens=spent.output_tokens)


def _prompts(
    archive: Archive, work: Workload, config: SelectorConfig, wanted: Sequence[_Wanted]
) -> Iterator[tuple[str, str]]:
    """The derived job's problem id and prompt of each ask."""
    assert config.kind.judge is not None
    judge = config.kind.judge(config.settings)
    problems, arms = work.problems_by_id, work.arms_by_id
    needed = {(problem_id, arm_id, index) for _, problem_id, arm_id, ask in wanted for index in ask.shown}
    texts = _texts(archive, work.job_id, sorted(needed))
    for derived_id, problem_id, arm_id, ask in wanted:
        problem, arm = problems[problem_id], arms[arm_id]
        shown = {index: texts[problem_id, arm_id, index] for index in ask.shown}
        asked = question(arm, problem)
        with others_code(config):
            prompt = judge.prompt(ask, asked, shown)
        yield derived_id, prompt


def _texts(archive: Archive, job_id: str, needed: Sequence[_Key]) -> dict[_Key, str]:
    """What candidates are shown as: their text, and the answer as it was read from it."""
    columns = list(zip(*needed, strict=True))
    with archive.connect() as connection:
        connection.register(
            "needed", pa.table(dict(zip(("problem_id", "arm_id", "sample_index"), columns, strict=True)))
        )
        rows = connection.execute(_TEXTS, [job_id]).fetchall()
    return {(p, a, i): f"{text or ''}\n\nFinal answer: {answer}".strip() for p, a, i, text, answer in rows}
