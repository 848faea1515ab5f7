"""A worker of another version does no work, whenever it comes and whoever sends the work."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import EmbeddedPythonEnvironment
from google.protobuf.wrappers_pb2 import BytesValue

from crawl.demo.server import DemoServer
from pipelines.engine import run_pipeline
from pipelines.explain import explain
from pipelines.guarded import guard_steps, guarded
from pipelines.identity import difference, identity
from tests.arboretum import arguments
from tests.builds import manifest_bytes, seedbed, started_seedbed, wait_for
from tests.cluster import faults, running, services
from tests.cluster.layout import Cluster
from tests.cluster.standing import filled, options, standing, take_keys
from tests.job_service import ROOT, job_service
from tests.other_version import another_version
from tests.small_shards import build_shards, some_samples

SOURCE = "Seedbed's source"
SAID = (
    r"text: worker \S+ runs Seedbed's source [0-9a-f]{12}, and the machine that began the build [0-9a-f]{12}; "
    "install the same Seedbed, with the same libraries, on every worker"
)


class Says(beam.DoFn):  # type: ignore[misc]
    """A step that says so where it runs."""

    def process(self, element: str) -> None:
        print(element)


def step() -> bytes:
    """One as it is sent to workers."""
    return guarded(pickler.dumps((Says(), (), {}, [], None)), identity())


def test_a_step_runs_where_the_same_is_run(tmp_path: Path):
    assert there(tmp_path, step(), ROOT).stdout == "a step that ran\n"


def test_a_worker_of_another_version_runs_no_step_and_says_which_it_is(tmp_path: Path):
    done = there(another_version(tmp_path), step())
    said = done.stderr.splitlines()[-1]
    assert done.stdout == ""
    assert re.match(r"StageError: worker \S+ runs Seedbed's source [0-9a-f]{12}, and the machine that began", said)
    assert f"the build {identity()[SOURCE]}; install the same Seedbed, with the same libraries, on every worker" in said


def test_a_worker_without_our_modules_runs_no_step_and_says_so(tmp_path: Path):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/__init__.py").write_text("raise ModuleNotFoundError('No module named pipelines')")
    done = there(tmp_path, step())
    said = done.stderr.splitlines()[-1]
    assert done.stdout == ""
    assert said.startswith("StageError: worker ")
    assert "has another Seedbed than the machine that began the build, or none (No module named" in said


def test_another_version_of_a_library_is_told():
    assert difference(identity()) == ""
    told = difference({**identity(), "zlib": "0.9"})
    assert re.fullmatch(r"runs zlib \S+, and the machine that began the build 0\.9", told)


def graph_of(build: Callable[[beam.Pipeline], object]) -> beam_runner_api_pb2.Pipeline:
    pipeline = beam.Pipeline()
    build(pipeline)
    return pipeline.to_runner_api(default_environment=EmbeddedPythonEnvironment.default())


def test_every_step_of_a_graph_is_guarded_and_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    graph = graph_of(partial(build_shards, samples=some_samples(2), folder=tmp_path))
    plain = sent_steps(graph)
    guard_steps(graph, identity())
    sent = sent_steps(graph)
    assert len(sent) == len(plain) >= 15
    assert any("Combine" in name for name in sent)
    assert max(len(sent[name]) - len(plain[name]) for name in sent) < 2_000
    monkeypatch.setattr("pipelines.identity.identity", dict)
    for payload in sent.values():
        loaded = pickler.loads(payload)
        run = partial(loaded[0].process, "") if isinstance(loaded, tuple) else loaded.create_accumulator
        with pytest.raises(
            Exception, match=r"^worker \S+ runs Python absent, and the machine that began the build 3\."
        ):
            run()


def count_with_side_input(pipeline: beam.Pipeline) -> None:
    side = beam.pvalue.AsDict(pipeline | "Pairs" >> beam.Create([("a", 1)]))
    keyed = (
        pipeline | "Numbers" >> beam.Create([("a", 1)]) | "Add" >> beam.Map(lambda one, more: (one[0], len(more)), side)
    )
    keyed | "Count" >> beam.CombinePerKey(sum)


@pytest.mark.parametrize("name", ["Pairs/Map(decode)", "Add", "Count"])
def test_a_worker_of_another_version_says_so_whatever_step_it_comes_to_first(name: str):
    graph, some = graph_of(count_with_side_input), beam_runner_api_pb2.Pipeline()
    for key, transform in graph.components.transforms.items():
        if transform.unique_name.startswith(name):
            some.components.transforms[key].CopyFrom(transform)
    guard_steps(some, {"Python": "2.7"})
    graph.MergeFrom(some)
    with pytest.raises(Exception, match=r"^worker \S+ runs Python 3\.\d+, and the machine that began the build 2\.7; "):
        FnApiRunner().run_via_runner_api(graph, PipelineOptions(flags=[])).wait_until_finish()


def sent_steps(graph: beam_runner_api_pb2.Pipeline) -> dict[str, bytes]:
    """The functions that a graph hands to its workers, by the names of their transforms."""
    found = {}
    for transform in graph.components.transforms.values():
        if "pardo" in transform.spec.urn:
            do = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload).do_fn
            found[transform.unique_name] = do.payload
        elif "combine" in transform.spec.urn:
            combine = beam_runner_api_pb2.CombinePayload.FromString(transform.spec.payload).combine_fn
            found[transform.unique_name] = BytesValue.FromString(combine.payload).value
    return found


def there(folder: Path, step: bytes, root: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a step in an interpreter that finds its modules in a folder first, or in another one."""
    (folder / "step").write_bytes(step)
    load = "loaded = pickler.loads(open('step', 'rb').read()); again = pickler.loads(pickler.dumps(loaded))"
    program = f"from apache_beam.internal import pickler; {load}; again[0].process('a step that ran')"
    environment = os.environ | {"PYTHONPATH": str(root or folder)}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_external_workers_of_a_job_service_do_no_work_in_another_version(tmp_path: Path):
    other, out = another_version(tmp_path / "other"), tmp_path / "out"
    out.mkdir()
    build = partial(build_shards, samples=some_samples(20), folder=out)
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
        wait_for(lambda: "FINISHED" in {job["state"] for job in running.jobs(cluster)}, "the trial", timeout_s=120)
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
