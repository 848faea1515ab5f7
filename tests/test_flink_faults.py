"""Builds on a Flink cluster that loses its parts, at moments that chance decides, write the bytes of one process."""

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crawl.demo.server import DemoServer
from shards.object_path import ObjectPath
from tests.arboretum import arguments, run
from tests.builds import manifest_bytes, manifest_of, seedbed, started_seedbed, wait_for
from tests.cluster import faults, network, running, services
from tests.cluster.layout import Cluster
from tests.cluster.standing import filled, options, standing, take_keys

MANY_PARTS = (
    *("crawl.records_per_segment=5", "images.size=64", "triplets.steps=2", "triplets.draws=2"),
    *("triplets.max_shard_bytes=1048576", "triplets.buckets=16"),
)
"""Of the arboretum: enough that each stage takes a while on the cluster, in small parts."""
STAGES = ("images", "text", "triplets")
INPUTS = {"images": ("crawl",), "text": ("crawl",), "triplets": ("crawl", "images", "score")}
CUT_S = 20.0
JOBMANAGER_AWAY_S = 3.0
STORE_AWAY_S = 15.0
BUILD_S = 900.0
"""For a build that is struck; an undisturbed one takes one or two minutes."""


def cut_for_a_while(cluster: Cluster, worker: str) -> None:
    network.cut(cluster, worker)
    time.sleep(CUT_S)
    network.mend(cluster, worker)


def restart_jobmanager(cluster: Cluster, _worker: str) -> None:
    faults.kill_jobmanager(cluster)
    time.sleep(JOBMANAGER_AWAY_S)
    services.start_jobmanager(cluster)


def restart_jobserver(cluster: Cluster, _worker: str) -> None:
    faults.kill_jobserver(cluster)
    services.start_jobserver(cluster)


def stop_store_for_a_while(cluster: Cluster, _worker: str) -> None:
    faults.stop_store(cluster)
    time.sleep(STORE_AWAY_S)
    services.start_store(cluster)
    running.wait_for_store(cluster)


FAULTS: dict[str, Callable[[Cluster, str], None]] = {
    "taskmanager": faults.kill_taskmanager,
    "sdk": faults.kill_sdk,
    "pool": faults.kill_pool,
    "cut": cut_for_a_while,
    "jobmanager": restart_jobmanager,
    "store": stop_store_for_a_while,
}
MORE_FAULTS: dict[str, Callable[[Cluster, str], None]] = {"jobserver": restart_jobserver, "hang": faults.pause_sdk}
"""Which happen once."""
ROUNDS = [
    *(("triplets", fault, number) for number in (1, 2, 3) for fault in FAULTS),
    *((stage, fault, 1) for stage in ("images", "text") for fault in FAULTS),
    *(("triplets", fault, 1) for fault in MORE_FAULTS),
]
STUCK_S = 30.0
"""Seconds without any progress after which a build is begun again that has a worker which hangs."""


