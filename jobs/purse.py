"""The spend cap by reservation: settled cost plus the worst case of everything in flight never exceeds it."""

from __future__ import annotations

_TOLERANCE_USD = 1e-9  # sums of floats, not money


class Purse:
    """Money for one run, in USD. Without a cap everything is affordable.

    >>> purse = Purse(cap_usd=1.0, settled_usd=0.5)
    >>> purse.reserve(0.4), purse.reserve(0.4)
    (True, False)
    >>> purse.settle(reserved=0.4, actual=0.1)
    >>> purse.reserve(0.4)
    True
    """

    def __init__(self, *, cap_usd: float | None, settled_usd: float) -> None:
        self.cap_usd = cap_usd
        self.settled_usd = settled_usd
        self._reserved_usd = 0.0

    @property
    def reserved_usd(self) -> float:
        """Set aside for what is in flight, and for what was sent and whose cost nobody knows."""
        return self._reserved_usd

    def reserve(self, worst_case: float) -> bool:
        """Set the worst case of one request aside; False if the cap leaves no room for it."""
        if self.cap_usd is not None:
            after = self.settled_usd + self._reserved_usd + worst_case
            if after > self.cap_usd + _TOLERANCE_USD:
                return False
        self._reserved_usd += worst_case
        return True

    def hold(self, worst_case: float) -> None:
        """Set aside what was sent already, whatever the cap says now."""
        self._reserved_usd += worst_case

    def settle(self, *, reserved: float, actual: float) -> None:
        """The request is over: what was set aside is free again, what it cost is spent."""
        self._reserved_usd -= reserved
        self.settled_usd += actual
