"""A worker of another version does no work, whenever it comes and whoever sends the work."""

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crawl.demo.server import DemoServer
from pipelines.engine import run_pipeline
from pipelines.explain import explain
from tests.arboretum import arguments
from tests.builds import manifest_bytes, seedbed, started_seedbed, wait_for
from tests.cluster import faults, running, services
from tests.cluster.layout import Cluster
from tests.cluster.standing import options, standing, take_keys
from tests.job_service import ROOT, job_service
from tests.other_version import another_version
from tests.test_flink_builds import filled, jobs
from tests.test_sink import build_shards, some_samples

SAID = (
    r"text: worker \S+ runs Seedbed's source [0-9a-f]{12}, and the machine that began the build [0-9a-f]{12}; "
    "install the same Seedbed, with the same libraries, on every worker"
)


def test_the_external_workers_of_a_job_service_do_no_work_in_another_version(tmp_path: Path):
    other, out = another_version(tmp_path / "other"), tmp_path / "out"
    out.mkdir()
    build = functools.partial(build_shards, samples=some_samples(20), folder=out)
    path = {"PYTHONPATH": os.pathsep.join((str(other), str(ROOT)))}
    with job_service(tmp_path, 1, path) as runner, pytest.raises(RuntimeError) as failed:
        run_pipeline(build, 1, runner)
    assert re.fullmatch(SAID, explain(failed.value, "text", out))
    assert list(out.rglob("*")) == []


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with standing(Cluster(f"v{os.getpid()}")) as one:
        yield one


def kill(cluster: Cluster, worker: str) -> None:
    """Kill one worker, and wait until Flink knows."""
    before = running.num_workers(cluster)
    faults.kill_worker(cluster, worker)
    running.wait_for(cluster, lambda: running.num_workers(cluster) == before - 1, "the end of a worker")


@pytest.mark.cluster
@pytest.mark.slow
def test_a_worker_of_another_version_that_joins_after_the_trial_ends_the_build_and_commits_nothing(
    cluster: Cluster, built: Path, server: DemoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    take_keys(cluster, monkeypatch)
    out = filled(cluster, built, "crawl")
    kill(cluster, "w2")
    with started_seedbed(*arguments(server, "text", out), *options(cluster)) as process:
        wait_for(lambda: "FINISHED" in {job["state"] for job in jobs(cluster)}, "the trial", timeout_s=120)
        kill(cluster, "w1")
        services.start_worker(replace(cluster, source=another_version(tmp_path / "other")), "w2")
        output, _ = process.communicate(timeout=180)
    assert process.returncode == 1, output
    assert re.search(f"^seedbed: {SAID}$", output, re.MULTILINE)
    assert "starting the stage again" not in output
    assert not [name for name in (out / "text").listing() if name.endswith(("manifest.json", "current"))]
    kill(cluster, "w2")
    services.start_worker(cluster, "w1")
    running.wait_for(cluster, lambda: running.num_workers(cluster) == 1, "a worker of this version")
    again = seedbed(*arguments(server, "text", out), *options(cluster))
    assert again.returncode == 0, again.stderr
    assert manifest_bytes(out, ("text",)) == manifest_bytes(built, ("text",))
