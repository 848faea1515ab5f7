"""The test cluster: what it says where something is missing, and that its hosts are as far apart as machines."""

import functools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apache_beam as beam
import psutil
import pytest

from pipelines.engine import run_pipeline
from pipelines.runners import SIDECAR, Runner
from pipelines.sink import WriteShards
from pipelines.sorting import SampleRef
from shards.object_path import ObjectPath
from tests import loopback
from tests.cluster import faults, needs, network, running, services
from tests.cluster.__main__ import main
from tests.cluster.errors import ClusterError
from tests.cluster.layout import REST_PORT, ROOT, STORE_PORT, Cluster
from tests.cluster.standing import in_store, standing, take_keys
from tests.small_shards import BUCKETS, MAX_BYTES, build_shards, contents, some_samples, write_lines

STAND_INS = {
    "java": "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2",
    "mvn": "echo '[ERROR] Could not find artifact of.flink:core'; exit 1",
    **dict.fromkeys(("ip", "mount", "nsenter", "setsid", "unshare"), "exit 0"),
}


def stand_ins(folder: Path, monkeypatch: pytest.MonkeyPatch, **changed: str | None) -> None:
    """Puts programs on PATH, alone, that say what they should; None takes one away."""
    folder.mkdir(exist_ok=True)
    for name, script in (STAND_INS | changed).items():
        if script is not None:
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"java": None}, "java is missing; Flink 1.19 runs on Java 17: install openjdk-17-jre-headless"),
        ({"java": "echo 'openjdk version \"25.0.1\"' >&2"}, "java is version 25; Flink 1.19 runs on Java 17"),
        ({"mvn": None}, "Maven (mvn) is missing, which brings Flink: install maven"),
        ({"ip": None}, "the command ip is missing, which makes the hosts of the cluster: install iproute2"),
        ({"nsenter": None}, "the command nsenter is missing, which makes the hosts of the cluster: install util-linux"),
    ],
)
def test_what_is_missing_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str | None], told: str
):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    stand_ins(tmp_path / "bin", monkeypatch, **changed)
    (line,) = needs.what_is_missing(tmp_path / "jars")
    assert line.startswith(told)
    assert "\n" not in line


