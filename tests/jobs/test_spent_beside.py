"""A job and its judges have one cap: what a batch of either may still cost counts for the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from polythink.jobs.batch_book import BatchRecord, Entry
from polythink.jobs.batch_ledger import BatchLedger
from polythink.jobs.load import load_job
from polythink.jobs.spent_beside import Spent, spent_beside
from polythink.jobs.standing import standing
from polythink.jobs.workload import put, store
from polythink.records import SampleKey
from polythink.storage.archive import Archive
from tests.running import job_file


def test_an_open_batch_counts_at_its_worst_until_it_is_over(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    path = job_file(tmp_path, "http://127.0.0.1:9", lane="batch", cap={"usd": 1.0, "output_tokens": 10_000})
    work = store(archive, load_job(path))
    judge = type(work)(job_id="judge", job=work.job, arms=work.arms, problems=work.problems)
    put(archive, judge, parent_job_id=work.job_id, selector="judge")
    keys = [SampleKey(problem_id="a", arm_id="plain", sample_index=index) for index in range(3)]
    intended = BatchRecord(
        number=1,
        endpoint="default",
        model="claude-haiku-4-5",
        requests=3,
        entries=tuple(Entry(key=key, number=1) for key in keys),
        reserved_usd=0.25,
        intended_at=0.0,
    )
    with archive.lock("judge") as lease:
        ledger = BatchLedger(archive, "judge", lease)
        created = ledger.keep(ledger.keep(intended).created("msgbatch_1", 1.0))
        assert spent_beside(archive, work.job_id, work.job_id) == Spent(usd=0.25, output_tokens=3 * 2000)
        assert spent_beside(archive, work.job_id, "judge") == Spent(usd=0.0, output_tokens=0)
        state = archive.state(work.job_id)
        assert state is not None
        where = standing(archive, work, state)
        assert where.purse.cap == pytest.approx(0.75)
        assert where.tokens.cap == 4_000
        ledger.keep(created.settled(outcomes={"expired": 3}, cost_usd=0.0, ended_at=2.0))
        assert spent_beside(archive, work.job_id, work.job_id) == Spent(usd=0.0, output_tokens=0)
