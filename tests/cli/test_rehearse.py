"""Rehearsals through the front door: what is said to hold the job back is what does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Call

PACE, MEAN_LATENCY_S = 70.0, 1.083  # of the simulator in a rehearsal: tokens a second, seconds before the first


def write_job(folder: Path, **changes: Any) -> Path:
    rows = [{"id": f"p{n}", "problem": f"What is {n} + {n}?", "gold": str(2 * n)} for n in range(10)]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = {
        "name": "sums",
        "problems": {"path": "problems.jsonl"},
        "arms": [{"id": "deep", "model": "claude-haiku-4-5", "reasoning": {"budget_tokens": 1024}}],
        "samples": 20,
        "answer": {"extract": "last_number", "equivalence": "number"},
        "concurrency": 32,
        "workers": 1,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job | changes))
    return path


def test_a_low_limit_on_output_binds(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")  # a cluster that no rehearsal may reach for
    job = write_job(tmp_path)
    result = call("rehearse", str(job), "--output-tokens-per-minute", "20000", "--time-scale", "60", "--json")
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    found, arm = said["forecast"], said["arms"][0]["rehearsed"]
    assert (said["simulated"], said["rehearsed"], arm["samples"], arm["failed"]) == (True, 200, 200, 0)
    assert (found["brake"], found["binding"]["limit"]["dimension"]) == ("limit", "output_tokens")
    assert found["finish_s"] == pytest.approx(60 * arm["output_tokens"] / 20_000, rel=0.3)
    assert found["finish_s"] >= 60 * arm["output_tokens"] / 20_000 * (1 - 1e-9)
    assert arm["limited"] <= 20, "the limit is met, not run against"
    assert said["arms"][0]["low_usd"] < said["cost_usd"] < said["arms"][0]["high_usd"]
    assert os.environ["RAY_ADDRESS"] == "192.0.2.1:6379"
    assert [name for name in os.environ if name.startswith("POLYTHINK_REHEARSAL")] == []
    assert not (tmp_path / "archive").exists()


def test_a_tiny_concurrency_binds_and_what_would_not_is_computed(call: Call, tmp_path: Path) -> None:
    job = write_job(tmp_path, concurrency=4)
    result = call("rehearse", str(job), "--tier", "start", "--time-scale", "20", "--share", "0.5", "--json")
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    found, arm = said["forecast"], said["arms"][0]["rehearsed"]
    assert (said["samples"], said["rehearsed"]) == (200, 100)
    assert (found["brake"], found["binding"]) == ("concurrency", None)
    reply_s = MEAN_LATENCY_S + arm["output_tokens"] / 100 / PACE
    assert found["reply_s"] == pytest.approx(reply_s, rel=0.01)
    assert found["soonest_s"] == pytest.approx(200 * reply_s / 4, rel=0.01)
    assert found["finish_s"] == pytest.approx(found["soonest_s"] * found["slowdown"], rel=0.25)
    nearest = min(used["ceiling"] for used in found["limits"])
    assert found["wanted_concurrency"] == pytest.approx(nearest * reply_s / 60, abs=1.5)


def test_a_kept_rehearsal_is_labelled_and_the_page_says_what_it_is_worth(call: Call, tmp_path: Path) -> None:
    job = write_job(tmp_path, samples=1, concurrency=32)
    kept = tmp_path / "kept"
    result = call("rehearse", str(job), "--keep", str(kept))
    assert result.exit_code == 0, result.stderr
    for words in ("simulated rehearsal", "every sample is in flight at once", "accuracy of a rehearsal means nothing"):
        assert words in result.stdout
    sql = "SELECT name LIKE 'sums-rehearsal-%' AS named, count(*) AS n, bool_and(simulated) AS simulated"
    rows = call(
        "query", f"{sql} FROM traces JOIN jobs USING (job_id) GROUP BY name", "--archive", str(kept), "--format", "json"
    )
    assert json.loads(rows.stdout) == [{"named": True, "n": 10, "simulated": True}]


def test_a_model_the_simulator_has_not_is_bad_usage(call: Call, tmp_path: Path) -> None:
    arms = [{"id": "own", "model": "lab-model", "reasoning": "none"}]
    job = write_job(
        tmp_path, arms=arms, endpoint={"base_url": "http://lab.example", "prices": {"input": 0.1, "output": 0.4}}
    )
    result = call("rehearse", str(job))
    assert result.exit_code == 2
    assert "lab-model" in result.stderr and "cannot be rehearsed" in result.stderr
