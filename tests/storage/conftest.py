"""Every store under one behaviour: a local folder, and a bucket on a server that speaks S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from polythink.storage.archive import Archive
from tests.s3 import Bucket


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where archives can be."""
    if request.param == "local":
        return str(tmp_path / "archives")
    bucket: Bucket = request.getfixturevalue("bucket")
    return bucket.root


@pytest.fixture
def archive(root: str) -> Archive:
    """An empty archive."""
    return Archive(f"{root}/one")
