"""Builds on a Flink cluster: what is said before anything is done, and the bytes that one process would write."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import pytest
from apache_beam.internal.cloudpickle import cloudpickle

from crawl.demo.server import DemoServer
from pipelines.flink_failures import final_failure, told
from pipelines.flink_plan import num_steps, shuffles, shuffles_line
from pipelines.flink_rest import Failure, FlinkRest
from pipelines.flink_trial import identity_maker, looker
from shards.object_path import ObjectPath
from tests.arboretum import arguments
from tests.builds import DATASETS, manifest_bytes, manifest_of, seedbed, start_seedbed, wait_for
from tests.cluster import needs, running
from tests.cluster.layout import Cluster
from tests.loopback import free_port
from tests.object_store import KEY, SECRET, ObjectStore

MANY_SHARDS = ("triplets.draws=2", "triplets.max_shard_bytes=1048576", "triplets.buckets=8")
MOST_SHUFFLED = 500
"""Bytes that may cross a shuffle for each picture or page."""


# Without a cluster: what is told, and what is asked of one


class Fake(NamedTuple):
    """A stand-in for Flink's REST interface.

    Attributes:
        address: `HOST:PORT`.
        answers: by path, to be changed.
        asked: method and path of each request.
    """

    address: str
    answers: dict[str, Any]
    asked: list[str]


@contextmanager
def fake_flink(**overview: int) -> Iterator[Fake]:
    answers: dict[str, Any] = {"/overview": overview, "/jobs/overview": {"jobs": []}}
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            body = json.dumps(answers.get(self.path, {})).encode()
            self.send_response(200 if self.path in answers or self.command == "PATCH" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PATCH(self) -> None:
            for job in answers["/jobs/overview"]["jobs"]:
                if self.path.startswith(f"/jobs/{job['jid']}?"):
                    job["state"] = "CANCELED"
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Fake(f"127.0.0.1:{server.server_port}", answers, asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refused(out: Path, *more: str) -> str:
    """The one line of a crawl that could not begin; nothing stands in its folder."""
    done = seedbed("crawl", "demo", "--out", out, "--runner", "flink", *more)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert [path.name for path in out.iterdir()] == [".lock"]
    (line,) = done.stderr.splitlines()
    return line.removeprefix("seedbed: ")


def test_nobody_at_an_endpoint_is_told_before_any_work(tmp_path: Path):
    nobody = f"127.0.0.1:{free_port()}"
    line = refused(tmp_path, "--flink-job-endpoint", nobody)
    assert line == f"{nobody}: no job server answers; start Beam's there, or give another --flink-job-endpoint"
    with fake_flink() as there:
        line = refused(tmp_path, "--flink-job-endpoint", there.address, "--flink-rest", nobody)
    assert line.startswith(f"{nobody}: Flink's REST interface gives no answer (ConnectionRefusedError")
    assert line.endswith("; give its JobManager's as --flink-rest HOST:PORT")


@pytest.mark.parametrize(
    ("slots", "free", "workers", "advice"),
    [
        (2, 0, "0", "wait for the jobs that run there, or add TaskManagers"),
        (4, 1, "3", "3 are asked for: give fewer --workers, or add TaskManagers"),
        (0, 0, "0", "wait for the jobs that run there, or add TaskManagers"),
    ],
)
def test_a_cluster_without_free_slots_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slots: int, free: int, workers: str, advice: str
):
    monkeypatch.setattr("pipelines.flink_ready.FREED_S", 0.0)
    with fake_flink(**{"slots-total": slots, "slots-available": free}) as there:
        where = ("--flink-job-endpoint", there.address, "--flink-rest", there.address)
        line = refused(tmp_path, *where, "--workers", workers)
    assert line.startswith(f"{there.address}: of the Flink cluster's {slots} task slots {free} are free")
    assert line.endswith(advice)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--flink-rest", "localhost:1"], "Invalid value for --flink-rest: is for a Flink cluster: add --runner flink"),
        (["--flink-retries", "1"], "Invalid value for --flink-retries: is for a Flink cluster: add --runner flink"),
        (["--runner", "flink"], "Invalid value for --flink-job-endpoint: '' is no HOST:PORT: name Beam's job server"),
        (
            ["--runner", "flink", "--flink-job-endpoint", "localhost:1", "--flink-rest", "http://localhost:2/"],
            "Invalid value for --flink-rest: 'http://localhost:2/' is no HOST:PORT: name Flink's JobManager",
        ),
    ],
)
def test_options_that_cannot_be_meant_are_usage_errors(tmp_path: Path, more: list[str], said: str):
    done = seedbed("build", "demo", "--out", tmp_path / "out", *more)
    assert done.returncode == 2
    assert done.stderr.startswith(f"seedbed: {said}"), done.stderr
    assert not (tmp_path / "out").exists()


JAVA = "org.apache.flink.util.FlinkException: TaskExecutor w1 lost\n\tat org.apache.flink.X\n"
PYTHON = (
    "java.lang.RuntimeException: Error received from SDK harness for instruction 7: "
    "Traceback (most recent call last):\n"
    '  File "apache_beam/runners/common.py", line 1, in process\n{error}\n\tat org.apache.beam.X\n'
    "Caused by: java.lang.RuntimeException: Error received\n"
)
STAGE = PYTHON.format(error="pipelines.errors.StageError: images: too large [while running 'Write']")
BUG = PYTHON.format(error="KeyError: 'oak' [while running 'Clean']")
AWAY = PYTHON.format(error="shards.asking.StoreError: s3://b/a: the store gives no answer")
FULL = PYTHON.format(error="OSError: [Errno 28] No space left on device: '/tmp/a'")


@pytest.mark.parametrize(
    ("texts", "final"),
    [
        ([JAVA] * 9, None),
        ([JAVA, STAGE], STAGE),
        ([BUG, JAVA, BUG], None),
        ([BUG, BUG, JAVA, BUG], BUG),
        ([AWAY] * 9, None),
        ([JAVA, FULL], FULL),
        (["java.io.IOException: lost\nCaused by: java.io.IOException: No space left on device"], "java.io"),
    ],
)
def test_what_another_try_would_not_mend_is_final(texts: list[str], final: str | None):
    found = final_failure([Failure(number, text) for number, text in enumerate(texts)])
    assert (found is None) == (final is None)
    assert found is None or found.text.startswith(final or "")


def test_a_failure_is_told_in_one_line():
    assert [told(text) for text in (JAVA, STAGE, BUG)] == [
        "FlinkException: TaskExecutor w1 lost",
        "StageError: images: too large",
        "KeyError: 'oak'",
    ]


def test_jobs_of_a_name_are_ended_and_no_others():
    with fake_flink() as there:
        states = (("a", "seedbed x", "RUNNING"), ("b", "seedbed y", "RUNNING"), ("c", "seedbed x", "FAILED"))
        jobs = [{"jid": jid, "name": name, "state": state, "start-time": 0} for jid, name, state in states]
        there.answers["/jobs/overview"]["jobs"] = jobs
        FlinkRest(there.address).end_jobs("seedbed x")
        assert [job["state"] for job in jobs] == ["CANCELED", "RUNNING", "FAILED"]
        assert [each for each in there.asked if each.startswith("PATCH")] == ["PATCH /jobs/a?mode=cancel"]


def test_a_plan_is_told_by_its_steps_and_shuffles():
    names = (
        "MapPartition (MapPartition at [3]{Clean, Key})",
        "GroupReduce (GroupReduce at A/CoGroupByKeyImpl/GroupByKey)",
    )
    metrics = {"read-bytes": 1_234, "read-records": 5}
    job = {"duration": 2_500, "vertices": [{"name": name, "metrics": metrics} for name in (*names, "Partition")]}
    assert num_steps(job) == 1
    assert [tuple(shuffle) for shuffle in shuffles(job)] == [("A", 1_234, 5), ("spread", 1_234, 5)]
    assert shuffles_line(job) == (
        "Flink: 1 fused steps in 3 tasks, 2.5 s; 2 shuffles of 2,468 bytes: A 1,234, spread 1,234"
    )


SOURCE = "Seedbed's source"


def test_a_worker_of_another_version_says_so_without_our_modules(tmp_path: Path):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/__init__.py").write_text("")  # stands in the way of ours
    wanted = identity_maker()([])
    theirs = there(tmp_path, f"print(given([])[{SOURCE!r}])", identity_maker()).stdout.strip()
    said = there(tmp_path, "given('marker')", looker([], wanted, str(tmp_path))).stderr.splitlines()[-1]
    assert "StageError: worker " in said
    assert f"runs Seedbed's source {theirs}, and this machine {wanted[SOURCE]}; install the same" in said


def there(folder: Path, program: str, given: object) -> subprocess.CompletedProcess[str]:
    """Runs a program on something given, in an interpreter that finds its modules in a folder first."""
    (folder / "given").write_bytes(cloudpickle.dumps(given))
    whole = f"import pickle; given = pickle.loads(open('given', 'rb').read()); {program}"
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", whole]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


# On a cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two workers of two slots each."""
    missing = needs.what_is_missing()
    if missing:
        pytest.skip(f"no cluster here: {missing[0]}")
    one = Cluster(f"f{os.getpid()}", slots=2)
    running.up(one)
    try:
        yield one
    finally:
        running.down(one.name)


