"""Writing shards: the same bytes on every engine and after every kill, and memory that does not grow with them."""

import functools
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.portable_runner import PortableRunner

from crawl.demo.server import DemoServer
from pipelines import triplets, windows
from pipelines.build import make_job
from pipelines.engine import run_job
from pipelines.folders import is_committed
from pipelines.load_recipe import load_recipe
from pipelines.stages import STAGES, Job, tidy
from pipelines.tombstones import Tombstones
from shards import open_dataset
from shards.manifest import read_manifest
from shards.object_path import AnyPath, files_below
from shards.store import DatasetError
from tests.arboretum import arguments, overrides, run
from tests.builds import (
    DATASETS,
    kill_all,
    manifest_bytes,
    manifest_of,
    seedbed_process,
    start_seedbed,
    wait_for,
    workers_of,
)
from tests.loopback import free_port
from tests.object_store import slow_in_store
from tests.test_build import copy_of

ROOT = Path(__file__).parents[1]
MORE = ("triplets.draws=2", "triplets.max_shard_bytes=1048576", "windows.max_shard_bytes=262144")

PARTED = ("text.max_part_bytes=65536", "images.max_part_bytes=262144")

TURNS = 12
"""Builds that are disturbed, of each stage, by killing what works for them."""


def a_job(server: DemoServer, built: Path, out: AnyPath, workers: int = 1, stage: str = "triplets") -> Job:
    """A stage of the arboretum, in a build of its own."""
    sources = STAGES[stage].inputs
    copy_of(built, out, tuple(dict.fromkeys(("crawl", *sources))))
    recipe = load_recipe("demo", [*overrides(server), *MORE])
    manifests = {source: manifest_of(out, source) for source in sources}
    return make_job(stage, recipe, out, manifests, Tombstones(), workers)


def committed(job: Job) -> bytes:
    return (job.folder / "manifest.json").read_bytes()


def start(job: Job) -> multiprocessing.process.BaseProcess:
    """The stage in a process forked from a server that has loaded Beam, as the command line runs it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipelines.engine", "pipelines.triplets"])
    process = context.Process(target=run_here, args=(job, dict(os.environ)))
    process.start()
    return process


def run_here(job: Job, environment: Mapping[str, str]) -> None:
    """Runs a stage in an environment: the server may have been started in another."""
    os.environ.update(environment)
    run_job(job)


@pytest.fixture(scope="module")
def undisturbed(server: DemoServer, built: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return undisturbed_stage(server, built, tmp_path_factory.mktemp("undisturbed"), "triplets")


def undisturbed_stage(server: DemoServer, built: Path, out: Path, stage: str) -> bytes:
    job = a_job(server, built, out, stage=stage)
    run_job(job)
    return committed(job)


@slow_in_store
@pytest.mark.parametrize("workers", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_more_workers_write_the_same_bytes(
    server: DemoServer, built: Path, place: AnyPath, undisturbed: bytes, workers: int
) -> None:
    job = a_job(server, built, place, workers)
    run_job(job)
    assert committed(job) == undisturbed


@contextmanager
def _service(module: str, option: str) -> Iterator[str]:
    """One of Beam's services on loopback; its workers start `python` from the PATH, which must be this one."""
    port = free_port()
    command = [sys.executable, "-m", f"apache_beam.runners.{module}", option, str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PATH": path}, stderr=subprocess.DEVNULL, start_new_session=True
    )

    def answers() -> bool:
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(answers, module)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Beam's job service
@pytest.mark.parametrize("stage", [triplets, windows])
def test_the_portable_runner_with_workers_of_its_own_writes_the_same_bytes(
    server: DemoServer, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: ModuleType
) -> None:
    name = stage.__name__.removeprefix("pipelines.")
    alone = a_job(server, built, tmp_path / "alone", stage=name)
    run_job(alone)
    job = a_job(server, built, tmp_path / "portable", stage=name)
    with (
        _service("portability.local_job_service_main", "--port") as jobs,
        _service("worker.worker_pool_main", "--service_port") as pool,
    ):
        options = PipelineOptions(flags=[], job_endpoint=jobs, environment_type="EXTERNAL", environment_config=pool)
        states = []

        def run_portably(build: functools.partial[None], *_: object) -> None:
            pipeline = beam.Pipeline(runner=PortableRunner(), options=options)
            build(pipeline)
            states.append(pipeline.run().wait_until_finish())

        monkeypatch.setattr(stage, "run_pipeline", run_portably)
        run_job(job)
    assert set(states) == {"DONE"}
    assert committed(job) == committed(alone)


@slow_in_store
@pytest.mark.parametrize("num_kills", [pytest.param(3, id="3"), pytest.param(40, id="40", marks=pytest.mark.slow)])
def test_killed_at_any_moment_a_rerun_ends_with_the_same_bytes(
    server: DemoServer, built: Path, place: AnyPath, undisturbed: bytes, num_kills: int
) -> None:
    kill_often(server, built, place, "triplets", num_kills, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [stage for stage in DATASETS if stage != "triplets"])
def test_each_other_stage_killed_at_any_moment_ends_with_the_same_bytes(
    server: DemoServer, built: Path, tmp_path: Path, place: AnyPath, stage: str
) -> None:
    kill_often(server, built, place, stage, 6, undisturbed_stage(server, built, tmp_path / "undisturbed", stage))


