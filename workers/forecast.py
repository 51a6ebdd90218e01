"""What replies of one kind are expected to be: running means over those that ended. No I/O, no clock."""

from __future__ import annotations

REMEMBERED = 200.0  # requests; older ones fade away
KNOWN_AFTER = 8.0  # ended requests until the guess is no longer needed
GUESSED_SPEED = 200.0  # output tokens a second: rather too fast, so that a cold start is careful


class Forecast:
    """Length and speed of the replies of one kind, from a guess until enough have ended.

    The speed is the mean over time, not over requests: the sum of tokens over the sum of seconds. That is what many
    streams side by side produce, whether they are many short ones or a few long ones.
    """

    def __init__(self, guess: float) -> None:
        self._count = 0.0
        self._tokens = 0.0
        self._seconds = 0.0
        self._guess = max(1.0, guess)

    @property
    def is_known(self) -> bool:
        return self._count >= KNOWN_AFTER and self._tokens > 0

    @property
    def seconds(self) -> float:
        """Of one request, from permit to report."""
        return self._seconds / self._count if self.is_known else self._guess / GUESSED_SPEED

    @property
    def speed(self) -> float:
        """Output tokens a second of one request."""
        return self._tokens / self._seconds if self.is_known else GUESSED_SPEED

    def learn(self, *, tokens: float, seconds: float) -> None:
        """Take in a request that ended."""
        fade = 1 - 1 / REMEMBERED
        self._count = self._count * fade + 1
        self._tokens = self._tokens * fade + tokens
        self._seconds = self._seconds * fade + max(seconds, 1e-3)
