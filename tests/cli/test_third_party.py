"""A selector of somebody else's, installed as a package: found by its entry point, run, explained and verified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from polythink.storage.archive import Archive

MODULE = """
from dataclasses import dataclass
from polythink.selectors.options import count
from polythink.selectors.registry import SelectorKind
from polythink.selectors.votes import Rule, count_votes, verdict_for


@dataclass(frozen=True)
class Rarest:
    at_least: int

    def select(self, ballot):
        tally = count_votes(ballot)
        often = [form for form, votes in tally.items() if votes >= self.at_least]
        return verdict_for(ballot, often[-1] if often else None, tally, tied=False)


KIND = SelectorKind(
    options={"at_least": count(1)},
    make=lambda settings, seed: Rarest(settings["at_least"]),
    curve=lambda settings, seed: None,
    rule=lambda settings: Rule(wins="fewest votes"),
)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages with one in it."""
    site = tmp_path / "site"
    info = site / "contrarian-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "contrarian.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: contrarian\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[polythink.selectors]\nrarest = contrarian:KIND\n")
    return site


def command(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "polythink", *arguments],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_selector_of_an_installed_package_is_found_run_explained_and_verified(site: Path, tmp_path: Path) -> None:
    answers = ["7", "7", "7", "5", "5", "9"]
    rows = [{"question_id": "q", "question": "?", "gold": "5", "answer": answer} for answer in answers]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    where = ["--archive", str(tmp_path / "archive")]
    assert command(site, "import", str(tmp_path / "samples.jsonl"), "--job", "theirs", *where).returncode == 0
    asked = ["--with", "rarest", "--with", "rarest: {at_least: 2, as: rare}"]
    selected = command(site, "select", "theirs", *asked, *where)
    assert selected.returncode == 0, selected.stderr
    query = "SELECT selector, answer, correct FROM selections WHERE starts_with(selector, 'rare') ORDER BY selector"
    assert Archive(tmp_path / "archive").sql(query).to_pylist() == [
        {"selector": "rare", "answer": "5", "correct": True},
        {"selector": "rarest", "answer": "9", "correct": False},
    ]
    explained = command(site, "select", "theirs", "q", "--explain", "--with", "rarest", *where)
    assert explained.returncode == 0 and "fewest votes" in explained.stdout
    verified = command(site, "verify", "theirs", *where)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_without_its_package_a_selector_is_unknown_and_its_options_are_checked_with_it(
    site: Path, tmp_path: Path
) -> None:
    (tmp_path / "samples.jsonl").write_text('{"question_id": "q", "gold": "5", "answer": "5"}\n')
    where = ["--archive", str(tmp_path / "archive")]
    assert command(site, "import", str(tmp_path / "samples.jsonl"), "--job", "theirs", *where).returncode == 0
    wrong = command(site, "select", "theirs", "--with", "rarest: {at_most: 2}", *where)
    assert wrong.returncode == 2 and "at_most" in wrong.stderr and "at_least" in wrong.stderr
    gone = command(tmp_path, "select", "theirs", "--with", "rarest", *where)
    assert gone.returncode == 2 and "unknown selector 'rarest'" in gone.stderr