def kill_often(server: DemoServer, built: Path, place: AnyPath, stage: str, num_kills: int, undisturbed: bytes) -> None:
    """Runs a stage and kills it in the middle, again and again, each time in a build of its own, then runs it whole."""
    whole = a_job(server, built, place / "whole", stage=stage)
    started = time.monotonic()
    start(whole).join()
    seconds = time.monotonic() - started
    moments = random.Random(num_kills)
    killed = 0
    for attempt in range(num_kills):
        job = a_job(server, built, place / str(attempt), stage=stage)
        process = start(job)
        process.join(moments.uniform(0.1, 0.9) * seconds)
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        if is_committed(job.folder):
            tidy(job.folder, read_manifest(job.folder))  # as the next build would
        else:
            with pytest.raises(DatasetError, match=r"nothing was committed|is not a folder"):
                open_dataset(str(job.folder))
            again = start(job)
            again.join()
            assert again.exitcode == 0
        assert committed(job) == undisturbed
        assert not [path for path in files_below(job.folder) if path.endswith(".tmp") or "_work" in path]
    assert killed >= num_kills // 2, "most kills came in time"


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["triplets", "windows"])
def test_workers_killed_at_any_moment_cost_a_restart_and_a_build_killed_then_a_rerun(
    server: DemoServer, built: Path, place: AnyPath, stage: str
) -> None:
    """Under the command line's own watch, with worker processes: a worker dies, and at every second turn all die."""
    whole = copy_of(built, place / "whole", ("crawl", *STAGES[stage].inputs))
    started = time.monotonic()
    assert seedbed_process(*arguments(server, stage, whole, *MORE, workers=2)).returncode == 0
    seconds = time.monotonic() - started
    moments, restarts = random.Random(stage), 0
    for attempt in range(TURNS):
        out = copy_of(built, place / str(attempt), ("crawl", *STAGES[stage].inputs))
        process = start_seedbed(*arguments(server, stage, out, *MORE, workers=2))
        time.sleep(moments.uniform(0.3, 0.95) * seconds)
        workers = list(workers_of(process))
        if attempt % 2 and process.poll() is None:
            kill_all(process)
            said = seedbed_process(*arguments(server, stage, out, *MORE, workers=2))
            assert said.returncode == 0, said.stderr
        else:
            if workers:
                workers[-1].kill()
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, output
            restarts += "a worker process died (out of memory?); starting the stage again" in output
        assert manifest_bytes(out, (stage,)) == manifest_bytes(whole, (stage,))
        assert not [name for name in files_below(out / stage) if name.endswith(".tmp") or "_work" in name]
    assert restarts >= TURNS // 6, "some workers died while they were needed"


@pytest.fixture(scope="module")
def parted(server: DemoServer, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The arboretum in many small tables."""
    out = copy_of(built, tmp_path_factory.mktemp("parted"), ("crawl",))
    run(server, out, *PARTED, *MORE, stages=DATASETS)
    return out


@pytest.mark.parametrize(
    "stage", [*(stage for stage in DATASETS if stage != "score"), pytest.param("score", marks=pytest.mark.slow)]
)
def test_reversed_input_gives_the_same_bytes(
    server: DemoServer, built: Path, parted: Path, tmp_path: Path, stage: str
) -> None:
    """Tables in reverse, and their rows too, but where what is written stands in the order of the rows."""
    sources = STAGES[stage].inputs
    copy_of(parted, tmp_path, sources)
    manifests = {source: manifest_of(tmp_path, source) for source in sources}
    for source, manifest in manifests.items():
        tables = [file.path for file in manifest.files if file.path.endswith(".parquet")]
        assert len(tables) > 2
        for name in tables if stage not in ("score", "windows") else ():
            path = tmp_path / source / manifest.fingerprint / name
            table = pq.read_table(path)
            pq.write_table(table.take(np.arange(len(table))[::-1]), path)
    turned = {source: replace(manifest, files=manifest.files[::-1]) for source, manifest in manifests.items()}
    recipe = load_recipe("demo", [*overrides(server), *PARTED, *MORE])
    job = make_job(stage, recipe, tmp_path, turned, Tombstones(), workers=1)
    run_job(job)
    assert committed(job) == manifest_bytes(parted, (stage,))[stage]


MEASURE = """
import re, sys
from pathlib import Path
import numpy as np
from shards.triplet import PROVENANCE, TripletSpec, encode_triplet, extensions, picture_key, rungs
from shards.writer import write_shard

folder, megabytes = Path(sys.argv[1]), int(sys.argv[2])
spec = TripletSpec(64)
provenance = {name: kind() for name, kind in PROVENANCE.items()}
count = megabytes * 1_000_000 // 64_500

def samples():
    for number in range(count):
        clean = np.full(spec.shape, 7, np.uint8)
        clean[0, 0, 0], clean[0, 0, 1], clean[0, 0, 2] = number % 256, number // 256 % 256, number // 65536
        yield encode_triplet(spec, picture_key(clean), clean, 1, 0, caption="", provenance=provenance)

write_shard(folder / f"train-{megabytes:06d}.tar", samples(), extensions(spec))
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(int(peak[1]) // 1024)
"""


def peak_megabytes(folder: Path, megabytes: int) -> int:
    command = [sys.executable, "-c", MEASURE, str(folder), str(megabytes)]
    return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize(("small", "large"), [(5, 85), pytest.param(250, 2250, marks=pytest.mark.slow, id="gigabytes")])
def test_memory_grows_by_the_index_alone(tmp_path: Path, small: int, large: int) -> None:
    """A row of the index takes memory while it is made: at most 16 bytes for each kB of tar.

    A worker that writes shards of 256 MB holds the index of one at a time, 4 MB, whatever the dataset's size.
    """
    before, after = peak_megabytes(tmp_path, small), peak_megabytes(tmp_path, large)
    assert after - before < 0.03 * (large - small) + 5
    assert after < 400
