"""A store in a bucket: S3 and what speaks its protocol, Google Cloud Storage, Azure.

Credentials, region and endpoint come from the environment, under the names each provider's own tools use
(AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, AWS_ALLOW_HTTP, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME, ...).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.fsspec import FsspecStore
from obstore.store import from_url

from polythink.errors import ArchiveError
from polythink.storage.store import Versioned

SCHEMES = ("s3", "gs", "az")
_WORDS = 300  # characters of a provider's error that are shown
_TROUBLE = (BaseError, OSError, ValueError)  # all that obstore raises


class RemoteStore:
    """Objects below a prefix of a bucket."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not parts.netloc:
            raise ArchiveError(f"archive {url!r}: give a path, or a URL such as s3://bucket/prefix (s3, gs or az)")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ArchiveError("archive: a URL with more than bucket and prefix; credentials come from the environment")
        self._scheme = parts.scheme
        self._root = url.rstrip("/")
        try:
            self._store: Any = from_url(self._root)
        except _TROUBLE as error:
            raise self._refusal("open", "", error) from error

    @property
    def root(self) -> str:
        return self._root

    @property
    def folder(self) -> Path | None:
        return None

    def place(self, name: str) -> str:
        return f"{self._root}/{name}"

    def get(self, name: str) -> bytes | None:
        found = self.read(name)
        return None if found is None else found.data

    def read(self, name: str) -> Versioned | None:
        try:
            found = obstore.get(self._store, name)
            return Versioned(data=bytes(found.bytes()), version=_version(found.meta))
        except FileNotFoundError:
            return None
        except _TROUBLE as error:
            raise self._refusal("read", name, error) from error

    def put(self, name: str, data: bytes) -> None:
        try:
            obstore.put(self._store, name, data)
        except _TROUBLE as error:
            raise self._refusal("write", name, error) from error

    def put_if_absent(self, name: str, data: bytes) -> str | None:
        return self._put_on_condition(name, data, "create")

    def put_if_match(self, name: str, data: bytes, version: str) -> str | None:
        return self._put_on_condition(name, data, json.loads(version))

    def names(self, prefix: str) -> list[str]:
        try:
            return sorted(entry["path"] for batch in obstore.list(self._store, prefix) for entry in batch)
        except _TROUBLE as error:
            raise self._refusal("list", prefix, error) from error

    def folders(self, prefix: str) -> list[str]:
        try:
            found = obstore.list_with_delimiter(self._store, prefix)["common_prefixes"]
        except _TROUBLE as error:
            raise self._refusal("list", prefix, error) from error
        return sorted(PurePosixPath(folder).name for folder in found)

    def delete(self, name: str) -> None:
        try:
            obstore.delete(self._store, name)
        except FileNotFoundError:
            return
        except _TROUBLE as error:
            raise self._refusal("remove", name, error) from error

    @contextmanager
    def as_file(self, name: str) -> Iterator[Path]:
        data = self.get(name)
        if data is None:
            raise ArchiveError(f"cannot read {self.place(name)}: it is not there")
        with tempfile.TemporaryDirectory(prefix="polythink-") as folder:
            path = Path(folder) / PurePosixPath(name).name
            path.write_bytes(data)
            yield path

    def filesystem(self) -> Any:
        protocol: Any = self._scheme
        return FsspecStore(protocol)

    def _put_on_condition(self, name: str, data: bytes, mode: Any) -> str | None:
        """A put that failed on the way back may have been done, and its retry is then refused: so look."""
        try:
            return _version(obstore.put(self._store, name, data, mode=mode, use_multipart=False))
        except (AlreadyExistsError, PreconditionError):
            found = self.read(name)
            return found.version if found and found.data == data else None
        except FileNotFoundError:  # what was to be replaced is gone
            return None
        except _TROUBLE as error:
            raise self._refusal("write", name, error) from error

    def _refusal(self, verb: str, name: str, error: Exception) -> ArchiveError:
        words = " ".join(str(error).split())
        return ArchiveError(
            f"cannot {verb} {self.place(name)}: {words[:_WORDS]}; check that the bucket exists and that "
            "the environment has its credentials, region and endpoint"
        )


def _version(meta: Any) -> str:
    """S3 compares the tag, Google the number."""
    return json.dumps({mark: meta[mark] for mark in ("e_tag", "version") if meta[mark] is not None})
