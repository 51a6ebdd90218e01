"""The part of a job file that says when a problem has samples enough."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from polythink.jobs.spec_parts import Count, Model
from polythink.selectors.greedy import Greedy
from polythink.selectors.stopping import Beta, Dirichlet, Window

Chance = Annotated[float, Field(strict=True, gt=0.5, lt=1, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1, allow_inf_nan=False)]
AtLeast = Annotated[Count, Field(description="samples of every problem before votes are looked at")]
Wave = Annotated[Count, Field(description="samples of a problem from one look at its vote to the next")]


class BetaStop(Model):
    """Stop a problem when more samples would hardly change its vote."""

    beta: Chance = Field(
        description="stop when the leader will be ahead of the runner-up after all samples with this chance, above 0.5"
    )
    at_least: AtLeast = 4
    wave: Wave = 2

    def rule(self) -> Beta:
        return Beta(confidence=self.beta, at_least=self.at_least, wave=self.wave)


class DirichletStop(Model):
    """Stop a problem when its leading answer beats all others."""

    dirichlet: Chance = Field(description="stop when the leading answer beats every other with this chance, above 0.5")
    at_least: AtLeast = 4
    wave: Wave = 2

    def rule(self) -> Dirichlet:
        return Dirichlet(confidence=self.dirichlet, at_least=self.at_least, wave=self.wave)


class WindowStop(Model):
    """Stop a problem when a window of samples agrees."""

    window: Annotated[int, Field(strict=True, ge=2)] = Field(
        description="stop when so many samples in a row, from 2, agree; windows do not overlap"
    )

    def rule(self) -> Window:
        return Window(size=self.window)


class GreedyStop(Model):
    """Spend a share of the samples on the problems that are least decided."""

    greedy: Share = Field(description="share of all samples of an arm to spend, round by round on the least decided")
    at_least: Count = Field(default=2, description="with greedy: the same")
    wave: Wave = 2

    def rule(self) -> Greedy:
        return Greedy(share=self.greedy, at_least=self.at_least, wave=self.wave)


_KINDS = ("beta", "dirichlet", "window", "greedy")


def _tag(value: Any) -> str | None:
    """Each form has one field that no other has. A tag begins with `#`: it is no part of a path in the job file."""
    named = value if isinstance(value, dict) else type(value).__name__.removesuffix("Stop").lower()
    return next((f"#{name}" for name in _KINDS if name in named), None)


Stop = Annotated[
    Annotated[BetaStop, Tag("#beta")]
    | Annotated[DirichletStop, Tag("#dirichlet")]
    | Annotated[WindowStop, Tag("#window")]
    | Annotated[GreedyStop, Tag("#greedy")],
    Discriminator(
        _tag,
        custom_error_type="shape",
        custom_error_message="one of {beta: 0.95}, {dirichlet: 0.95}, {window: 4}, {greedy: 0.5}",
    ),
]
