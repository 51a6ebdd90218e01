"""Where an archive's bytes are: one interface over a local folder and over object stores.

Names are relative to the archive's root, with `/` between their parts. Every write is whole or not at all, and durable
when it returns. All methods raise ArchiveError where the store refuses or cannot be reached.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioned:
    """What is stored under a name, and the mark by which a later write can tell whether it still is."""

    data: bytes
    version: str


class Store(Protocol):
    """A local folder or a place in a bucket."""

    @property
    def root(self) -> str:
        """The root as `--archive` takes it: a path, or a URL."""
        ...

    @property
    def folder(self) -> Path | None:
        """The root as a local folder; None for an object store."""
        ...

    def place(self, name: str) -> str:
        """A name as people and DuckDB find it: a path, or a URL."""
        ...

    def get(self, name: str) -> bytes | None:
        """The bytes of a name, None if there is none."""
        ...

    def read(self, name: str) -> Versioned | None:
        """The bytes of a name with their version."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write, in place of what may be there."""
        ...

    def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Write a name that is not there; returns its version, None if it is there.

        `data` must be unlike what any other writer puts there, here and in `put_if_match`: where the reply to a write
        was lost, what lies there tells whose it is.
        """
        ...

    def put_if_match(self, name: str, data: bytes, version: str) -> str | None:
        """Replace what has this version; returns the new one, None if the old is no longer there."""
        ...

    def names(self, prefix: str) -> list[str]:
        """All names below a folder, at any depth, in order."""
        ...

    def folders(self, prefix: str) -> list[str]:
        """The folders right below a folder, by their own name, in order."""
        ...

    def delete(self, name: str) -> None:
        """Durably remove a name; it need not be there."""
        ...

    def as_file(self, name: str) -> AbstractContextManager[Path]:
        """A local file with the bytes of a name, for whom only a file will do; a copy where the store is remote."""
        ...

    def filesystem(self) -> Any:
        """The fsspec file system by which DuckDB reads `place`s; None where it can by itself."""
        ...


def open_store(root: str | Path) -> Store:
    """The store at a local path, or at an `s3://`, `gs://` or `az://` URL. Raises ArchiveError if it can be neither."""
    if "://" in str(root):
        from polythink.storage.remote_store import RemoteStore  # a local archive does not wait for obstore's import

        return RemoteStore(str(root))
    from polythink.storage.local_store import LocalStore

    return LocalStore(Path(root))