@pytest.fixture(scope="module")
def plain(server: DemoServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build that nothing happens to, by one process."""
    out = tmp_path_factory.mktemp("plain")
    run(server, out, *MANY_PARTS, stages=("crawl", "images", "score", "text", "triplets"))
    return out


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two workers; each round leaves them whole."""
    with standing(Cluster(f"x{os.getpid()}")) as one:
        yield one


@pytest.fixture
def environment(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of the cluster's store are in it."""
    take_keys(cluster, monkeypatch)


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(("stage", "fault", "number"), ROUNDS)
def test_a_cluster_that_loses_a_part_writes_the_same_bytes(
    cluster: Cluster, plain: Path, server: DemoServer, stage: str, fault: str, number: int
):
    chance = random.Random(f"{stage} {fault} {number}")
    out = filled(cluster, plain, *INPUTS[stage])
    patience = ("--flink-stuck-after", str(STUCK_S)) if fault == "hang" else ()
    command = (*arguments(server, stage, out, *MANY_PARTS, workers=2), *options(cluster), *patience)
    with started_seedbed(*command) as process:
        strike(cluster, process, out / stage, (FAULTS | MORE_FAULTS)[fault], num_parts(plain, stage), chance)
        output, _ = process.communicate(timeout=BUILD_S)
    print(output)
    assert process.returncode == 0, output
    assert manifest_bytes(out, (stage,)) == manifest_bytes(plain, (stage,))
    checked = seedbed("verify", out / stage)
    assert checked.returncode == 0, checked.stderr
    running.wait_for_workers(cluster)


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.usefixtures("environment")
def test_a_full_disk_ends_a_build_with_a_line_that_names_the_worker(cluster: Cluster, plain: Path, server: DemoServer):
    out, chance = filled(cluster, plain, *INPUTS["triplets"]), random.Random("disk")
    command = arguments(server, "triplets", out, *MANY_PARTS, workers=2)
    with started_seedbed(*command, *options(cluster)) as process:
        worker = strike(cluster, process, out / "triplets", faults.fill_disk, num_parts(plain, "triplets"), chance)
        output, _ = process.communicate(timeout=BUILD_S)
    faults.empty_disk(cluster, worker)
    assert process.returncode == 1, output
    line = " ".join(output.partition("seedbed: ")[2].split())
    assert line.startswith(f"triplets: worker {worker}: its disk is full ([Errno 28] "), output
    assert line.endswith("; free some space there and run again: what is finished is kept"), output
    again = seedbed(*command, *options(cluster))
    assert again.returncode == 0, again.stderr
    assert manifest_bytes(out, ("triplets",)) == manifest_bytes(plain, ("triplets",))


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("moment", ["trial", "commit"])
def test_a_store_that_is_away_before_or_behind_a_stage_is_waited_for(
    cluster: Cluster, plain: Path, server: DemoServer, moment: str
):
    out = filled(cluster, plain, *INPUTS["text"])
    has_come = {
        "trial": lambda: f"seedbed {out}" in running_jobs(cluster),
        "commit": lambda: any(name.endswith("/manifest.json") for name in (out / "text").listing()),
    }[moment]
    with started_seedbed(*arguments(server, "text", out, *MANY_PARTS, workers=2), *options(cluster)) as process:
        wait_for(has_come, f"the {moment}", timeout_s=BUILD_S)
        assert moment == "commit" or not num_receipts(out / "text")
        stop_store_for_a_while(cluster, "")
        output, _ = process.communicate(timeout=BUILD_S)
    print(output)
    assert process.returncode == 0, output
    assert manifest_bytes(out, ("text",)) == manifest_bytes(plain, ("text",))


def running_jobs(cluster: Cluster) -> list[str]:
    """The names of the jobs that run."""
    jobs = running.ask(cluster, "/jobs/overview").get("jobs", [])
    return [job["name"] for job in jobs if job["state"] == "RUNNING"]


def strike(
    cluster: Cluster,
    process: "subprocess.Popen[str]",
    folder: ObjectPath,
    fault: Callable[[Cluster, str], None],
    parts: int,
    chance: random.Random,
) -> str:
    """Lets a fault happen to a worker, or to the head, when so many parts of a running stage are finished.

    Returns:
        The worker.
    """
    worker, finished = chance.choice(cluster.workers), chance.randrange(2, round(parts * 0.7))
    began = time.monotonic()

    def is_due() -> bool:
        assert process.poll() is None, process.communicate()[0]
        return num_receipts(folder) >= finished

    wait_for(is_due, f"{finished} parts", timeout_s=BUILD_S)
    print(f"after {time.monotonic() - began:.1f} s, at {finished} of {parts} parts, to {worker}")
    fault(cluster, worker)
    return worker


def num_receipts(folder: ObjectPath) -> int:
    """How many parts of a running stage are finished."""
    return sum("/receipts/" in name for name in folder.listing())


def num_parts(out: Path, stage: str) -> int:
    """How many parts a stage has at the least: its shards, or what was crawled of pages or of pictures."""
    if stage == "triplets":
        return sum(file.path.endswith(".tar") for file in manifest_of(out, stage).files)
    found_in = {"text": "crawl-001-", "images": "crawl-002-"}[stage]  # the rounds of the crawl
    return sum(file.path.startswith(found_in) for file in manifest_of(out, "crawl").files)