def test_make_tells_what_is_missing_before_it_installs_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make here")
    stand_ins(tmp_path / "bin", monkeypatch, java=None)
    (tmp_path / "bin/sh").symlink_to("/bin/sh")
    command = [make, "cluster", f"PYTHON={sys.executable}", f"VENV={tmp_path / 'environment'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith("java is missing; Flink 1.19 runs on Java 17")
    assert not (tmp_path / "environment").exists()


def test_the_tests_on_a_cluster_are_skipped_where_none_can_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make here")
    (tmp_path / "bin").mkdir()
    pytest_here = f'exec {sys.executable} -m pytest -p no:cacheprovider -k no_worker_sees_what_another_wrote "$@"'
    (tmp_path / "bin/pytest").write_text(f"#!/bin/sh\n{pytest_here}\n")
    (tmp_path / "bin/pytest").chmod(0o755)
    (tmp_path / ".installed").touch()
    stand_ins(tmp_path / "path", monkeypatch, java=None)
    (tmp_path / "path/sh").symlink_to("/bin/sh")
    command = [make, "test-cluster", f"PYTHON={sys.executable}", f"VENV={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no cluster here: java is missing; Flink 1.19 runs on Java 17" in done.stdout
    assert "1 skipped" in done.stdout


@pytest.mark.parametrize(
    "words", [["cut", "w9", "flink"], ["pause", "sdk", "w9"], ["kill", "pool", "w9"], ["mend", "w9"]]
)
def test_a_worker_that_is_not_there_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
):
    stand_ins(tmp_path / "bin", monkeypatch)
    assert main([*words, "--name", "never"]) == 1
    assert capsys.readouterr().err == "cluster never: there is no w9\n"


def test_who_is_not_root_is_told_so_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    stand_ins(tmp_path / "bin", monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["up", "--name", "never"]) == 1
    assert capsys.readouterr().err == "network namespaces are made by root: run as root, or with sudo\n"


def test_jars_that_maven_cannot_bring_are_an_error_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stand_ins(tmp_path / "bin", monkeypatch)
    with pytest.raises(ClusterError, match=r"Maven could not bring the jars of .*pom.xml: .*Could not find artifact"):
        needs.fetch_jars(tmp_path / "jars")
    assert not needs.has_jars(tmp_path / "jars")


def test_jars_are_brought_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    brought = 'to=${6#*=}; /bin/mkdir -p "$to"; : > "$to/a.jar"'  # its sixth argument says where to
    stand_ins(tmp_path / "bin", monkeypatch, mvn=brought)
    needs.fetch_jars(tmp_path / "jars")
    assert [path.name for path in (tmp_path / "jars").rglob("*.jar")] == ["a.jar"]
    stand_ins(tmp_path / "bin", monkeypatch, mvn="exit 1")
    needs.fetch_jars(tmp_path / "jars")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["up", "--name", "Head 1"], "cluster name 'Head 1': up to 11 lower-case letters and digits, a letter first"),
        (["up", "--workers", "0"], "0 workers: at least 1, at most 60"),
        (["up", "--slots", "0"], "0 slots: at least 1"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 1
    assert capsys.readouterr().err == f"{told}\n"


def test_the_status_of_no_cluster_is_a_failure(capsys: pytest.CaptureFixture[str]):
    assert main(["status", "--name", "never"]) == 1
    told = f"cluster never: the JobManager does not answer at {Cluster('never').rest}\n"
    assert capsys.readouterr() == ("", told)


def test_a_cluster_that_cannot_be_reached_for_want_of_a_tool_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    stand_ins(tmp_path / "bin", monkeypatch, ip=None)
    assert main(["down", "--name", "never"]) == 1
    assert capsys.readouterr().err == (
        "the command ip is missing, which makes the hosts of the cluster: install iproute2\n"
    )


def test_two_names_share_nothing():
    one, other = Cluster("one"), Cluster("other")
    assert one.network != other.network
    assert one.folder != other.folder
    assert not {*map(one.namespace, one.hosts)} & {*map(other.namespace, other.hosts)}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two workers, up; each test leaves them so."""
    with standing(Cluster(f"t{os.getpid()}", disk_mb=256)) as one:
        yield one


def python(cluster: Cluster, worker: str, program: str) -> str:
    """What a program prints on a worker, or the last line of what it fails with."""
    done = faults.inside(cluster, worker, sys.executable, "-c", program)
    return (done.stdout or done.stderr).strip().rpartition("\n")[2]


def reaches(cluster: Cluster, worker: str, host: str, port: int) -> bool:
    program = (
        f"import socket; s = socket.socket(); s.settimeout(3); print(s.connect_ex(('{cluster.address(host)}', {port})))"
    )
    return python(cluster, worker, program) == "0"


@pytest.mark.cluster
def test_no_worker_sees_what_another_wrote_and_none_writes_elsewhere(cluster: Cluster):
    proof = Path("/tmp") / f"proof-{cluster.name}"
    for worker in cluster.workers:
        assert python(cluster, worker, f"import pathlib; print(pathlib.Path('{proof}').write_text('{worker}'))") == "2"
    for worker in cluster.workers:
        assert python(cluster, worker, f"print(open('{proof}').read())") == worker
    assert not proof.exists()
    assert "Read-only file system" in python(cluster, "w1", f"open('{cluster.source}/proof', 'w')")
    assert not faults.inside(cluster, "w1", "ls", str(cluster.folder / "logs")).stdout
    faults.inside(cluster, "w1", "rm", str(proof))


@pytest.mark.cluster
def test_a_full_disk_is_one_workers_own(cluster: Cluster):
    write = "open('/tmp/more', 'wb').write(bytes(1 << 20))"
    faults.fill_disk(cluster, "w1")
    assert "No space left on device" in python(cluster, "w1", write)
    assert python(cluster, "w2", write) == ""
    faults.empty_disk(cluster, "w1")
    assert python(cluster, "w1", write) == ""


@pytest.mark.cluster
def test_a_worker_is_cut_off_the_cluster_alone_or_wholly(cluster: Cluster):
    with network.entered(cluster, "site"), loopback.serve(loopback.pages({}), address=cluster.address("site")) as site:
        seen = []
        for links in ((), (network.CLUSTER,), (network.CLUSTER, network.SITE)):
            network.cut(cluster, "w1", links)
            where = {"head": STORE_PORT, "site": site.port}
            seen.append([reaches(cluster, "w1", host, port) for host, port in where.items()])
            network.mend(cluster, "w1")
        assert seen == [[True, True], [False, True], [False, False]]
        assert reaches(cluster, "w2", "site", site.port)
    running.wait_for_workers(cluster)


@pytest.mark.cluster
def test_a_worker_is_cut_off_flink_and_sees_the_store_still(cluster: Cluster):
    ports = (STORE_PORT, REST_PORT)
    network.cut_flink(cluster, "w1")
    assert [reaches(cluster, "w1", "head", port) for port in ports] == [True, False]
    running.wait_for(cluster, lambda: running.num_workers(cluster) == 1, "the loss of w1")
    network.mend(cluster, "w1")
    assert [reaches(cluster, "w1", "head", port) for port in ports] == [True, True]
    running.wait_for_workers(cluster)


@pytest.mark.cluster
def test_what_the_store_holds_outlives_its_stop(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    folder = bucket(cluster, monkeypatch)
    (folder / "kept").write_bytes(b"oak")
    faults.stop_store(cluster)
    assert not running.answers(cluster, STORE_PORT)
    services.start_store(cluster)
    running.wait_for_store(cluster)
    assert (folder / "kept").read_bytes() == b"oak"


@pytest.mark.cluster
@pytest.mark.slow
def test_a_pipeline_on_two_workers_writes_into_the_store_what_one_process_writes_to_disk(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    samples, folder = some_samples(200), bucket(cluster, monkeypatch)
    run_pipeline(functools.partial(build_shards, samples=samples, folder=tmp_path), workers=1)
    run_there(cluster, functools.partial(build_shards, samples=samples, folder=folder))
    assert contents(folder) == contents(tmp_path)
    for worker in cluster.workers:
        assert "Starting worker with command" in services.log_of(cluster, worker, "unit").read_text()


@pytest.mark.cluster
@pytest.mark.slow
def test_killed_parts_come_back_and_take_jobs_again(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    faults.kill_taskmanager(cluster, "w1")
    faults.kill_pool(cluster, "w2")
    faults.kill_jobmanager(cluster)
    running.wait_for(cluster, lambda: not running.overview(cluster), "the JobManager's end")
    services.start_jobmanager(cluster)
    running.wait_for_workers(cluster)
    for worker, role in (("w1", "taskmanager"), ("w2", "pool")):
        assert f"{role} ended with status -9" in services.log_of(cluster, worker, "unit").read_text()
    folder = bucket(cluster, monkeypatch)
    run_there(cluster, functools.partial(build_shards, samples=some_samples(20), folder=folder))
    run_pipeline(functools.partial(build_shards, samples=some_samples(20), folder=tmp_path), workers=1)
    assert contents(folder) == contents(tmp_path)


@pytest.mark.cluster
@pytest.mark.slow
def test_a_python_worker_killed_in_the_middle_of_a_job_costs_nothing_but_time(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    samples, folder = some_samples(200), bucket(cluster, monkeypatch)
    run_pipeline(functools.partial(build_shards, samples=samples, folder=tmp_path), workers=1)
    slowly = functools.partial(_build_slowly, samples=samples, folder=folder)
    with ThreadPoolExecutor() as threads:
        job = threads.submit(run_there, cluster, slowly)
        running.wait_for(cluster, lambda: faults.sdks(cluster, "w1"), "a Python worker on w1")
        time.sleep(3)
        faults.kill_sdk(cluster, "w1")
        job.result()
    assert contents(folder) == contents(tmp_path)
    assert "a Python worker was killed" in services.log_of(cluster, "w1", "unit").read_text()
    running.wait_for_workers(cluster)


def _build_slowly(pipeline: beam.Pipeline, samples: list[SampleRef], folder: ObjectPath) -> None:
    lists = [samples[at : at + 7] for at in range(0, len(samples), 7)]
    slowly = pipeline | beam.Create(lists) | beam.Reshuffle() | beam.Map(_dawdle)
    slowly | WriteShards(folder, BUCKETS, MAX_BYTES, functools.partial(write_lines, folder))


def _dawdle(samples: list[SampleRef]) -> list[SampleRef]:
    time.sleep(0.5)
    return samples


@pytest.mark.cluster
def test_nothing_stays_of_a_cluster_that_went_down(cluster: Cluster):
    processes = [pid for host in cluster.hosts for pid in network.pids(cluster.namespace(host))]
    assert len(processes) >= 3 + 3 * cluster.num_workers
    running.down(cluster.name)
    assert not network.namespaces(cluster.name)
    assert not [pid for pid in processes if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
    assert not cluster.folder.exists()
    assert not Path(f"/sys/class/net/{cluster.name}0").exists()
    assert cluster.name not in Path("/proc/mounts").read_text()


def bucket(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    """An empty folder in the cluster's store, which this process has the keys of."""
    take_keys(cluster, monkeypatch)
    return in_store()


def run_there(cluster: Cluster, build: Callable[[beam.Pipeline], None]) -> None:
    """Runs a graph on the cluster, on all slots."""
    rest = cluster.rest.removeprefix("http://")
    run_pipeline(build, cluster.num_workers * cluster.slots, Runner(cluster.job_endpoint, SIDECAR, rest))
