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
    return installed(tmp_path / "site", "contrarian", MODULE, "[polythink.selectors]\nrarest = contrarian:KIND\n")


def installed(site: Path, name: str, module: str, entry_points: str) -> Path:
    """A folder as pip leaves it, with a package of one module."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{name}.py").write_text(module)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
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


BROKEN = """
from polythink.selectors.first import First
from polythink.selectors.registry import SelectorKind

class Select:
    def select(self, ballot):
        return {}["no such answer"]

class Odd:
    def select(self, ballot):
        return None

def curve(panel, ks):
    raise TypeError("no curve today")

def fails(settings, *seed):
    raise RuntimeError("out of order")

def kind(**changes):
    fields = {"options": {}, "make": lambda settings, seed: Select(), "curve": lambda settings, seed: None}
    return SelectorKind(**{**fields, **changes})

SELECTS = kind()
ODD = kind(make=lambda settings, seed: Odd())
MAKES = kind(make=fails)
CURVES = kind(make=lambda settings, seed: First(), curve=lambda settings, seed: curve)
RULES = kind(function=fails)
NONE = {"not": "a kind"}
"""
ENTRIES = """[polythink.selectors]
unselectable = broken:SELECTS
odd = broken:ODD
unmakeable = broken:MAKES
uncurved = broken:CURVES
unruly = broken:RULES
unkind = broken:NONE
unloadable = absent_package:KIND
"""


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder with a package whose selectors all fail, each in a way of its own."""
    return installed(tmp_path / "broken-site", "broken", BROKEN, ENTRIES)


def test_a_selector_that_fails_is_named_with_its_error_and_breaks_nothing_else(broken: Path, tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_text('{"question_id": "q", "gold": "5", "answer": "5"}\n')
    where = ["--archive", str(tmp_path / "archive")]
    imported = command(broken, "import", str(tmp_path / "samples.jsonl"), "--job", "theirs", *where)
    assert imported.returncode == 0, imported.stderr
    names = ("unselectable", "odd", "unmakeable", "uncurved", "majority")
    selected = command(broken, "select", "theirs", *(part for name in names for part in ("--with", name)), *where)
    assert selected.returncode == 2 and "Traceback" not in selected.stderr
    for told in (
        "unselectable: KeyError: 'no such answer'",
        "odd: AttributeError: ",
        "unmakeable: RuntimeError: out of order",
        "uncurved: TypeError: no curve today",
    ):
        assert told in selected.stderr
    found = Archive(tmp_path / "archive").sql("SELECT DISTINCT selector FROM selections")["selector"].to_pylist()
    assert found == ["majority"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("unloadable", "unloadable: absent_package:KIND cannot be loaded: ModuleNotFoundError: No module named"),
        ("unkind", "unkind: broken:NONE is of type dict, wanted a SelectorKind"),
        ("unruly", "unruly: RuntimeError: out of order"),
    ],
)
def test_a_selector_that_is_none_is_refused_with_its_package_and_the_fix(
    broken: Path, tmp_path: Path, name: str, told: str
) -> None:
    (tmp_path / "samples.jsonl").write_text('{"question_id": "q", "gold": "5", "answer": "5"}\n')
    where = ["--archive", str(tmp_path / "archive")]
    assert command(broken, "import", str(tmp_path / "samples.jsonl"), "--job", "theirs", *where).returncode == 0
    refused = command(broken, "select", "theirs", "--with", name, *where)
    assert refused.returncode == 2 and told in refused.stderr and "Traceback" not in refused.stderr
    assert name == "unruly" or f"uninstall the package broken, or leave {name} out" in refused.stderr
