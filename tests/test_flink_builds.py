"""Builds on a Flink cluster write what one process writes, whatever happens on the way."""

import os
import re
import signal
from collections.abc import Iterable, Iterator
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

import fsspec
import pytest

from crawl.demo.server import DemoServer, serve
from pipelines.demo import SEED
from pipelines.flink.shuffled import is_ours, shuffles
from pipelines.receipts import WORK, all_receipts
from shards.object_path import ObjectPath
from tests.arboretum import arguments, run
from tests.builds import DATASETS, manifest_bytes, manifest_of, seedbed, started_seedbed, table_rows, wait_for
from tests.cluster import faults, running, services
from tests.cluster.layout import Cluster
from tests.cluster.standing import filled, options, standing, take_keys
from tests.gallery import crawl_gallery
from tests.object_store import client_options

MANY_SHARDS = ("triplets.draws=2", "triplets.max_shard_bytes=1048576", "triplets.buckets=8")
MOST_SHUFFLED = 500
"""Bytes that may cross a shuffle for each picture or page."""
FLINKS_OWN = re.compile(r"/tmp/(flink-rpc-|liblz4-java-|jaas-|hsperfdata_root/|seedbed-cluster-[^/]*/conf/)")
"""What a TaskManager puts there for itself, and its configuration."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two workers of two slots each."""
    with standing(Cluster(f"f{os.getpid()}", slots=2)) as one:
        yield one


