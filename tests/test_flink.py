"""What is said of a Flink cluster before anything is done there, and what it made of a pipeline."""

import socket
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest

from pipelines.build import patiently
from pipelines.errors import StageError
from pipelines.flink.shuffled import num_steps, shuffles, shuffles_line
from pipelines.flink.trial import see
from pipelines.runners import EMBEDDED, Runner
from shards.asking import RefusalError, StoreError
from tests.builds import seedbed
from tests.fake_flink import fake_flink, fake_job_server
from tests.loopback import free_port


def refused(out: Path, *more: str, runner: str = "flink") -> str:
    """The one line of a crawl that could not begin; nothing stands in its folder."""
    done = seedbed("crawl", "demo", "--out", out, "--runner", runner, *more)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert [path.name for path in out.iterdir()] == [".lock"]
    (line,) = done.stderr.splitlines()
    return line.removeprefix("seedbed: ")


def test_nobody_at_an_endpoint_is_told_before_any_work(tmp_path: Path):
    nobody = f"127.0.0.1:{free_port()}"
    line = refused(tmp_path, "--flink-job-endpoint", nobody)
    assert line == f"{nobody}: no job server answers; start Beam's there, or give another --flink-job-endpoint"
    with fake_job_server() as there:
        line = refused(tmp_path, "--flink-job-endpoint", there, "--flink-rest", nobody)
    assert line.startswith(f"{nobody}: Flink's REST interface gives no answer (ConnectionRefusedError")
    assert line.endswith("; give its JobManager's as --flink-rest HOST:PORT")


def test_an_endpoint_that_is_something_else_is_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipelines.flink.ready.ANSWER_S", 0.5)
    told = "what listens there is no job server of Beam's; name one (its port is 8099 unless it was told another)"
    with fake_flink() as flink, fake_job_server() as jobs, socket.create_server(("127.0.0.1", 0)) as silent:
        for other in (flink.address, f"127.0.0.1:{silent.getsockname()[1]}"):
            line = refused(tmp_path, "--flink-job-endpoint", other, "--flink-rest", flink.address)
            assert line == f"{other}: {told} as --flink-job-endpoint"
            line = refused(tmp_path, "--worker-pool", "localhost:1", runner=other)
            assert line == f"{other}: {told} as --runner"
        line = refused(tmp_path, "--flink-job-endpoint", jobs, "--flink-rest", jobs)
    would_do = "give its JobManager's as --flink-rest HOST:PORT"
    assert line == f"{jobs}: who answers there is not Flink's REST interface; {would_do}"


@pytest.mark.parametrize(
    ("slots", "free", "workers", "advice"),
    [
        (2, 0, "0", "wait for the jobs that run there, or add TaskManagers"),
        (4, 1, "3", "3 are asked for: give fewer --workers, or add TaskManagers"),
        (0, 0, "0", "0 are free: no TaskManager is there; start some"),
    ],
)
def test_a_cluster_without_free_slots_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slots: int, free: int, workers: str, advice: str
):
    monkeypatch.setattr("pipelines.flink.ready.FREED_S", 0.0)
    with fake_flink(**{"slots-total": slots, "slots-available": free}) as there, fake_job_server() as jobs:
        where = ("--flink-job-endpoint", jobs, "--flink-rest", there.address)
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


def test_a_plan_is_told_by_its_steps_and_shuffles():
    names = (
        "MapPartition (MapPartition at [3]{Clean, Key})",
        "Partition",
        "GroupReduce (GroupReduce at A/CoGroupByKeyImpl/GroupByKey)",
        "GroupReduce (GroupReduce at B/Sum/Group)",
        "GroupReduce (GroupReduce at GroupByFile)",
        "Partition",
    )
    metrics = {"read-bytes": 1_234, "read-records": 5}
    job = {"duration": 2_500, "vertices": [{"name": name, "metrics": metrics} for name in names]}
    assert num_steps(job) == 1
    assert [tuple(shuffle) for shuffle in shuffles(job)] == [
        (name, 1_234, 5) for name in ("", "A", "B/Sum", "GroupByFile", "")
    ]
    assert shuffles_line(job) == (
        "Flink: 1 fused steps in 6 tasks, 2.5 s; 5 shuffles of 6,170 bytes: "
        "A 1,234, B/Sum 1,234, GroupByFile 1,234, dealing out work (2) 2,468"
    )


def test_a_store_that_is_away_around_a_stage_is_waited_for_on_a_cluster_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipelines.build.STORE_DELAYS_S", (0.0, 0.0))
    times_asked: list[None] = []

    def ask(num_away: int) -> str:
        times_asked.append(None)
        if len(times_asked) <= num_away:
            raise StoreError("s3://b/a: the store gives no answer")
        return "here"

    for runner, num_away, times in ((Runner(rest="h:1"), 2, 3), (Runner(rest="h:1"), 9, 3), (EMBEDDED, 1, 1)):
        times_asked.clear()
        with pytest.raises(StoreError) if num_away >= times else nullcontext():
            assert patiently(runner, partial(ask, num_away)) == "here"
        assert len(times_asked) == times


def test_a_store_that_refuses_is_asked_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipelines.build.STORE_DELAYS_S", (0.0, 0.0))
    asked: list[None] = []

    def ask() -> None:
        asked.append(None)
        raise RefusalError("s3://b/a: the store has no such bucket")

    with pytest.raises(RefusalError):
        patiently(Runner(rest="h:1"), ask)
    with pytest.raises(StageError, match="worker w1: s3://b/a: the store has no such bucket"):
        see(Path("a"), Mock(spec=Path, exists=ask), "w1")
    assert len(asked) == 2
