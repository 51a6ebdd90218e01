"""Asking a function for vectors of samples' texts, for a learned scorer to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from polythink.errors import SandboxError
from polythink.jobs.asking import ask, kept
from polythink.selectors.embeddings import SHOWN, Vectors
from polythink.selectors.sandbox import Sandbox, SandboxLimits
from polythink.storage.archive import Archive
from polythink.storage.schema import EMBEDDINGS

_TEXTS = 32  # in one call
_MEMORY_BYTES = 16 * 2**30  # of address space: libraries of neural networks map more than 4 GiB and use little of it


def embed(archive: Archive, job_id: str, name: str, function: str) -> Iterator[str]:
    """Ask for the vectors that the scorer of that name lacks. Yields what there is to say of it."""
    earlier = kept(archive, job_id, EMBEDDINGS, name, function)
    lengths = earlier["length"].drop_null()
    yield from ask(archive, job_id, name, function, _Vectors(lengths[0].as_py() if len(lengths) else None), earlier)


class _Vectors(Vectors):
    """What a function is asked for vectors, and what of its replies is kept."""

    table = EMBEDDINGS
    shown: Sequence[str] = (f"{SHOWN} AS shown",)
    noun = "vector"
    limits = SandboxLimits(seconds=30.0, memory_bytes=_MEMORY_BYTES)

    def ask(self, sandbox: Sandbox, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[object]]:
        """Raises SandboxError if the function cannot be loaded."""
        vectors = self.read(_given(sandbox, [row["shown"] for row in rows], _TEXTS))
        return {"vector": vectors, "length": [None if vector is None else self.length for vector in vectors]}


def _given(sandbox: Sandbox, texts: Sequence[str], at_once: int) -> list[Any]:
    """What the function gave for each text, or the SandboxError in its place.

    A call that fails over several texts is made again for each, so that one text costs itself only.
    """
    calls = [texts[start : start + at_once] for start in range(0, len(texts), at_once)]
    found: list[Any] = []
    for call, reply in zip(calls, sandbox.call([[list(call)] for call in calls]), strict=True):
        if isinstance(reply, list) and len(reply) == len(call):
            found += reply
        elif len(call) > 1:
            found += _given(sandbox, call, 1)
        elif isinstance(reply, SandboxError):
            found.append(reply)
        else:
            found.append(SandboxError(f"returned {reply!r:.80}; wanted a list of one vector for each text"))
    return found