@pytest.fixture
def out(cluster: Cluster, built: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    """A folder in the cluster's store that holds the arboretum's crawl."""
    take_keys(cluster, monkeypatch)
    return filled(cluster, built, "crawl")


def at_work(cluster: Cluster, job: dict[str, Any]) -> set[str]:
    """The workers on which steps of ours took records."""
    steps = [vertex["id"] for vertex in job["vertices"] if is_ours(vertex)]
    told = [running.ask(cluster, f"/jobs/{job['jid']}/vertices/{step}") for step in steps]
    tasks = [task for step in told for task in step["subtasks"] if task["metrics"]["read-records"]]
    return {task["taskmanager-id"].partition("-")[0] for task in tasks}


def files_of(cluster: Cluster, worker: str) -> list[str]:
    """What lies on a worker's disk, its only place to write to."""
    return faults.inside(cluster, worker, "find", "/tmp", "/dev/shm", "-type", "f").stdout.splitlines()


def assert_little_was_shuffled(jobs: Iterable[dict[str, Any]], records: int) -> None:
    """Bytes never cross a shuffle (law 1), as Flink itself counts them."""
    found = [shuffle for job in jobs for shuffle in shuffles(job)]
    assert found
    for shuffle in found:
        assert shuffle.bytes <= MOST_SHUFFLED * records, shuffle


@pytest.mark.cluster
def test_a_text_build_is_that_of_one_process_and_leaves_the_workers_disks_as_they_were(
    cluster: Cluster, built: Path, server: DemoServer, out: ObjectPath
):
    done = seedbed(*arguments(server, "text", out, workers=2), *options(cluster))
    assert done.returncode == 0, done.stderr
    assert " fused steps in " in done.stdout
    assert " shuffles of " in done.stdout
    (job,) = running.jobs(cluster)[-1:]
    assert_little_was_shuffled([job], manifest_of(built, "text").counts.records_in)
    assert at_work(cluster, job) == set(cluster.workers)
    assert manifest_bytes(out, ("text",)) == manifest_bytes(built, ("text",))
    for worker in cluster.workers:
        left = [path for path in files_of(cluster, worker) if not FLINKS_OWN.match(path)]
        assert [path for path in left if not path.startswith(f"{cluster.source}/")] == []  # its checkout may lie there


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_bytes_are_those_of_one_process_whatever_the_parallelism(
    cluster: Cluster, built: Path, server: DemoServer, out: ObjectPath, parallelism: int
):
    for stage in DATASETS:
        before = {job["jid"] for job in running.jobs(cluster)}
        done = seedbed(*arguments(server, stage, out, workers=parallelism), *options(cluster))
        assert done.returncode == 0, done.stderr
        new = [job for job in running.jobs(cluster) if job["jid"] not in before]
        assert_little_was_shuffled(new, manifest_of(built, stage).counts.records_in)
        assert parallelism == 1 or at_work(cluster, new[-1]) == set(cluster.workers), stage
    assert manifest_bytes(out) == manifest_bytes(built)


@pytest.mark.cluster
@pytest.mark.slow
def test_pictures_that_every_page_shows_cross_as_references(cluster: Cluster, out: ObjectPath, tmp_path: Path):
    """On 18 pages, about as many as a picture may stand on: all of them are told."""
    recipe = crawl_gallery(tmp_path, num_pages=18, num_pictures=40).recipe
    (tmp_path / "gallery.yaml").write_text(recipe.model_dump_json(exclude_defaults=True))
    out = filled(cluster, tmp_path, "crawl")
    done = seedbed("images", tmp_path / "gallery.yaml", "--out", out, "--workers", "2", *options(cluster))
    assert done.returncode == 0, done.stderr
    (job,) = running.jobs(cluster)[-1:]
    assert_little_was_shuffled([job], manifest_of(out, "images").counts.kept)


@pytest.mark.cluster
@pytest.mark.slow
def test_an_interrupted_build_leaves_no_job_and_is_carried_on(
    cluster: Cluster, built: Path, server: DemoServer, out: ObjectPath, tmp_path: Path
):
    for name in ("crawl", "images", "score"):
        (tmp_path / name).symlink_to(built / name)
    run(server, tmp_path, *MANY_SHARDS, stages=("triplets",))
    out = filled(cluster, built, "crawl", "images", "score")
    command = arguments(server, "triplets", out, *MANY_SHARDS, workers=2)
    with started_seedbed(*command, *options(cluster)) as process:
        stage = out / "triplets"
        wait_for(lambda: finished(stage), "a shard", timeout_s=180)
        kept = finished(stage)
        before = stored(cluster, stage, kept)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "interrupted; run the same command again and it carries on" in output
    *_, last = found = states(cluster)
    assert (last, {*found} <= {"CANCELED", "FINISHED"}) == ("CANCELED", True), found
    again = seedbed(*command, *options(cluster))
    assert again.returncode == 0, again.stderr
    assert stored(cluster, stage, kept) == before
    assert kept < {file.path for file in manifest_of(out, "triplets").files}
    assert manifest_bytes(out, ("triplets",)) == manifest_bytes(tmp_path, ("triplets",))


@pytest.mark.cluster
@pytest.mark.slow
def test_a_folder_that_the_workers_do_not_see_is_told_before_any_work(
    cluster: Cluster, built: Path, server: DemoServer, tmp_path: Path
):
    (tmp_path / "crawl").symlink_to(built / "crawl")
    done = seedbed(*arguments(server, "text", tmp_path), *options(cluster))
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("seedbed: text: worker w")
    assert f"does not see the folder {tmp_path}: give an --out that every worker sees, such as s3://BUCKET" in line
    assert not list((tmp_path / "text").glob("*/_work/receipts/*"))


@pytest.mark.cluster
@pytest.mark.slow
def test_a_file_that_the_workers_do_not_see_is_told_before_any_work(
    cluster: Cluster, server: DemoServer, out: ObjectPath, tmp_path: Path
):
    file = tmp_path / "questions.jsonl"
    file.write_text('{"text": "Which tree grows from an acorn, and how long does it take?"}\n')
    done = seedbed(*arguments(server, "text", out, f"text.decontaminate=[{file}]"), *options(cluster))
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("seedbed: text: worker w")
    assert f"does not see {file}, which the recipe names; put the same on every worker, or name it by" in line
    assert not [name for name in (out / "text").listing() if "/receipts/" in name]


@pytest.mark.cluster
@pytest.mark.slow
def test_a_jobmanager_that_was_killed_costs_another_job_and_not_a_byte(
    cluster: Cluster, built: Path, server: DemoServer, out: ObjectPath
):
    out = filled(cluster, built, "crawl", "images", "score")
    with started_seedbed(*arguments(server, "triplets", out, workers=2), *options(cluster)) as process:
        wait_for(lambda: "RUNNING" in states(cluster), "a job", timeout_s=180)
        faults.kill_jobmanager(cluster)
        services.start_jobmanager(cluster)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "starting the stage again, finished parts are kept" in output
    assert manifest_bytes(out, ("triplets",)) == manifest_bytes(built, ("triplets",))


@pytest.mark.cluster
@pytest.mark.slow
def test_a_live_crawl_settles_what_one_process_settles(cluster: Cluster, out: ObjectPath, tmp_path: Path):
    few, there = ("crawl.max_pages_per_host=12", "crawl.delay_s=0.05"), filled(cluster, tmp_path)
    with serve(SEED, address=cluster.here) as site:
        for place, where in ((tmp_path, ()), (there, options(cluster))):
            done = seedbed(*arguments(site, "crawl", place, *few), *where)
            assert done.returncode == 0, done.stderr
    facts = ("url", "fate", "reason", "status", "sha256", "robots_rule", "depth")
    rows = [table_rows(place, "crawl", "ledger-") for place in (tmp_path, there)]
    one, other = ({tuple(row[fact] for fact in facts) for row in each} for each in rows)
    assert one == other
    assert manifest_of(tmp_path, "crawl").counts == manifest_of(there, "crawl").counts


def finished(stage: ObjectPath) -> set[str]:
    """The files that the finished parts of a running stage have written, to stay."""
    found = [file.path for folder in stage.folders() for _, part in all_receipts(folder) for file in part.files]
    return {path for path in found if not path.startswith(WORK)}


def stored(cluster: Cluster, stage: ObjectPath, names: set[str]) -> dict[str, tuple[int, str, datetime]]:
    """The size, the tag and the time of files of a stage, as the store tells them."""
    (folder,) = stage.folders()
    files = fsspec.filesystem("s3", **client_options(cluster.store), use_listings_cache=False)
    told = {name: files.info(f"{folder / name}") for name in names}
    return {name: (each["size"], each["ETag"], each["LastModified"]) for name, each in told.items()}


def states(cluster: Cluster) -> list[str]:
    """Of all jobs that the JobManager knows, in the order in which they were handed in.

    What it says of a job by itself may be three seconds old (`web.refresh-interval`).
    """
    known = running.ask(cluster, "/jobs/overview").get("jobs", [])
    return [job["state"] for job in sorted(known, key=itemgetter("start-time"))]
