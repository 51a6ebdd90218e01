"""A shell of one's own: polythink's command with a local head that no one else knows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from polythink.jobs.follow import Sighting, follow, look
from polythink.jobs.head import local_head
from polythink.simulator.process import SimulatorProcess
from polythink.storage.archive import Archive
from polythink.storage.state import JobState

KEY = "sk-test-" + "c0ffee" * 6  # a value found nowhere else
COMMAND_TIMEOUT_S = 120
HEAD_STOP_S = 40

JOB = """
name: tiny
problems: {{path: problems.jsonl, gold: answer}}
prompt: {{template: "{{{{ problem }}}}"}}
arms:
  - {{id: none, model: claude-haiku-4-5, reasoning: none, max_tokens: 64}}
  - {{id: thinking, model: claude-haiku-4-5, reasoning: {{budget_tokens: 1024}}, max_tokens: 1088}}
samples: {samples}
answer: {{extract: last_number, equivalence: number}}
concurrency: 2
workers: 1
cap: {{usd: 5}}
"""


class Reached(Exception):
    """The state that was waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """Runs `polythink` as a process of its own, from a folder with a job file."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "polythink", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )

    def with_variables(self, **variables: str) -> Shell:
        return replace(self, environment=self.environment | variables)

    def write_job(self, *, samples: int) -> None:
        """A job file for 4 problems and 2 arms: 8 samples for each one asked."""
        (self.folder / "job.yaml").write_text(JOB.format(samples=samples), encoding="utf-8")

    @property
    def archive(self) -> Archive:
        return Archive(self.environment["POLYTHINK_ARCHIVE"])

    def submit(self, *arguments: str) -> str:
        """Submit the job file; the job's id."""
        submitted = self("submit", "job.yaml", *arguments)
        assert submitted.returncode == 0, submitted.stderr
        return submitted.stdout.strip()

    def look(self, job_id: str) -> Sighting:
        return look(self.archive, job_id)

    def until_done(self, job_id: str, done: int) -> JobState:
        """The state of a running job with at least so many samples done."""

        def see(state: JobState) -> None:
            if state.status == "running" and state.done >= done:
                raise Reached(state)

        with pytest.raises(Reached) as reached:
            follow(self.archive, job_id, see)
        return reached.value.args[0]  # type: ignore[no-any-return]

    def traces(self) -> list[tuple[str, str, int]]:
        rows = self.archive.sql("SELECT problem_id, arm_id, sample_index FROM traces ORDER BY ALL").to_pylist()
        return [tuple(row.values()) for row in rows]


@pytest.fixture(scope="module")
def polythink_home() -> Iterator[Path]:
    """A state folder with a live head, shared by a module; whatever head it knows at the end is ended."""
    with tempfile.TemporaryDirectory(prefix="polythink-home-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLYTHINK_HOME", folder)
        patch.setenv("ANTHROPIC_API_KEY", KEY)
        local_head(print)
        yield Path(folder)
        head = json.loads(Path(folder, "head.json").read_text(encoding="utf-8"))
        end_session(head["pid"])
        shutil.rmtree(head["folder"], ignore_errors=True)


def end_session(leader: int) -> None:
    """End the head that leads this session, gently first."""
    try:
        os.kill(leader, signal.SIGTERM)
        subprocess.run(["timeout", str(HEAD_STOP_S), "tail", f"--pid={leader}", "-f", "/dev/null"], check=False)
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.fixture
def shell(tmp_path: Path, polythink_home: Path, simulator: SimulatorProcess) -> Shell:
    problems = [{"id": f"p{n}", "problem": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(4)]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    shell = Shell(
        folder=tmp_path,
        environment=environment
        | {
            "POLYTHINK_HOME": str(polythink_home),
            "POLYTHINK_ARCHIVE": str(tmp_path / "archive"),
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": simulator.base_url,
        },
    )
    shell.write_job(samples=2)
    return shell


@pytest.fixture
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess.start(["--latency", "0.3"]) as process:
        yield process
