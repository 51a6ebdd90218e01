"""Who is measured, and how each is started, started again after a kill, and asked what it has kept."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import yaml

from benchmarks.peers.environments import prepare, python_of
from benchmarks.peers.runners.options import BUDGET_TOKENS, GOLD, MAX_TOKENS, MODEL, Action, prompt
from polythink import __version__

PINS = Path(__file__).parent / "peers.toml"
_JOB = "peers"
_ENGINES = ("ray", "anthropic")
_KEPT = "SELECT count(DISTINCT (problem_id, sample_index)) AS n FROM traces WHERE outcome = 'answered'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What everybody is to do."""

    problems: int
    samples: int  # for each problem
    concurrency: int  # requests in flight at most

    @property
    def generations(self) -> int:
        return self.problems * self.samples


class Peer(Protocol):
    """One way to get the work done. All commands are run at the root of the repository."""

    @property
    def title(self) -> str: ...

    @property
    def versions(self) -> Sequence[str]: ...

    def prepare(self) -> str | None:
        """Make what it runs in; the reason if that cannot be had."""

    def command(self, action: Action, work: Work, *, base_url: str, folder: Path) -> Sequence[str]:
        """Start, go on after a kill, or print the number of samples kept as the last line. `folder` is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A peer: a runner of ours in an environment of its own."""

    name: str
    title: str
    versions: Sequence[str]

    def prepare(self) -> str | None:
        return prepare(self.name, self.versions)

    def command(self, action: Action, work: Work, *, base_url: str, folder: Path) -> Sequence[str]:
        return [
            *(str(python_of(self.name)), "-m", f"benchmarks.peers.runners.run_{self.name}", action),
            *(f"--base-url={base_url}", f"--problems={work.problems}", f"--samples={work.samples}"),
            *(f"--concurrency={work.concurrency}", f"--folder={folder}"),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """polythink as its users run it: command line, Ray, journal, Parquet, votes and curves."""

    title: str = "polythink"
    versions: Sequence[str] = (f"polythink=={__version__}", *(f"{name}=={version(name)}" for name in _ENGINES))

    def prepare(self) -> str | None:
        return None

    def command(self, action: Action, work: Work, *, base_url: str, folder: Path) -> Sequence[str]:
        polythink, archive = (sys.executable, "-m", "polythink"), f"--archive={folder / 'archive'}"
        match action:
            case "run":
                job = write_job(work, folder)
                return [*polythink, "run", str(job), archive, f"--base-url={base_url}", "--yes"]
            case "rerun":
                return [*polythink, "resume", _JOB, archive]
            case "count":
                return [*polythink, "query", archive, "--format=csv", _KEPT]


def write_job(work: Work, folder: Path) -> Path:
    """The job file, and its problems beside it."""
    names = [f"p{number}" for number in range(work.problems)]
    rows = [{"id": name, "prompt": prompt(name), "gold": GOLD} for name in names]
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = {
        "name": _JOB,
        "problems": {"path": "problems.jsonl"},
        "prompt": {"template": "{{ prompt }}"},
        "arms": [{"model": MODEL, "reasoning": {"budget_tokens": BUDGET_TOKENS}}],
        "samples": work.samples,
        "max_tokens": MAX_TOKENS,
        "answer": {"extract": "boxed", "equivalence": "number"},
        "concurrency": work.concurrency,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job))
    return path


def everybody() -> Mapping[str, Peer]:
    """All by name, ours first."""
    rows = tomllib.loads(PINS.read_text())
    others = {name: Foreign(name=name, title=row["title"], versions=tuple(row["pins"])) for name, row in rows.items()}
    return {"polythink": Ours(), **others}


def environment(home: Path) -> dict[str, str]:
    """The same for everybody: a home of its own, a key that is none, and nothing that reaches beyond this machine."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "HOME": str(home),
        "ANTHROPIC_API_KEY": "none",
        "HF_HUB_OFFLINE": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TELEMETRY_ENABLED": "false",
    }
