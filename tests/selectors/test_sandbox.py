"""A user's function in a process that can be killed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from polythink.errors import SandboxError
from polythink.selectors.sandbox import Sandbox, SandboxLimits, check_function

FUNCTIONS = """
import os, sys
print("loaded")
def double(x): return 2 * x
def noisy(x):
    print('[1, null]'); os.system('echo "[2, null]"'); sys.stdin.read()
    return x
def picky(x):
    if x == "loop":
        while True: pass
    if x == "exit": sys.exit(3)
    if x == "die": os._exit(4)
    if x == "raise": raise ValueError("bad row")
    if x == "memory": return len(bytearray(2**40))
    if x == "object": return object()
    return x
not_a_function = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "functions.py"
    path.write_text(FUNCTIONS)
    return path


def test_batch_comes_back_in_order(file: Path) -> None:
    with Sandbox(f"{file}:double") as sandbox:
        assert sandbox.call([(n,) for n in range(1000)]) == [2 * n for n in range(1000)]
        assert sandbox.call([]) == []


def test_prints_and_reads_leave_the_protocol_alone(file: Path) -> None:
    with Sandbox(f"{file}:noisy", quiet=True) as sandbox:
        assert sandbox.call([("a",), ("b",)]) == ["a", "b"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("loop", "took longer than 1 s"),
        ("exit", "SystemExit: 3"),
        ("die", "exited with status 4"),
        ("raise", r"ValueError: bad row \(functions.py:13\)"),
        ("memory", "MemoryError"),
        ("object", "not JSON serializable"),
    ],
)
def test_bad_row_harms_one_row(file: Path, row: str, message: str) -> None:
    with Sandbox(f"{file}:picky", limits=SandboxLimits(seconds=1.0)) as sandbox:
        before, bad, after = sandbox.call([("a",), (row,), ("b",)])
    assert (before, after) == ("a", "b")
    with pytest.raises(SandboxError, match=message):
        raise bad


def test_killed_child_is_gone_and_the_next_call_starts_another(file: Path) -> None:
    started = time.monotonic()
    with Sandbox(f"{file}:picky", limits=SandboxLimits(seconds=0.3)) as sandbox:
        first, second = sandbox.call([("loop",), ("loop",)])
        assert isinstance(first, SandboxError) and isinstance(second, SandboxError)
        assert sandbox.call([("a",)]) == ["a"]
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("{file}:duble", "did you mean double"),
        ("{file}:not_a_function", "not a function but int"),
        ("{file}.py:f", "no such file"),
        ("nowhere.at_all:f", "no module named nowhere"),
        ("json:dumps2", "did you mean dumps"),
        ("double", "path/to/file.py:function"),
    ],
)
def test_missing_function_is_named_before_use(file: Path, reference: str, message: str) -> None:
    with pytest.raises(SandboxError, match=message):
        check_function(reference.format(file=file))


def test_existing_functions_pass_the_check(file: Path) -> None:
    check_function(f"{file}:double")
    check_function("json:dumps")