@pytest.fixture
def out(cluster: Cluster, built: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    """A folder in the cluster's store that holds the arboretum's crawl."""
    settings = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": cluster.store}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return filled(cluster, built, "crawl")


def filled(cluster: Cluster, built: Path, *stages: str) -> ObjectPath:
    """A new folder in the cluster's store with some stages of a build."""
    name = os.urandom(8).hex()
    files = fsspec.filesystem("s3", key=KEY, secret=SECRET, endpoint_url=cluster.store)
    for stage in stages:
        files.put(f"{built / stage}/", f"{ObjectStore.bucket}/{name}/{stage}/", recursive=True)
    return ObjectPath(f"s3://{ObjectStore.bucket}/{name}")


def on(cluster: Cluster) -> tuple[str, ...]:
    """The options of a build on the cluster."""
    return "--runner", "flink", "--flink-job-endpoint", cluster.job_endpoint


def last_job(cluster: Cluster) -> dict[str, Any]:
    """The job that was handed in last, with its tasks."""
    jobs = running.ask(cluster, "/jobs/overview")["jobs"]
    return running.ask(cluster, f"/jobs/{max(jobs, key=lambda job: job['start-time'])['jid']}")


def assert_little_was_shuffled(job: dict[str, Any], records: int) -> None:
    """Bytes never cross a shuffle (law 1), as Flink itself counts them."""
    found = shuffles(job)
    assert found
    for shuffle in found:
        assert shuffle.bytes <= MOST_SHUFFLED * records, shuffle


@pytest.mark.cluster
def test_text_and_windows_are_those_of_one_process(cluster: Cluster, built: Path, server: DemoServer, out: ObjectPath):
    for stage in ("text", "windows"):
        done = seedbed(*arguments(server, stage, out, *on(cluster), workers=2))
        assert done.returncode == 0, done.stderr
        assert " fused steps in " in done.stdout
        assert " shuffles of " in done.stdout
        assert_little_was_shuffled(last_job(cluster), manifest_of(built, stage).counts.records_in)
    assert manifest_bytes(out, ("text", "windows")) == manifest_bytes(built, ("text", "windows"))


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_bytes_are_those_of_one_process_whatever_the_parallelism(
    cluster: Cluster, built: Path, server: DemoServer, out: ObjectPath, parallelism: int
):
    for stage in DATASETS:
        done = seedbed(*arguments(server, stage, out, *on(cluster), workers=parallelism))
        assert done.returncode == 0, done.stderr
        assert_little_was_shuffled(last_job(cluster), manifest_of(built, stage).counts.records_in)
    assert manifest_bytes(out) == manifest_bytes(built)


@pytest.mark.cluster
@pytest.mark.slow
def test_an_interrupted_build_leaves_no_job_and_is_carried_on(
    cluster: Cluster, built: Path, server: DemoServer, out: ObjectPath
):
    out = filled(cluster, built, "crawl", "images", "score")
    command = arguments(server, "triplets", out, *MANY_SHARDS, workers=2)
    process = start_seedbed(*command, *on(cluster))
    stage = out / "triplets"
    wait_for(lambda: any("/receipts/" in name for name in stage.listing()), "a shard", timeout_s=180)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "interrupted; run the same command again and it carries on" in output
    assert {job["state"] for job in running.ask(cluster, "/jobs/overview")["jobs"]} <= {"CANCELED", "FINISHED"}
    assert last_job(cluster)["state"] == "CANCELED"
    again = seedbed(*command, *on(cluster))
    assert again.returncode == 0, again.stderr
    assert manifest_of(out, "triplets").counts == manifest_of(built, "triplets").counts


@pytest.mark.cluster
@pytest.mark.slow
def test_a_folder_that_the_workers_do_not_see_is_told_before_any_work(
    cluster: Cluster, built: Path, server: DemoServer, tmp_path: Path
):
    (tmp_path / "crawl").symlink_to(built / "crawl")
    done = seedbed(*arguments(server, "text", tmp_path, *on(cluster)))
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("seedbed: text: worker w")
    assert f"does not see the folder {tmp_path}: give an --out that every worker sees, such as s3://BUCKET" in line
    assert not list((tmp_path / "text").glob("*/_work/receipts/*"))
