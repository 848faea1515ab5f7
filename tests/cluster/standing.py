"""A cluster for tests, and builds that run on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import pytest

from shards.object_path import ObjectPath
from tests.cluster import needs, running
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Cluster
from tests.object_store import ObjectStore, client_options, keys


@contextmanager
def standing(cluster: Cluster) -> Iterator[Cluster]:
    """Keep a cluster up for as long as the block takes; skip the test, saying why, where none can stand."""
    missing = needs.what_is_missing()
    if missing:
        pytest.skip(f"no cluster here: {missing[0]}")
    try:
        needs.fetch_jars()
    except ClusterError as error:
        pytest.skip(f"no cluster here: {error}")
    running.up(cluster)
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # it would go on asking another cluster's store
    try:
        yield cluster
    finally:
        running.down(cluster.name)


def take_keys(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the keys of a cluster's store into this environment."""
    for name, value in keys(cluster.store).items():
        monkeypatch.setenv(name, value)


def in_store() -> ObjectPath:
    """A new folder in the cluster's store."""
    return ObjectPath(f"s3://{ObjectStore.bucket}/{os.urandom(8).hex()}")


def filled(cluster: Cluster, built: Path, *stages: str) -> ObjectPath:
    """A new folder in the cluster's store with some stages of a build."""
    out = in_store()
    files = fsspec.filesystem("s3", **client_options(cluster.store))
    for stage in stages:
        files.put(f"{built / stage}/", f"{out / stage}/", recursive=True)
    return out


def options(cluster: Cluster) -> tuple[str, ...]:
    """The options of a build on a cluster."""
    return "--runner", "flink", "--flink-job-endpoint", cluster.job_endpoint
