"""A store in a local folder. The folder appears with the first write."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polythink.storage.files import refusal, replace_file, sync_folder
from polythink.storage.store import Versioned

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)  # file systems without hard links


class LocalStore:
    """Files below a folder. Names that begin with a dot are temporary files and locks, and are no names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser().absolute()

    @property
    def root(self) -> str:
        return str(self._folder)

    @property
    def folder(self) -> Path | None:
        return self._folder

    def path(self, name: str) -> Path:
        return self._folder / name

    def place(self, name: str) -> str:
        return str(self.path(name))

    def get(self, name: str) -> bytes | None:
        try:
            return self.path(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise refusal("read", self.path(name), error) from error

    def read(self, name: str) -> Versioned | None:
        data = self.get(name)
        return None if data is None else Versioned(data=data, version=_version(data))

    def put(self, name: str, data: bytes) -> None:
        replace_file(self.path(name), lambda temporary: temporary.write_bytes(data))

    def put_if_absent(self, name: str, data: bytes) -> str | None:
        path = self.path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            is_new = _create(path, data)
            sync_folder(path.parent)
        except OSError as error:
            raise refusal("write", path, error) from error
        return _version(data) if is_new else None

    def put_if_match(self, name: str, data: bytes, version: str) -> str | None:
        with self._locked(name):
            found = self.read(name)
            if found is None or found.version != version:
                return None
            self.put(name, data)
            return _version(data)

    def names(self, prefix: str) -> list[str]:
        found = []
        for folder, folders, files in os.walk(self.path(prefix)):
            folders[:] = [one for one in folders if not one.startswith(".")]
            above = Path(folder).relative_to(self._folder)
            found += [(above / file).as_posix() for file in files if not file.startswith(".")]
        return sorted(found)

    def folders(self, prefix: str) -> list[str]:
        try:
            entries = list(os.scandir(self.path(prefix)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise refusal("read", self.path(prefix), error) from error
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))

    def delete(self, name: str) -> None:
        path = self.path(name)
        try:
            path.unlink()
            sync_folder(path.parent)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise refusal("remove", path, error) from error

    @contextmanager
    def as_file(self, name: str) -> Iterator[Path]:
        yield self.path(name)

    def filesystem(self) -> None:
        return None

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Be the one who compares and replaces. Held for a moment only, and freed by the system with its process."""
        path = self.path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = path.with_name(f".{path.name}.lock").open("a")
        except OSError as error:
            raise refusal("write", path, error) from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _create(path: Path, data: bytes) -> bool:
    """Bring a whole file into being under a name that is free; False if it is not."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        _write_synced(temporary, data)
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create_unlinked(path, data)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _create_unlinked(path: Path, data: bytes) -> bool:
    """The same where there are no hard links: exclusive too, but a crash can leave it short."""
    try:
        _write_synced(path, data)
    except FileExistsError:
        return False
    return True


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _version(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
