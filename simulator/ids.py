"""Identifiers that look like the API's, and digests that name a request's randomness."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterable, Iterator

_PLAIN = b"Xy"  # in place of the two characters of base64 that ids do not have
_ID_LENGTH = 22  # characters
_IDS_AT_ONCE = 256


def _characters() -> Iterator[str]:
    """Random characters for one id after another; made for many at once, which costs less."""
    while True:
        made = base64.b64encode(random.randbytes(_IDS_AT_ONCE * _ID_LENGTH * 3 // 4), _PLAIN).decode()
        for start in range(0, _IDS_AT_ONCE * _ID_LENGTH, _ID_LENGTH):
            yield made[start : start + _ID_LENGTH]


_NEXT = _characters()


def new_id(prefix: str) -> str:
    """A fresh id such as `msg_01…` or `req_01…`: a prefix, `01`, and 22 characters."""
    return f"{prefix}_01{next(_NEXT)}"


def digest(parts: Iterable[str]) -> bytes:
    """Sixteen bytes that name these texts, whatever process computes them."""
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def seeded(*parts: str) -> random.Random:
    """A generator of randomness that depends on these texts alone."""
    return random.Random(_seed(parts))


def reseed(rng: random.Random, *parts: str) -> None:
    """Make a generator go on as `seeded` would begin, for less than a new one costs."""
    rng.seed(_seed(parts))


def _seed(parts: tuple[str, ...]) -> int:
    return int.from_bytes(digest(parts), "big")
