"""A cap by reservation: what is settled plus the worst case of everything in flight never exceeds it."""

from __future__ import annotations

_TOLERANCE = 1e-9  # sums of floats

# What a run that ended at one of its caps says must happen.
RAISE_USD = "raise cap.usd to go on"
RAISE_TOKENS = "raise cap.output_tokens to go on"
LATER_DEADLINE = "set a later cap.deadline to go on"


class Purse:
    """An amount under a cap, in USD or in tokens. Without a cap everything is affordable.

    >>> purse = Purse(cap=1.0, settled=0.5)
    >>> purse.reserve(0.4), purse.reserve(0.4)
    (True, False)
    >>> purse.settle(reserved=0.4, actual=0.1)
    >>> purse.reserve(0.4)
    True
    """

    def __init__(self, *, cap: float | None, settled: float) -> None:
        self.cap = cap
        self.settled = settled
        self._reserved = 0.0

    @property
    def reserved(self) -> float:
        """Set aside for what is in flight, and for what was sent and whose cost nobody knows."""
        return self._reserved

    def reserve(self, worst_case: float) -> bool:
        """Set the worst case of one request aside; False if the cap leaves no room for it."""
        if self.cap is not None and self.settled + self._reserved + worst_case > self.cap + _TOLERANCE:
            return False
        self._reserved += worst_case
        return True

    def hold(self, worst_case: float) -> None:
        """Set aside what was sent already, whatever the cap says now."""
        self._reserved += worst_case

    def settle(self, *, reserved: float, actual: float) -> None:
        """The request is over: what was set aside is free again, what it cost is spent."""
        self._reserved -= reserved
        self.settled += actual
