"""The tables of the comparison, and the file of results that a rerun goes on from."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.peers.measure import Crash, Speed
from benchmarks.peers.peers import Work, everybody
from benchmarks.peers.report import Outcome, crash_table, speed_table, typical
from benchmarks.peers.runners.options import whole_lines

WORK = Work(problems=2, samples=500, concurrency=10)


def speed(*, wall_s: float = 9.0, results: int = 1_000) -> Speed:
    return Speed(
        wall_s=wall_s,
        startup_s=1.0,
        sending_s=7.0,
        cpu_s=5.0,
        startup_cpu_s=2.0,
        memory_mb=100.0,
        requests=1_000,
        results=results,
        others_cores=0.1,
    )


def outcome(*, speeds: tuple[Speed, ...] = (), crashes: tuple[Crash, ...] = (), failure: str = "") -> Outcome:
    return Outcome(title="A", versions=("a==1",), speeds={0.0: speeds}, crashes=crashes, failures={"0 ms": failure})


def cells(table: str) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[2].strip("|").split("|")]


def test_each_number_is_the_median_of_its_own() -> None:
    run = typical([speed(wall_s=1.0, results=30), speed(wall_s=8.0, results=10), speed(wall_s=2.0, results=20)])
    assert (run.wall_s, run.results) == (2.0, 20)


def test_cpu_per_generation_leaves_the_start_out() -> None:
    assert cells(speed_table([outcome(speeds=(speed(),))], WORK, 0.0))[6] == "3.0"


def test_a_failure_stands_where_the_numbers_would() -> None:
    row = cells(speed_table([outcome(failure="not done after 240 s")], WORK, 0.0))
    assert row[:2] == ["A", "not done after 240 s"]
    assert not any(row[2:])


def test_what_a_crash_costs_is_counted_from_the_requests() -> None:
    crash = Crash(received_at_kill=510, answered_at_kill=500, requests=1_030, results=990, rerun_wall_s=4.0)
    row = cells(crash_table([outcome(crashes=(crash,))], WORK))
    assert row == ["A", "500", "10", "1,030", "30", "20", "990", "10", "4.0"]


def test_a_torn_line_is_cut_off_and_owed_again(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    whole = [json.dumps({"problem": "p0", "index": index}) + "\n" for index in range(3)]
    path.write_text("".join(whole) + '{"problem": "p0", "ind')
    assert whole_lines(path) == {("p0", 0), ("p0", 1), ("p0", 2)}
    assert path.read_text() == "".join(whole)
    assert whole_lines(tmp_path / "absent.jsonl") == set()


def test_everybody_has_pins_and_the_first_is_the_peer_itself() -> None:
    pins = {name: peer.versions for name, peer in everybody().items()}
    assert pins.keys() == {"polythink", "inspect", "curator", "litellm", "sdk"}
    assert all("==" in pin for versions in pins.values() for pin in versions)
