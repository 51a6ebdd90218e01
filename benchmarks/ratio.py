"""What a benchmark says: ours next to a baseline measured in the same run. Machines are noisy; read the ratio."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """One comparison. `ours` and `baseline` have the same unit."""

    name: str
    unit: str
    ours: float
    baseline: float
    baseline_is: str

    @property
    def ratio(self) -> float | None:
        """None where the baseline is nothing, such as no refusals at all."""
        return self.ours / self.baseline if self.baseline else None
