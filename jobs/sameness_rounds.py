"""Asking a judge which answers are the same, in rounds: each asks, of every problem, what its next pivot must know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from polythink.jobs.judging import grown
from polythink.jobs.prompt import question
from polythink.jobs.workload import Workload
from polythink.selectors.classes import judged_partitions, string_forms
from polythink.selectors.sameness import EquivalenceJudge, Pair, ask_id, same_prompt
from polythink.selectors.samples import load_samples
from polythink.selectors.verdicts import heard
from polythink.storage.archive import Archive


def sameness_rounds(archive: Archive, work: Workload, judge: EquivalenceJudge) -> Iterator[Workload]:
    """The derived job as it must be run next, until every form is in its class. Run each to its end before the next."""
    samples = load_samples(archive, work.job_id)
    forms, ids = string_forms(samples), dict(zip(samples.problem.tolist(), samples.problem_id, strict=True))
    while True:
        parts = judged_partitions(samples, forms, heard(archive, work.job_id, judge).replies)
        wanted = {ids[number]: part.wanted for number, part in parts.items() if part.wanted}
        if not wanted:
            return
        yield grown(archive, work, judge, _prompts(work, wanted))


def _prompts(work: Workload, wanted: Mapping[str, tuple[Pair, ...]]) -> Iterator[tuple[str, str]]:
    """The derived job's problem id and prompt of each pair. Arms share classes: the question is the first one's."""
    problems = work.problems_by_id
    for problem_id, pairs in wanted.items():
        asked = question(work.arms[0], problems[problem_id])
        yield from ((f"{problem_id}|{ask_id(pair)}", same_prompt(pair, asked)) for pair in pairs)
