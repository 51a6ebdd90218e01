"""The account of a process tree: nothing that a command starts escapes it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.peers.tree import CgroupTree, ProcTree, Tree, _Row, cgroup_folder, descendants, kill, memory_mb

ROUNDED_S = 2 / os.sysconf("SC_CLK_TCK")  # user and system time of a process are each cut to whole ticks

# An orphan in a session of its own, as a daemon is, with a child of its own. Both burn CPU, hold memory and tell what
# they have used; then they stay.
DAEMON = """
import os, time
if os.fork():
    os._exit(0)
os.setsid()
os.fork()
held = b"x" * 20_000_000
while time.process_time() < 0.2:
    pass
os.write(1, f"{os.getpid()} {time.process_time()}\\n".encode())
while True:
    time.sleep(60)
"""


def cgroup_tree() -> Tree:
    parent = cgroup_folder(Path("/proc/self/mounts").read_text(), Path("/proc/self/cgroup").read_text())
    try:
        return CgroupTree(parent or Path("/proc"))
    except OSError as error:
        pytest.skip(f"no control group may be made here: {error}")


@pytest.fixture(params=[cgroup_tree, ProcTree], ids=["control group", "process table"])
def processes(request: pytest.FixtureRequest) -> Iterator[Tree]:
    tree: Tree = request.param()
    yield tree
    kill(tree)
    tree.close()


def start_daemon(tree: Tree) -> dict[int, float]:
    """CPU seconds by process id, as the daemon and its child tell them; the command itself has ended."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as output:
        environment = {"PATH": os.environ["PATH"]}
        process = tree.start([sys.executable, "-c", DAEMON], environment=environment, output=output)
    assert process.wait() == 0
    with os.fdopen(reading) as told:
        lines = [told.readline().split() for _ in range(2)]
    return {int(pid): float(cpu_s) for pid, cpu_s in lines}


def test_daemons_are_members_and_their_time_counts(processes: Tree) -> None:
    told = start_daemon(processes)
    assert processes.members() == told.keys()
    assert processes.cpu_s() >= sum(told.values()) - len(told) * ROUNDED_S


def test_memory_is_that_of_all(processes: Tree) -> None:
    told = start_daemon(processes)
    assert memory_mb(set(told)) >= 2 * 19


def test_after_a_kill_nobody_is_left_and_their_time_still_counts(processes: Tree) -> None:
    told = start_daemon(processes)
    kill(processes)
    assert processes.members() == set()
    assert processes.cpu_s() >= sum(told.values()) - len(told) * ROUNDED_S


def test_processes_started_before_are_not_members() -> None:
    rows = [row(2, 1), row(3, 1), row(4, 2), row(5, 3), row(6, 5)]
    assert {one.pid for one in descendants(rows, 1, others={2})} == {3, 5, 6}


def row(pid: int, parent: int) -> _Row:
    return _Row(pid=pid, parent=parent, started=0, cpu_s=0.0, is_dead=False)
