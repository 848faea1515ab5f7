"""A job service with workers of its own writes what the embedded engine writes."""

from pathlib import Path

from crawl.demo.server import DemoServer
from shards.object_path import ObjectPath
from tests.arboretum import arguments
from tests.builds import DATASETS, manifest_bytes, seedbed
from tests.job_service import job_service, worker_ids
from tests.object_store import ObjectStore


def test_two_external_workers_write_what_the_embedded_engine_writes(
    built: Path, server: DemoServer, s3: ObjectStore, s3_folder: ObjectPath, tmp_path: Path
):
    s3.upload(built / "crawl", f"{s3_folder.name}/crawl")
    with job_service(tmp_path, num_workers=2) as runner:
        where = ("--runner", runner.job_service, "--worker-pool", runner.worker_pool)
        done = seedbed(*arguments(server, "build", s3_folder, workers=2), *where)
        assert done.returncode == 0, done.stderr
    assert manifest_bytes(s3_folder) == manifest_bytes(built)
    assert len(worker_ids(tmp_path)) >= 2 * len(DATASETS)
