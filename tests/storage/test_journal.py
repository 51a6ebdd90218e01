"""The journal gives back what was put in, and damage costs only the lines it hits."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polythink.errors import ArchiveError
from polythink.records import Attempt, SampleKey, Usage
from polythink.storage.journal import JournalWriter, decode, encode, final_attempts, read_segment

anything = st.text(st.characters(exclude_categories=()))  # lone surrogates, NUL and newlines too
words = st.one_of(anything, st.sampled_from(["\ud800", "a\x00b", "\n", "\u2028", "\ud83d\ude00", ""]))
seconds = st.floats(0, 4e9)
counts = st.integers(0, 2**60)


def attempts() -> st.SearchStrategy[Attempt]:
    maybe = st.none() | words
    return st.builds(
        Attempt,
        key=st.builds(SampleKey, problem_id=words, arm_id=words, sample_index=counts),
        number=st.integers(1, 99),
        status=st.sampled_from(["complete", "retry", "failed"]),
        lane=st.sampled_from(["live", "batch"]),
        endpoint=words,
        queued_at=seconds,
        started_at=seconds,
        finished_at=seconds,
        first_token_at=st.none() | seconds,
        content=words,
        stop_reason=maybe,
        usage=st.builds(Usage, input_tokens=counts, output_tokens=counts, thinking_tokens=st.none() | counts),
        cost_usd=st.none() | st.floats(0, 1e6),
        model=maybe,
        request_id=maybe,
        message_id=maybe,
        http_status=st.none() | st.integers(100, 599),
        error_type=maybe,
        error_message=maybe,
        simulator=maybe,
    )


def made(index: int, text: str = "hello \N{SNOWMAN}") -> Attempt:
    key = SampleKey(problem_id="p", arm_id="a", sample_index=index)
    return Attempt(
        key=key,
        number=1,
        status="complete",
        lane="live",
        endpoint="e",
        queued_at=0.0,
        started_at=1.0,
        finished_at=2.0,
        content=text,
    )


@given(attempts())
def test_any_attempt_comes_back_as_it_was_on_one_line(attempt: Attempt) -> None:
    line = encode(attempt)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert decode(line) == attempt


@given(attempts(), st.data())
def test_a_line_torn_at_any_byte_is_no_attempt(attempt: Attempt, data: st.DataObject) -> None:
    line = encode(attempt)
    assert decode(line[: data.draw(st.integers(0, len(line) - 1))]) is None


def test_the_last_line_may_be_torn_at_every_byte(tmp_path: Path) -> None:
    lines = [encode(made(index)) for index in range(3)]
    segment = tmp_path / "s.jsonl"
    for kept in range(len(lines[2])):
        segment.write_bytes(lines[0] + lines[1] + lines[2][:kept])
        found = read_segment([segment.read_bytes()])
        assert [attempt.key.sample_index for attempt in found.attempts] == [0, 1]
        assert found.damaged == (1 if kept else 0)


@settings(max_examples=200)
@given(st.data())
def test_a_flipped_byte_costs_its_line_and_no_other(data: st.DataObject) -> None:
    lines = [encode(made(index)) for index in range(4)]
    hit = data.draw(st.integers(0, 3))
    place = data.draw(st.integers(0, len(lines[hit]) - 2))  # a flipped newline joins two lines: see below
    new = data.draw(st.integers(0, 255).filter(lambda byte: byte != lines[hit][place]))
    lines[hit] = lines[hit][:place] + bytes([new]) + lines[hit][place + 1 :]
    found = [attempt for line in b"".join(lines).splitlines(keepends=True) if (attempt := decode(line))]
    assert [attempt.key.sample_index for attempt in found] == [index for index in range(4) if index != hit]


def test_a_flipped_newline_costs_the_two_lines_it_joins(tmp_path: Path) -> None:
    segment = tmp_path / "s.jsonl"
    lines = [encode(made(index)) for index in range(4)]
    segment.write_bytes(lines[0] + lines[1][:-1] + b"X" + lines[2] + lines[3])
    found = read_segment([segment.read_bytes()])
    assert ([attempt.key.sample_index for attempt in found.attempts], found.damaged) == ([0, 3], 1)


def test_what_was_appended_is_there_in_order(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "journal" / "s.jsonl")
    writer.append([made(0), made(1)])
    writer.append([made(2)])
    assert writer.attempts == 3
    assert read_segment([writer.path.read_bytes()]).attempts == (made(0), made(1), made(2)), "before it is closed, too"
    writer.close()


def test_a_segment_is_never_begun_twice(tmp_path: Path) -> None:
    JournalWriter(tmp_path / "s.jsonl").close()
    with pytest.raises(ArchiveError, match="cannot start journal"):
        JournalWriter(tmp_path / "s.jsonl")


FULL_DISK = """
    import resource, signal, sys
    from polythink.errors import ArchiveError
    from polythink.storage.journal import JournalWriter
    from tests.storage.test_journal import made
    from pathlib import Path

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = JournalWriter(Path(sys.argv[1]))
    writer.append([made(0), made(1)])
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
    try:
        writer.append([made(2), made(3)])
    except ArchiveError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    writer.append([made(4)])
"""


@pytest.mark.parametrize("more", [0, 1, 100, 500])
def test_a_full_disk_costs_only_the_append_that_met_it(tmp_path: Path, more: int) -> None:
    path = tmp_path / "s.jsonl"
    full = len(encode(made(0)) * 2) + more  # bytes the file may have
    script = [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(path), str(full)]
    root = Path(__file__).parents[2]
    said = subprocess.run(script, capture_output=True, text=True, check=True, cwd=root, env={**os.environ})
    assert "cannot write journal" in said.stdout and "File too large" in said.stdout
    found = read_segment([path.read_bytes()])
    assert ([attempt.key.sample_index for attempt in found.attempts], found.damaged) == ([0, 1, 4], 0)


@given(st.lists(attempts(), max_size=8))
def test_each_finished_sample_counts_once_and_by_its_first_end(some: list[Attempt]) -> None:
    finals = final_attempts([*some, *some])
    assert len({attempt.key for attempt in finals}) == len(finals)
    assert {attempt.key for attempt in finals} == {attempt.key for attempt in some if attempt.status != "retry"}
    for attempt in finals:
        assert attempt is next(one for one in some if one.key == attempt.key and one.is_final)


def test_an_append_is_on_the_disk_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []  # sizes of files, as they were when they were synced
    sync = os.fsync

    def note(handle: int) -> None:
        synced.append(os.fstat(handle).st_size)
        sync(handle)

    monkeypatch.setattr(os, "fsync", note)
    path = tmp_path / "s.jsonl"
    writer = JournalWriter(path)
    for index in range(3):
        before = len(synced)
        writer.append([made(index)])
        assert synced[before:] == [path.stat().st_size]
