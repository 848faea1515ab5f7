"""A job service with workers of its own writes what the embedded engine writes."""

import functools
import shutil
from pathlib import Path

import pytest

from crawl.demo.server import DemoServer
from pipelines.engine import run_pipeline
from pipelines.receipts import all_receipts
from shards.object_path import ObjectPath
from tests.arboretum import arguments
from tests.builds import DATASETS, manifest_bytes, seedbed, start_seedbed, wait_for
from tests.job_service import job_service, pool_workers, worker_ids
from tests.object_store import ObjectStore
from tests.small_shards import build_shards, contents, some_samples

MANY_SHARDS = ("triplets.draws=4", "triplets.max_shard_bytes=1048576", "triplets.buckets=16")


def test_external_workers_write_the_same_files_to_disk_and_into_a_store(s3_folder: ObjectPath, tmp_path: Path):
    samples, here, there = some_samples(200), tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    run_pipeline(functools.partial(build_shards, samples=samples, folder=here), workers=1)
    with job_service(tmp_path, num_workers=2) as runner:
        for folder in (there, s3_folder):
            run_pipeline(functools.partial(build_shards, samples=samples, folder=folder), 2, runner)
    assert len(worker_ids(tmp_path)) == 4, "two workers for each pipeline"
    assert contents(here) == contents(there) == contents(s3_folder)
    assert [*all_receipts(here)] == [*all_receipts(there)] == [*all_receipts(s3_folder)]


@pytest.mark.slow
def test_two_external_workers_build_into_a_store_what_one_builds_on_disk(
    built: Path, server: DemoServer, s3: ObjectStore, s3_folder: ObjectPath, tmp_path: Path
):
    s3.upload(built / "crawl", f"{s3_folder.name}/crawl")
    with job_service(tmp_path, num_workers=2) as runner:
        where = ("--runner", runner.job_service, "--worker-pool", runner.worker_pool)
        for stage in DATASETS:
            done = seedbed(*arguments(server, stage, s3_folder, workers=2), *where)
            assert done.returncode == 0, done.stderr
    assert manifest_bytes(s3_folder) == manifest_bytes(built)
    assert len(worker_ids(tmp_path)) >= 2 * len(DATASETS)


@pytest.mark.slow
def test_an_external_worker_that_is_killed_costs_time_and_not_a_byte(built: Path, server: DemoServer, tmp_path: Path):
    here, there = tmp_path / "here", tmp_path / "there"
    for out in (here, there):
        for stage in ("crawl", "images", "score"):
            shutil.copytree(built / stage, out / stage)
    command = functools.partial(arguments, server, "triplets")
    assert seedbed(*command(here, *MANY_SHARDS)).returncode == 0
    with job_service(tmp_path, num_workers=2) as runner:
        where = ("--runner", runner.job_service, "--worker-pool", runner.worker_pool, "--flink-stuck-after", "15")
        process = start_seedbed(*command(there, *MANY_SHARDS, workers=2), *where)
        receipts = functools.partial((there / "triplets").glob, "*/_work/receipts/*.json")
        wait_for(lambda: len(list(receipts())) >= 3, "three parts", timeout_s=120)
        pool_workers(runner)[0].kill()
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "its job has got no further for 15 s; starting the stage again, finished parts are kept" in output
    assert manifest_bytes(there, ("triplets",)) == manifest_bytes(here, ("triplets",))
