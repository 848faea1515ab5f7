"""Builds whose folder is in an object store: the manifests of builds on disk, whatever happens on the way."""

import json
import subprocess
from pathlib import Path

import psutil
import pytest

from crawl.demo.server import DemoServer
from pipelines.leases import FOLDER
from pipelines.locks import LOCK, LOCK_S
from pipelines.metrics import METRICS_NAME
from pipelines.receipts import receipt_names
from shards import open_dataset
from shards.object_path import AnyPath, ObjectPath, files_below
from tests.arboretum import arguments, run
from tests.builds import (
    DATASETS,
    kill_all,
    manifest_bytes,
    manifest_of,
    seedbed,
    start_seedbed,
    table_rows,
    wait_for,
    workers_of,
)
from tests.object_store import ObjectStore

MANY_SHARDS = ("triplets.draws=2", "triplets.max_shard_bytes=1048576", "triplets.buckets=8")


def copied(built: Path, s3: ObjectStore, out: ObjectPath, *stages: str) -> ObjectPath:
    """Puts some stages of a build into the store."""
    for stage in stages:
        s3.upload(built / stage, f"{out.name}/{stage}")
    return out


def undisturbed(built: Path, server: DemoServer, out: Path) -> Path:
    """The many shards of a build that nothing happened to."""
    for stage in ("crawl", "images", "score"):
        (out / stage).parent.mkdir(parents=True, exist_ok=True)
        (out / stage).symlink_to(built / stage)
    run(server, out, *MANY_SHARDS, stages=("triplets",))
    return out


def begun(
    built: Path, server: DemoServer, s3: ObjectStore, out: ObjectPath, whole: Path, workers: int = 1
) -> tuple[list[str], subprocess.Popen[str]]:
    """A build of many shards in the store, some of which are finished: its command line, and its process."""
    copied(built, s3, out, "crawl", "images", "score")
    command = arguments(server, "triplets", out, *MANY_SHARDS, workers=workers)
    process = start_seedbed(*command)
    try:
        wait_for(lambda: len(receipts(out, whole)) >= 3, "some shards")
    except AssertionError:
        kill_all(process)
        raise
    return command, process


def receipts(out: AnyPath, undisturbed: Path) -> list[str]:
    return receipt_names(out / "triplets" / manifest_of(undisturbed, "triplets").fingerprint)


def test_two_workers_write_into_a_store_what_one_writes_to_disk(
    built: Path, server: DemoServer, s3: ObjectStore, s3_folder: ObjectPath
):
    run(server, copied(built, s3, s3_folder, "crawl"), stages=DATASETS, workers=2)
    assert manifest_bytes(s3_folder) == manifest_bytes(built)
    standing = s3_folder.listing()
    for stage in DATASETS:
        manifest = manifest_of(s3_folder, stage)
        names = {"manifest.json", "run.json", *(file.path for file in manifest.files)}
        expected = {f"{stage}/{manifest.fingerprint}/{name}" for name in names}
        expected |= {f"{stage}/current", f"{stage}/{METRICS_NAME}"}
        assert {name for name in standing if name.startswith(f"{stage}/")} == expected
    again = seedbed(*arguments(server, "build", s3_folder))
    assert again.returncode == 0, again.stderr
    assert {name: seen for name, seen in s3_folder.listing().items() if not name.startswith(LOCK)} == {
        name: seen for name, seen in standing.items() if not name.startswith(LOCK)
    }
    assert seedbed("verify", s3_folder).returncode == 0
    assert len(open_dataset(f"{s3_folder}/triplets", split="train")) == manifest_of(built, "triplets").splits["train"]


def test_a_crawl_into_a_store_settles_the_same_urls(built: Path, server: DemoServer, s3_folder: ObjectPath):
    run(server, s3_folder, stages=("crawl",), workers=2)
    facts = ("url", "fate", "reason", "status", "sha256", "robots_rule", "depth")
    settled = [
        {tuple(row[fact] for fact in facts) for row in table_rows(out, "crawl", "ledger-")}
        for out in (built, s3_folder)
    ]
    assert settled[0] == settled[1]
    assert manifest_of(s3_folder, "crawl").counts == manifest_of(built, "crawl").counts
    verified = seedbed("verify", s3_folder, "--deep")
    assert verified.returncode == 0, verified.stdout


