"""One limit as its users see it. No clock: time is passed in, in seconds."""

from __future__ import annotations


class Allowance:
    """How much of a limit has been used and not yet come back.

    The server's bucket refills continuously; how much it can hold is not known, so this counts from full: `used` is 0
    when the bucket must be full, and whatever would come back then is lost. Where what is counted is an estimate, it
    may go below zero by `credit_s` seconds of limit, so that errors in both directions cancel.

    >>> requests = Allowance(per_minute=600, now=0.0)
    >>> requests.use(5, now=0.0)
    >>> requests.used_at(0.25)
    2.5
    """

    def __init__(self, *, per_minute: float, now: float, credit_s: float = 0.0) -> None:
        self.rate = per_minute / 60  # a second
        self._credit_s = credit_s
        self._used = 0.0
        self._at = now

    def used_at(self, now: float) -> float:
        """What has been used and not come back."""
        return max(-self._credit_s * self.rate, self._used - self.rate * max(0.0, now - self._at))

    def seconds_used(self, now: float) -> float:
        """The same in seconds of refill."""
        return self.used_at(now) / self.rate

    def use(self, amount: float, now: float) -> None:
        """Count an amount; a negative one gives back."""
        self._set(self.used_at(now) + amount, now)

    def at_least(self, used: float, now: float) -> None:
        """Somebody knows that this much is used."""
        self._set(max(self.used_at(now), used), now)

    def towards(self, used: float, weight: float, now: float) -> None:
        """Go part of the way (`weight` 0..1) to a measured value."""
        ours = self.used_at(now)
        self._set(ours + weight * (used - ours), now)

    def resize(self, per_minute: float, now: float) -> None:
        """Another limit. What is used stays so in seconds of refill, as in a bucket scaled with its limit."""
        seconds = self.seconds_used(now)
        self.rate = per_minute / 60
        self._set(seconds * self.rate, now)

    def _set(self, used: float, now: float) -> None:
        self._used = used
        self._at = max(self._at, now)
