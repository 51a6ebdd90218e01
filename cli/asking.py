"""A job on its way to being sent; apart from the options, for asking its endpoints what they take needs the SDK."""

from __future__ import annotations

import sys

from polythink.cli.options import open_archive
from polythink.jobs.capabilities import check_capabilities
from polythink.jobs.load import LoadedJob
from polythink.jobs.workload import with_new_arms
from polythink.storage.archive import Archive


def asked_for(loaded: LoadedJob, archive: str | None, *, new_arms: bool) -> tuple[Archive, LoadedJob]:
    """A job once its endpoints were asked whether they take it, and its archive; says where they do not tell.

    Raises SpecError, and JobChangedError as `with_new_arms` does.
    """
    for note in check_capabilities(loaded):
        print(f"polythink: note: {note}", file=sys.stderr)
    where = open_archive(archive, loaded.archive)
    return where, with_new_arms(where, loaded) if new_arms else loaded
