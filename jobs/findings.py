"""What an audit finds: rows looked at, what disagrees, what deserves a second look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

MOST_SHOWN = 20  # differences of one check that are kept word for word; all are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A place where the archive says one thing and its traces another."""

    check: str
    where: str
    found: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was found of one job."""

    job_id: str
    looked_at: Mapping[str, int]  # check -> rows
    differing: Mapping[str, int]  # check -> differences
    differences: tuple[Difference, ...]  # the first of each check
    warnings: tuple[str, ...]
    arms: tuple[Mapping[str, object], ...]  # samples of each arm by what became of them

    @property
    def agrees(self) -> bool:
        return not self.differing


class Findings:
    """Collects the findings of one audit."""

    def __init__(self) -> None:
        self.looked_at: Counter[str] = Counter()
        self.differing: Counter[str] = Counter()
        self.differences: list[Difference] = []
        self.warnings: list[str] = []

    def looked(self, check: str, rows: int) -> None:
        self.looked_at[check] += rows

    def differs(self, check: str, where: str, *, found: object, expected: object) -> None:
        self.differing[check] += 1
        if self.differing[check] <= MOST_SHOWN:
            self.differences.append(
                Difference(check=check, where=where, found=_shown(found), expected=_shown(expected))
            )

    def differs_unshown(self, check: str, count: int) -> None:
        """Count differences beyond those that are kept word for word."""
        if count:
            self.differing[check] += count

    def compare(self, check: str, where: str, *, found: object, expected: object) -> None:
        """Note a difference unless both are equal; numbers may differ in the last digits of a sum."""
        if not _equal(found, expected):
            self.differs(check, where, found=found, expected=expected)


def _equal(found: object, expected: object) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return found == expected or abs(found - expected) <= 1e-9 + 1e-9 * abs(expected)
    return found == expected


def _shown(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 200 else text[:199] + "\N{HORIZONTAL ELLIPSIS}"
