"""A run against servers that misbehave: what may pass is waited out, what will not pass ends clearly."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from polythink.jobs.verify import verify_job
from polythink.storage.archive import Archive
from tests.processes import JumpyClock, owner_of
from tests.running import EXACTLY_ONCE, job_file, one_row, run
from tests.scripted_server import Reply, Request, ScriptedServer, message_events, refusal, streamed

pytestmark = pytest.mark.usefixtures("one_ray")

WHOLE = streamed(message_events())
STORM = [
    refusal(529, "overloaded_error"),
    refusal(500, "api_error"),
    WHOLE.first(300),
    WHOLE.first(300, "broken"),
    WHOLE.first(200, "reset"),
    Reply(status=200, ending="reset"),
    Reply(headers={"content-type": "text/event-stream"}, body=b"event: message_start\ndata: {oops\n\n"),
]


def test_a_storm_passes_and_one_bad_problem_fails_alone(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()

    def script(request: Request) -> Reply:
        seen[request.sample] += 1
        if "(bad)" in request.prompt:
            return refusal(400, "invalid_request_error", "this prompt is not allowed")
        number = sum(map(ord, request.sample)) + seen[request.sample]
        return STORM[number % len(STORM)] if seen[request.sample] <= 2 else WHOLE

    archive = Archive(tmp_path / "archive")
    with ScriptedServer(script) as server:
        state, _ = run(archive, job_file(tmp_path, server.base_url, problems=("a", "bad", "c")))
        asked = len(server.requests)
    assert (state.status, state.done, state.failed) == ("done", 30, 10)
    assert one_row(archive, EXACTLY_ONCE) == {"rows": 30, "samples": 30, "failed": 10}
    outcomes = archive.sql(
        "SELECT DISTINCT problem_id, outcome, correct, attempts FROM traces ORDER BY ALL"
    ).to_pylist()
    assert [tuple(row.values()) for row in outcomes] == [
        ("a", "answered", True, 3),
        ("bad", "failed", None, 1),
        ("c", "answered", True, 3),
    ]
    rows = one_row(archive, "SELECT count(*) AS n, count(*) FILTER (status = 'retry') AS retries FROM attempts")
    assert rows == {"n": asked, "retries": 40} and asked == 70
    assert state.retries == 40
    held = "SELECT DISTINCT coalesce(http_status, 200) = 200 AS unseen, reserved_usd > 0 AS held FROM attempts"
    told = archive.sql(f"{held} WHERE status = 'retry' ORDER BY ALL").to_pylist()
    assert [tuple(row.values()) for row in told] == [(False, None), (True, True)], "what may have been billed is held"
    bad = one_row(archive, "SELECT any_value(error_message) AS why FROM traces WHERE outcome = 'failed'")
    assert bad == {"why": "this prompt is not allowed"}


def test_a_wall_clock_that_jumps_delays_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[str] = Counter()

    def script(request: Request) -> Reply:
        seen[request.sample] += 1
        return refusal(529, "overloaded_error") if seen[request.sample] == 1 else WHOLE

    archive, clock = Archive(tmp_path / "archive"), JumpyClock(calls=20)
    with ScriptedServer(script) as server:
        path = job_file(tmp_path, server.base_url)
        started = time.monotonic()
        monkeypatch.setattr(time, "time", clock)
        state, work = run(archive, path)
        monkeypatch.undo()
        took_s = time.monotonic() - started
    assert clock.jumps > 5
    assert took_s < 600  # a retry that waited for the clock to come back would take an hour
    assert (state.status, state.done, state.failed, state.retries) == ("done", 30, 0, 30)
    assert one_row(archive, EXACTLY_ONCE) == {"rows": 30, "samples": 30, "failed": 0}
    assert [audit.differences for audit in verify_job(archive, work.job_id)] == [()]


@pytest.mark.parametrize("retries", [0, 2])
def test_a_server_that_never_works_costs_each_sample_its_retries_and_no_more(tmp_path: Path, retries: int) -> None:
    archive = Archive(tmp_path / "archive")
    with ScriptedServer(lambda request: refusal(500, "api_error", "broken")) as server:
        state, _ = run(archive, job_file(tmp_path, server.base_url, problems=("a",), samples=2, retries=retries))
        asked = Counter(request.sample for request in server.requests)
    assert (state.status, state.failed, state.retries) == ("done", 2, 2 * retries)
    assert set(asked.values()) == {1 + retries}
    assert one_row(archive, "SELECT count(*) AS n, max(attempts) AS attempts FROM traces WHERE outcome = 'failed'") == {
        "n": 2,
        "attempts": 1 + retries,
    }


def test_the_one_sample_that_kills_its_workers_is_set_aside_and_hundreds_of_innocents_go_on(tmp_path: Path) -> None:
    killed: list[int] = []

    def script(request: Request) -> Reply:
        if request.sample.startswith("evil-plain-7_"):
            killed.append(owner_of(request.port, os.getpid()))
            os.kill(killed[-1], signal.SIGKILL)
        return WHOLE

    archive = Archive(tmp_path / "archive")
    with ScriptedServer(script) as server:
        problems = ("evil", *(f"good{n}" for n in range(29)))
        state, _ = run(archive, job_file(tmp_path, server.base_url, problems=problems, samples=20, concurrency=16))
        asked = Counter(request.sample for request in server.requests)
    assert (state.status, state.done, state.failed) == ("done", 600, 1)
    assert one_row(archive, EXACTLY_ONCE) == {"rows": 600, "samples": 600, "failed": 1}
    set_aside = "SELECT sample_index, error_type, error_message AS why FROM traces WHERE outcome = 'failed'"
    row = one_row(archive, set_aside)
    assert (row["sample_index"], row["error_type"]) == (7, "worker_died")
    assert 2 <= len(set(killed)) == row["why"].count("died (") <= 6
    assert max(asked.values()) == len(killed)
    lost = one_row(
        archive, "SELECT count(*) AS n FROM attempts WHERE status = 'lost' AND sample_id LIKE 'evil-plain-7_%'"
    )
    assert lost["n"] == len(killed) - 1, "and the last is the one that failed"


def test_an_endless_outage_costs_no_sample_its_life_and_stops_the_run_resumably(tmp_path: Path) -> None:
    archive, is_out = Archive(tmp_path / "archive"), True

    def script(request: Request) -> Reply:
        return refusal(529, "overloaded_error") if is_out else WHOLE

    with ScriptedServer(script) as server:
        path = job_file(tmp_path, server.base_url, problems=("a", "b"))
        state, _ = run(archive, path, outage_s=2.0)
        asked = len(server.requests)
        assert (state.status, state.done, state.failed) == ("stopped", 0, 0)
        assert "out of service" in (state.reason or "")
        assert asked <= 40, "what was in flight when it began, and a probe a second"
        is_out = False
        state, _ = run(archive, path)
    assert (state.status, state.done, state.failed) == ("done", 20, 0)


def test_a_429_slows_the_run_and_fails_nothing(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()

    def script(request: Request) -> Reply:
        seen[request.sample] += 1
        limited = seen[request.sample] == 1 and len(seen) <= 3
        return refusal(429, "rate_limit_error", headers={"retry-after": "1"}) if limited else WHOLE

    archive = Archive(tmp_path / "archive")
    with ScriptedServer(script) as server:
        state, _ = run(archive, job_file(tmp_path, server.base_url, problems=("a",), retries=0))
    assert (state.status, state.done, state.failed) == ("done", 10, 0)
    assert state.retries == one_row(archive, "SELECT count(*) AS n FROM attempts WHERE http_status = 429")["n"] > 0


def test_a_refused_key_stops_at_once_and_can_go_on(tmp_path: Path) -> None:
    archive, refused = Archive(tmp_path / "archive"), [True]
    reply = refusal(401, "authentication_error", "invalid bearer token")
    with ScriptedServer(lambda request: reply if refused[0] else WHOLE) as server:
        path = job_file(tmp_path, server.base_url, samples=40)
        state, _ = run(archive, path)
        asked = len(server.requests)
        assert state.status == "stopped"
        assert state.reason == "the API refuses: invalid bearer token"
        assert (state.done, state.failed) == (0, 0)
        assert asked <= 2 * 8, "only what was in flight or on its way"
        refused[0] = False
        state, _ = run(archive, path)
        assert (state.status, state.done, state.failed) == ("done", 120, 0)
        assert len(server.requests) == asked + 120
    assert one_row(archive, EXACTLY_ONCE) == {"rows": 120, "samples": 120, "failed": 0}
    assert one_row(archive, "SELECT max(attempts) AS n FROM traces")["n"] >= 2, "numbering goes on over runs"


def test_a_missing_key_stops_with_the_name_of_the_variable(tmp_path: Path) -> None:
    assert "NO_SUCH_KEY" not in os.environ
    endpoint = {"api_key_env": "NO_SUCH_KEY"}
    state, _ = run(Archive(tmp_path / "archive"), job_file(tmp_path, "http://unused", endpoint=endpoint))
    assert state.status == "stopped"
    assert state.reason is not None and "NO_SUCH_KEY" in state.reason


def test_an_endpoint_that_never_answers_stops_with_a_clear_reason(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    path = job_file(tmp_path, "http://127.0.0.1:9", retries=0)
    state, _ = run(archive, path, patience_s=1.0)
    assert state.status == "stopped"
    assert state.reason is not None
    assert "no endpoint answers" in state.reason and "check base_url" in state.reason
    assert (state.done, state.failed) == (0, 0)
    assert one_row(archive, "SELECT count(*) AS n FROM traces") == {"n": 0}


def test_real_replies_are_never_kept_beside_simulated_ones_nor_the_other_way_round(tmp_path: Path) -> None:
    simulated = replace(WHOLE, headers={**WHOLE.headers, "x-polythink-simulator": "scripted"})
    for first, second, named in ((simulated, WHOLE, "real"), (WHOLE, simulated, "simulated")):
        folder = tmp_path / named
        folder.mkdir()
        archive = Archive(folder / "archive")
        with ScriptedServer(lambda request, reply=first: reply) as server:  # type: ignore[misc]
            state, _ = run(archive, job_file(folder, server.base_url, samples=2))
        assert (state.status, state.done) == ("done", 6)
        with ScriptedServer(lambda request, reply=second: reply) as other:  # type: ignore[misc]
            state, _ = run(archive, job_file(folder, other.base_url, samples=20))
            asked = len(other.requests)
        assert state.status == "stopped"
        assert state.reason is not None and f"give the {named} job a name of its own" in state.reason
        assert (state.done, state.failed) == (6, 0), "the samples stay owed"
        assert 0 < asked <= 2 * 8, "only what was in flight or on its way"
        kept = one_row(archive, "SELECT count(*) AS n, count(DISTINCT simulated) AS origins FROM traces")
        assert kept == {"n": 6, "origins": 1}
        paid = one_row(archive, "SELECT count(*) AS n, sum(cost_usd) AS usd, max(attempt) AS attempt FROM attempts")
        assert paid["n"] == 6 + asked and state.spent_usd == pytest.approx(paid["usd"]), "what came is counted"
        with ScriptedServer(lambda request, reply=first: reply) as server:  # type: ignore[misc]
            state, _ = run(archive, job_file(folder, server.base_url, samples=20))
        assert (state.status, state.done) == ("done", 60)
        assert one_row(archive, "SELECT count(DISTINCT simulated) AS origins FROM traces") == {"origins": 1}
