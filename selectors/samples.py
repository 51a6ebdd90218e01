"""A job's finished samples as columns, read from the archive: all that selection and curves look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from polythink.selectors.panel import Flags, Ints, Reals
from polythink.storage.archive import Archive

_QUERY = """
    SELECT t.problem_id, t.arm_id, t.sample_index, t.outcome, t.correct, t.score, t.cost_usd, t.thinking_tokens,
        CASE WHEN t.outcome = 'answered' THEN t.answer END AS answer,
        p.gold IS NOT NULL AS has_gold, p.family, coalesce(a.samples, 0) AS asked,
        t.sample_index < coalesce(e.at_least, t.sample_index + 1) AS even,
        dense_rank() OVER (ORDER BY p.ordinal, t.problem_id) - 1 AS problem,
        dense_rank() OVER (ORDER BY a.ordinal, t.arm_id) - 1 AS arm
    FROM traces t
    LEFT JOIN problems p ON p.job_id = t.job_id AND p.problem_id = t.problem_id
    LEFT JOIN arms a ON a.job_id = t.job_id AND a.arm_id = t.arm_id
    LEFT JOIN (SELECT job_id, arm_id, min(at_least) AS at_least FROM stops GROUP BY ALL) e
        ON e.job_id = t.job_id AND e.arm_id = t.arm_id
    WHERE t.job_id = ?
    ORDER BY arm, problem, t.sample_index
"""
LEFT_OUT = (  # why a problem enters no curve
    "",
    "gold, but no answer of the job was compared with gold",
    "no gold, and none of its answers graded",
    "no gold, no answer, and no other such problem graded",
    "beyond the first samples of an arm that was stopped early",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """S samples in order of arm, problem and index, both in the order of the job file."""

    problem_id: list[str]  # [S]
    arm_id: list[str]  # [S]
    problem: Ints  # [S] problem number within the job, from 0
    arm: Ints  # [S] arm number, from 0
    family: Ints  # [S] of its problem, any numbering; a problem without one is one of its own
    sample_index: list[int]  # [S]
    outcome: list[str]  # [S]
    answer: list[str | None]  # [S] None abstains
    correct: list[bool | None]  # [S] None: not graded
    has_gold: Flags  # [S] whether its problem has a gold answer
    score: Reals  # [S] as the grader gave it; NaN where it gave none
    cost_usd: Reals  # [S] USD; NaN where no price is known
    thinking_tokens: Reals  # [S] tokens; NaN where the server did not say
    asked: Ints  # [S] samples that its arm asks for, per problem
    even: Flags  # [S] False where a stopping rule gave some problems of its arm as many samples and others not

    def __len__(self) -> int:
        return len(self.answer)

    def families(self) -> Ints:
        """[N] the family of each problem, by its number."""
        found = np.empty(int(self.problem.max(initial=-1)) + 1, dtype=np.int64)
        found[self.problem] = self.family
        return found

    def arms(self) -> Iterator[slice]:
        """The samples of each arm."""
        yield from _runs(self.arm)

    def ballots(self) -> Iterator[slice]:
        """The samples of each problem in each arm."""
        yield from _runs(self.arm * (int(self.problem.max(initial=0)) + 1) + self.problem)


def load_samples(archive: Archive, job_id: str) -> Samples:
    """All finished samples of the job; none if it has none, or does not exist."""
    rows = archive.sql(_QUERY, [job_id])
    return Samples(
        problem_id=rows["problem_id"].to_pylist(),
        arm_id=rows["arm_id"].to_pylist(),
        problem=rows["problem"].to_numpy().astype(np.int64),
        arm=rows["arm"].to_numpy().astype(np.int64),
        family=_families(rows["family"], rows["problem"].to_numpy().astype(np.int64)),
        sample_index=rows["sample_index"].to_pylist(),
        outcome=_repeated(rows["outcome"]),
        answer=rows["answer"].to_pylist(),
        correct=rows["correct"].to_pylist(),
        has_gold=rows["has_gold"].to_numpy().astype(np.bool_),
        score=rows["score"].to_numpy().astype(np.float64),
        cost_usd=rows["cost_usd"].to_numpy().astype(np.float64),
        thinking_tokens=rows["thinking_tokens"].to_numpy().astype(np.float64),
        asked=rows["asked"].to_numpy().astype(np.int64),
        even=rows["even"].to_numpy().astype(np.bool_),
    )


def _families(named: pa.ChunkedArray, problem: Ints) -> Ints:
    """[S] numbers of the families; those of problems without one lie above the others."""
    codes = named.combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray(np.where(codes < 0, problem + codes.max(initial=0) + 1, codes), dtype=np.int64)


def countable(samples: Samples) -> Flags:
    """[S] whether the sample's problem, in its arm, enters a curve: whether right and wrong can be told apart there.

    With a gold answer it does, unless the job has answers and compared none of them with gold. Without one, it does
    if any of its samples was graded, or if none had an answer to grade while other such problems were graded: an
    unanswered problem is wrong, not unknown. Of arms that were stopped early only the samples that are `even` do.
    """
    return np.asarray(left_out(samples) == 0)


def left_out(samples: Samples) -> Ints:
    """[S] why the sample's problem, in its arm, enters no curve, as its place in LEFT_OUT; 0 where it enters."""
    graded = np.array([correct is not None for correct in samples.correct], dtype=np.bool_)
    answered = np.array([answer is not None for answer in samples.answer], dtype=np.bool_)
    gold_is_used = bool(graded[samples.has_gold].any() or not answered.any())
    function_is_used = bool(graded[~samples.has_gold].any())
    reasons = np.zeros(len(samples), dtype=np.int64)
    for ballot in samples.ballots():
        if samples.has_gold[ballot.start]:
            reasons[ballot] = 0 if gold_is_used else 1
        elif answered[ballot].any():
            reasons[ballot] = 0 if graded[ballot].any() else 2
        else:
            reasons[ballot] = 0 if graded[ballot].any() or function_is_used else 3
    reasons[(reasons == 0) & ~samples.even] = 4
    return reasons


def _repeated(column: pa.ChunkedArray) -> list[str]:
    """A column of few different texts, each of them one object: there may be millions of rows."""
    coded = column.combine_chunks().dictionary_encode()
    names = coded.dictionary.to_pylist()
    return [names[code] for code in coded.indices.to_pylist()]


def _runs(labels: Ints) -> Iterator[slice]:
    """The stretches of equal labels."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    bounds = [0, *edges.tolist(), len(labels)] if len(labels) else []
    yield from (slice(start, stop) for start, stop in pairwise(bounds))