def test_a_build_killed_in_a_store_finishes_with_the_same_bytes(
    built: Path, server: DemoServer, s3: ObjectStore, s3_folder: ObjectPath, tmp_path: Path
):
    whole, out = undisturbed(built, server, tmp_path), s3_folder
    command, process = begun(built, server, s3, out, whole)
    kill_all(process)
    assert not [name for name in files_below(out / "triplets") if name.endswith(("manifest.json", "current"))]
    again = seedbed(*command)
    assert again.returncode == 0, again.stderr
    assert manifest_bytes(out, ("triplets",)) == manifest_bytes(whole, ("triplets",))


@pytest.mark.slow
def test_pictures_of_a_build_killed_in_a_store_come_out_the_same(
    built: Path, server: DemoServer, s3: ObjectStore, s3_folder: ObjectPath
):
    copied(built, s3, s3_folder, "crawl")
    command = arguments(server, "images", s3_folder)
    folder = s3_folder / "images" / manifest_of(built, "images").fingerprint
    process = start_seedbed(*command)
    try:
        wait_for(lambda: any(name.startswith("clean-") for name in receipt_names(folder)), "a part that is set aside")
    finally:
        kill_all(process)
    assert not (folder / "manifest.json").exists()
    again = seedbed(*command)
    assert again.returncode == 0, again.stderr
    assert manifest_bytes(s3_folder, ("images",)) == manifest_bytes(built, ("images",))


@pytest.mark.slow
def test_a_worker_killed_over_a_store_costs_a_restart_and_not_a_byte(
    built: Path, server: DemoServer, s3: ObjectStore, s3_folder: ObjectPath, tmp_path: Path
):
    whole, out = undisturbed(built, server, tmp_path), s3_folder
    _, process = begun(built, server, s3, out, whole, workers=2)
    next(workers_of(process)).kill()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "a worker process died (out of memory?); starting the stage again" in output
    assert manifest_bytes(out, ("triplets",)) == manifest_bytes(whole, ("triplets",))


def test_a_second_build_in_a_store_is_told_of_the_first(server: DemoServer, s3_folder: ObjectPath):
    slowly = ("crawl.delay_s=0.5", "crawl.records_per_segment=10")
    process = start_seedbed(*arguments(server, "crawl", s3_folder, *slowly))
    wait_for(lambda: any("/receipts/" in name for name in files_below(s3_folder / "crawl")), "the first build")
    second = seedbed(*arguments(server, "crawl", s3_folder, *slowly))
    kill_all(process)
    assert second.returncode == 1
    told = "another build is writing here; wait for it, or give another --out"
    assert second.stderr == f"seedbed: {s3_folder}: {told}\n"


@pytest.mark.slow
def test_of_two_builds_that_race_one_commits_and_the_other_says_so(
    built: Path, server: DemoServer, s3: ObjectStore, s3_folder: ObjectPath, tmp_path: Path
):
    """The first is stopped in the middle, for so long that its lock ends; it wakes when the second has committed."""
    whole, out = undisturbed(built, server, tmp_path), s3_folder
    command, process = begun(built, server, s3, out, whole)
    parent = psutil.Process(process.pid)
    everybody = [parent, *parent.children(recursive=True)]
    for each in everybody:
        each.suspend()
    for lock in (out / LOCK / FOLDER).glob("slot-*"):  # as it would be if the first ran elsewhere
        lock.write_text(json.dumps({"machine": "elsewhere", "pid": 1, "started": 0.0}))
    second = seedbed(*command)
    for each in everybody:
        each.resume()
    output, _ = process.communicate(timeout=3 * LOCK_S)
    assert second.returncode == 0, second.stderr
    assert process.returncode == 1, output
    assert f"triplets: another build has committed {out}/triplets/" in output.splitlines()[-1]
    assert seedbed(*command).returncode == 0
    assert manifest_bytes(out, ("triplets",)) == manifest_bytes(whole, ("triplets",))
    assert seedbed("verify", out).returncode == 0


def test_what_takes_a_folder_of_this_machine_says_so(s3_folder: ObjectPath):
    told = f"{s3_folder} lies in a store; this command takes a folder of this machine: copy it here"
    for command in ("report", "sheet"):
        refused = seedbed(command, s3_folder)
        assert (refused.returncode, told in refused.stderr) == (2, True), refused.stderr
