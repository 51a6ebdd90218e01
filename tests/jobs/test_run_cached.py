"""The prompt cache over HTTP, against the simulator's: what is read, what is written, and what that saves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polythink import facts
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from polythink.storage.cache_use import cache_use
from tests.running import EXACTLY_ONCE, job_file, meter, one_row, run

pytestmark = pytest.mark.usefixtures("one_ray")

PROBLEMS, SAMPLES = 20, 16
USED = """
    SELECT sum(input_tokens)::BIGINT AS uncached, sum(cache_read_tokens)::BIGINT AS read,
        sum(cache_write_tokens)::BIGINT AS written, sum(output_tokens)::BIGINT AS output,
        count(*) FILTER (cache_write_tokens > 0) AS leaders, sum(cost_usd) AS usd
    FROM attempts
"""


def long_job(folder: Path, base_url: str, words: int) -> Path:
    path = job_file(folder, base_url, samples=SAMPLES, concurrency="auto")
    rows = [
        {"id": f"p{n}", "problem": f"({n}) " + "note that this holds. " * words + "2 + 2?", "gold": "4"}
        for n in range(PROBLEMS)
    ]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_long_prompts_are_written_once_and_read_by_all_other_samples(tmp_path: Path) -> None:
    with SimulatorProcess.start(["--latency", "0.1"]) as simulator:
        archive = Archive(tmp_path / "archive")
        state, _ = run(archive, long_job(tmp_path, simulator.base_url, 1_200))
        served = meter(simulator.base_url)
    assert state.status == "done"
    assert one_row(archive, EXACTLY_ONCE) == {"rows": 320, "samples": 320, "failed": 0}
    used = one_row(archive, USED)
    prompt = used["uncached"] + used["read"] + used["written"]
    assert used["leaders"] == PROBLEMS
    assert used["read"] / prompt == pytest.approx((SAMPLES - 1) / SAMPLES, abs=0.01)
    assert used["usd"] == pytest.approx(served["cost_usd"], abs=1e-6)
    known = facts.find("claude-haiku-4-5")
    assert known is not None
    saved = used["read"] * (known.prices.input - known.prices.read)
    paid = used["written"] * (known.prices.write_5m - known.prices.input)
    uncached = prompt * known.prices.input + used["output"] * known.prices.output
    assert 1e6 * used["usd"] == pytest.approx(uncached - saved + paid, rel=1e-6)
    use = cache_use(archive, state.job_id)
    assert use is not None and use.saved_usd == pytest.approx(1e-6 * (saved - paid))
    assert use.hit_rate == pytest.approx(used["read"] / prompt)


def test_short_prompts_are_left_as_they_are(tmp_path: Path) -> None:
    with SimulatorProcess.start() as simulator:
        archive = Archive(tmp_path / "archive")
        state, _ = run(archive, long_job(tmp_path, simulator.base_url, 10))
    assert state.status == "done"
    assert cache_use(archive, state.job_id) is None
    assert one_row(archive, USED)["read"] == one_row(archive, USED)["written"] == 0
