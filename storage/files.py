"""Files that are either wholly there or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from polythink.errors import ArchiveError

_FIXES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some of your quota there",
    errno.EROFS: "it is mounted read-only; name a writable archive, or mount it writable",
    errno.EACCES: "make it writable for this user, or name another archive",
    errno.ENOTDIR: "a file stands where a folder must be",
}


def refusal(verb: str, path: Path, error: OSError) -> ArchiveError:
    """What to say where the file system refuses to `verb` a path, with the fix where there is one.

    >>> str(refusal("write", Path("a/b"), OSError(errno.ENOSPC, "No space left on device")))
    'cannot write a/b: No space left on device; free some space there'
    """
    fix = _FIXES.get(error.errno or 0)
    return ArchiveError(f"cannot {verb} {path}: {error.strerror or error}{f'; {fix}' if fix else ''}")


def sync_folder(folder: Path) -> None:
    """Make a rename or a new file in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary neighbour of `path`, then put it in place in one durable step.

    Raises ArchiveError if the file system refuses; `path` then is as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):  # what refused the file may refuse this
            temporary.unlink(missing_ok=True)
        raise refusal("write", path, error) from error


def replace_text(path: Path, text: str) -> None:
    """Durably replace the text of `path`. Raises ArchiveError."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
