"""Which draw a request gets: retries of a sample get its draw again, new samples the next one."""

from __future__ import annotations


class Draws:
    """Numbers the requests of each (prompt, settings) in order of first sight.

    A request with a user id seen before gets the same number again, so that a retry neither changes the answer nor
    uses up another recording. Requests without a user id are all new.
    """

    def __init__(self) -> None:
        self._next: dict[bytes, int] = {}
        self._known: dict[bytes, dict[str, int]] = {}

    def number(self, key: bytes, user_id: str | None) -> int:
        """The draw, from 0, of this request among those with the same key."""
        known = self._known.setdefault(key, {}) if user_id is not None else None
        if known is not None and user_id is not None and user_id in known:
            return known[user_id]
        draw = self._next.get(key, 0)
        self._next[key] = draw + 1
        if known is not None and user_id is not None:
            known[user_id] = draw
        return draw
