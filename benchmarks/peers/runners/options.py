"""What every runner is told, and the file of results that the two scripts share. Imports nothing but Python's own.

A runner's actions: `run` starts from nothing, `rerun` goes on after a kill, `count` prints how many samples have a
result.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Action = Literal["run", "rerun", "count"]

MODEL = "claude-haiku-4-5"
BUDGET_TOKENS, MAX_TOKENS = 1_024, 2_048
GOLD = "4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One call of a runner."""

    action: Action
    base_url: str  # of the server, without a path
    problems: int
    samples: int  # for each problem
    concurrency: int  # requests in flight at most
    folder: Path  # what the peer keeps goes here

    @property
    def wanted(self) -> list[tuple[str, int]]:
        """Every sample: problem id and index."""
        return [(f"p{number}", index) for number in range(self.problems) for index in range(self.samples)]


def parse() -> Options:
    """The command line's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=get_args(Action))
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--problems", type=int, required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    return Options(**vars(parser.parse_args()))


def prompt(problem: str) -> str:
    return f"({problem}) What is 2 + 2?"


def whole_lines(path: Path) -> set[tuple[str, int]]:
    """The samples whose line is whole; a torn last line is cut off, so that the next one starts on its own."""
    if not path.exists():
        return set()
    whole, newline, torn = path.read_bytes().rpartition(b"\n")
    if torn:
        path.write_bytes(whole + newline)
    rows = [json.loads(line) for line in whole.splitlines()]
    return {(row["problem"], row["index"]) for row in rows}
