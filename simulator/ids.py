"""Identifiers that look like the API's, and digests that name a request's randomness."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def new_id(prefix: str) -> str:
    """A fresh id such as `msg_01…` or `req_01…`: a prefix, `01`, and 22 characters."""
    return f"{prefix}_01{''.join(random.choices(_ALPHABET, k=22))}"


def digest(parts: Iterable[str]) -> bytes:
    """Sixteen bytes that name these texts, whatever process computes them."""
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def seeded(*parts: str) -> random.Random:
    """A generator of randomness that depends on these texts alone."""
    return random.Random(digest(parts))
