"""What every test may rely on: a key that is no key, no environment built by Ray; a bucket and a Ray for whom asks."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from polythink.jobs.cluster import cluster
from tests.s3 import Bucket, S3Server, environment

settings.register_profile("polythink", deadline=None)  # machines are noisy
settings.load_profile("polythink")
os.environ.setdefault("ANTHROPIC_API_KEY", "sk-test-0123456789abcdef")
os.environ.pop("ANTHROPIC_BASE_URL", None)
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  # else a run's workers wait for whatever other test is busy


@pytest.fixture(scope="session")
def one_ray() -> Iterator[None]:
    """Ray for every run inside this process: starting it takes longer than most of them.

    Not for tests that read what a command prints: Ray speaks up at any moment, on stdout.
    """
    with cluster(None, workers=4):
        yield


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[Bucket]:
    """An empty bucket that this process and its children reach."""
    bucket = s3_server.bucket()
    with environment(bucket):
        yield bucket
