"""Identifiers that look like the API's, and digests that name a request's randomness."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterable

_PLAIN = b"Xy"  # in place of the two characters of base64 that ids do not have


def new_id(prefix: str) -> str:
    """A fresh id such as `msg_01…` or `req_01…`: a prefix, `01`, and 22 characters."""
    return f"{prefix}_01{base64.b64encode(random.randbytes(18), _PLAIN)[:22].decode()}"


def digest(parts: Iterable[str]) -> bytes:
    """Sixteen bytes that name these texts, whatever process computes them."""
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def seeded(*parts: str) -> random.Random:
    """A generator of randomness that depends on these texts alone."""
    return random.Random(int.from_bytes(digest(parts), "big"))
