"""After a run every selector speaks of all samples there are."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from polythink.jobs.selection import notes, select, select_anew
from polythink.jobs.workload import recall
from polythink.selectors.stage_rows import kept_selectors
from polythink.storage.archive import Archive
from polythink.storage.schema import CURVES, SELECTIONS
from tests.running import job_file, run
from tests.scripted_server import ScriptedServer, message_events, streamed

SEEN = "SELECT selector, min(n) AS low, max(n) AS high FROM selections GROUP BY ALL ORDER BY ALL"


def test_selectors_the_job_does_not_name_see_the_new_samples_too(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with ScriptedServer(lambda request: streamed(message_events())) as server:
        _, work = run(archive, job_file(tmp_path, server.base_url, samples=2, select=["first"]))
        select(archive, work, [{"majority": {"ties": "seeded"}}])
        gone = {"problem_id": "a", "arm_id": "plain", "selector": "gone", "n": 2}
        archive.replace_part(SELECTIONS, work.job_id, "gone", pa.Table.from_pylist([gone], schema=SELECTIONS.arrow))
        archive.replace_part(CURVES, work.job_id, "gone", CURVES.arrow.empty_table())
        run(archive, job_file(tmp_path, server.base_url, samples=5, select=["first"]))
    rows = archive.sql(SEEN).to_pylist()
    assert rows == [{"selector": name, "low": 5, "high": 5} for name in ("first", "majority")]
    assert kept_selectors(archive, work.job_id) == ["first", "majority"]
    highest = archive.sql("SELECT selector, max(n) AS n FROM curves GROUP BY ALL ORDER BY ALL").to_pylist()
    assert highest == [{"selector": name, "n": 5} for name in ("all", "first", "majority", "pass")]
    options = json.loads(archive.read_text(work.job_id, "selectors.json") or "")
    assert options == {"first": {}, "majority": {"ties": "seeded"}}, "run again as it was run"


def test_selecting_anew_changes_nothing_where_nothing_is_new(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    with ScriptedServer(lambda request: streamed(message_events())) as server:
        _, work = run(archive, job_file(tmp_path, server.base_url, samples=2, select=["majority"]))
    query = "SELECT * FROM selections ORDER BY ALL"
    before = archive.sql(query)
    select_anew(archive, recall(archive, work.job_id))
    assert archive.sql(query) == before


REWARD = """
def score(question, answer, sample):
    return float(len(sample["text"])) if "2 + 2" in question else None
"""


def test_a_run_asks_its_functions_and_ends_well_with_a_scorer_that_cannot_be_trained(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    (tmp_path / "reward.py").write_text(REWARD)
    wanted = ["majority", "scorer", {"best": {"python": "reward.py:score"}}]
    with ScriptedServer(lambda request: streamed(message_events())) as server:
        state, work = run(archive, job_file(tmp_path, server.base_url, samples=2, select=wanted))
    assert state.status == "done"
    assert [warning.partition(":")[0] for warning in state.warnings] == ["scorer"]
    assert "learns from both kinds" in state.warnings[0] or "folds need one each" in state.warnings[0]
    rows = archive.sql("SELECT selector, count(*) AS n FROM selections GROUP BY ALL ORDER BY ALL").to_pylist()
    assert rows == [{"selector": "best", "n": 3}, {"selector": "majority", "n": 3}]
    assert archive.sql("SELECT count(score) AS n FROM scores WHERE selector = 'best'")["n"].to_pylist() == [6]
    (tmp_path / "reward.py").unlink()
    assert notes(select_anew(archive, recall(archive, work.job_id)), work.job_id) == state.warnings, (
        "and says so each time"
    )
