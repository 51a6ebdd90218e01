"""Which samples of a job are wanted, where their number follows from the answers so far. Pure: no I/O, no clock.

A cell is a problem in an arm. Its samples are released in waves: the first to every cell, another to a cell once all of
the last have been heard and the rule wants more. What a rule decides follows from the answers in the order of their
index alone; so a run that goes on with what an earlier one kept comes to the same waves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from polythink.jobs.grid import Grid
from polythink.selectors.greedy import Greedy, lead
from polythink.selectors.stopping import StoppingRule

Form = str | None  # the canonical answer of a sample; None abstains


@dataclass(slots=True)
class Step:
    """What follows, by the numbers of samples."""

    release: list[int] = field(default_factory=list)  # wanted now
    spare: list[int] = field(default_factory=list)  # not wanted any more


class Waves:
    """The waves of all cells of a grid. A cell's number is that of its first sample."""

    def __init__(self, rule: StoppingRule | Greedy, grid: Grid) -> None:
        self._rule = rule
        self._cells = _Cells(grid)
        arms = len(grid.arm_ids)
        numbers = [range(arm, grid.prompts, arms) for arm in range(arms)]
        self._rounds = [_Rounds(rule, self._cells, each) for each in numbers] if isinstance(rule, Greedy) else []

    def begin(self) -> Step:
        """The first wave of every cell."""
        step = Step()
        for cell in range(self._cells.count):
            step.release += self._cells.release(cell, self._rule.at_least)
        return step

    def is_released(self, ordinal: int) -> bool:
        index, cell = divmod(ordinal, self._cells.count)
        return index < self._cells.released[cell]

    def heard(self, ordinal: int, form: Form) -> int | None:
        """A released sample has finished. Returns its cell if that was the last of its wave: it is to be looked at."""
        index, cell = divmod(ordinal, self._cells.count)
        forms = self._cells.forms.get(cell)
        if forms is None or index in forms:
            return None
        forms[index] = form
        return cell if len(forms) == self._cells.released[cell] else None

    def forms(self, cell: int) -> tuple[Form, ...]:
        """The answers of a cell that is to be looked at, in order of index."""
        forms = self._cells.forms[cell]
        return tuple(forms[index] for index in range(len(forms)))

    def looked(self, cell: int, labels: Sequence[int]) -> Step:
        """What follows from a cell's answer classes, which are those of its `forms`."""
        if isinstance(self._rule, Greedy):
            return self._rounds[cell % len(self._rounds)].looked(cell, lead(labels))
        if self._cells.is_whole(cell) or self._rule.is_decided(labels, self._cells.left(cell)):
            return Step(spare=self._cells.close(cell))
        return Step(release=self._cells.release(cell, self._rule.wave))


class _Cells:
    """How far each cell is."""

    def __init__(self, grid: Grid) -> None:
        self.count = grid.prompts
        self.most = len(grid) // max(grid.prompts, 1)  # samples of a cell
        self.released = [0] * self.count
        self.forms: dict[int, dict[int, Form]] = {cell: {} for cell in range(self.count)}  # by index; until closed

    def is_whole(self, cell: int) -> bool:
        return self.left(cell) == 0

    def left(self, cell: int) -> int:
        """Samples that are not released."""
        return self.most - self.released[cell]

    def release(self, cell: int, count: int) -> list[int]:
        first = self.released[cell]
        self.released[cell] = min(first + count, self.most)
        return [index * self.count + cell for index in range(first, self.released[cell])]

    def close(self, cell: int) -> list[int]:
        """The samples that a cell does not get."""
        del self.forms[cell]
        return [index * self.count + cell for index in range(self.released[cell], self.most)]


class _Rounds:
    """The greedy rounds of one arm: the next begins when all cells of the last have been looked at."""

    def __init__(self, rule: Greedy, cells: _Cells, numbers: Sequence[int]) -> None:
        self._rule, self._cells, self._numbers = rule, cells, numbers
        self._leads = dict.fromkeys(numbers, 0.5)
        self._awaited = set(numbers)
        self._budget = rule.budget(len(numbers) * cells.most)

    def looked(self, cell: int, sureness: float) -> Step:
        self._leads[cell] = sureness
        self._awaited.discard(cell)
        return Step() if self._awaited else self._next()

    def _next(self) -> Step:
        cells, step = self._cells, Step()
        used = [cells.released[cell] for cell in self._numbers]
        left = self._budget - sum(used)
        for place in self._rule.chosen(list(self._leads.values()), used, [cells.most] * len(used), left):
            released = cells.release(self._numbers[place], min(self._rule.wave, left))
            left -= len(released)
            self._awaited.add(self._numbers[place])
            step.release += released
        if not self._awaited:
            step.spare = [ordinal for cell in self._numbers for ordinal in cells.close(cell)]
        return step
