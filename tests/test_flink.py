"""What is said of a Flink cluster before anything is done there, what is asked of it, and what counts as failed."""

import http.server
import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock

import grpc
import pytest

from pipelines.build import patiently
from pipelines.errors import StageError
from pipelines.flink.failures import final_failure, full_disk, told, told_of
from pipelines.flink.jobs import AgainError, follow
from pipelines.flink.rest import Failure, FlinkRest
from pipelines.flink.shuffled import num_steps, shuffles, shuffles_line
from pipelines.flink.trial import see
from pipelines.runners import EMBEDDED, Runner
from shards.asking import RefusalError, StoreError
from tests.builds import seedbed
from tests.loopback import free_port


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


@contextmanager
def fake_job_server() -> Iterator[str]:
    """The address of a stand-in for Beam's job server, which answers what every build asks first."""
    methods = {"DescribePipelineOptions": grpc.unary_unary_rpc_method_handler(lambda _asked, _context: b"")}
    service = "org.apache.beam.model.job_management.v1.JobService"
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


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
        (0, 0, "0", "wait for the jobs that run there, or add TaskManagers"),
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


def test_a_full_disk_is_told_with_its_worker():
    with fake_flink() as there:
        entry = {"timestamp": 1, "stacktrace": FULL, "endpoint": "10.0.0.7:4711"}
        nowhere = {"timestamp": 2, "stacktrace": JAVA, "endpoint": None}
        there.answers["/jobs/a/exceptions"] = {"exceptionHistory": {"entries": [entry, nowhere]}}
        failures = FlinkRest(there.address).failures("a")
    assert [failure.host for failure in failures] == ["10.0.0.7", ""]
    assert [full_disk(failure) for failure in failures] == [
        "worker 10.0.0.7: its disk is full ([Errno 28] No space left on device: '/tmp/a'); "
        "free some space there and run again: what is finished is kept",
        None,
    ]


NO_POOL = """java.lang.Exception: The user defined 'open()' method caused an exception: UNAVAILABLE: io exception
\tat org.apache.flink.runtime.operators.BatchTask.run(BatchTask.java:510)
Caused by: org.apache.beam.vendor.grpc.v1p69p0.io.grpc.StatusRuntimeException: UNAVAILABLE: io exception
\tat org.apache.beam.model.fnexecution.v1.BeamFnExternalWorkerPoolGrpc$BeamFnExternalWorkerPoolBlockingStub.startWorker
Caused by: io.netty.channel.AbstractChannel$AnnotatedConnectException: finishConnect(..) failed: {where}
Caused by: java.net.ConnectException: finishConnect(..) failed: Connection refused
\tat org.apache.beam.vendor.grpc.v1p69p0.io.netty.channel.unix.Errors.newConnectException0(Errors.java:166)
""".format(where="Connection refused: localhost/127.0.0.1:50001")


def test_a_worker_without_a_pool_is_told_with_where_it_was_looked_for_and_ends_the_build():
    line = (
        "worker 10.0.0.7: no pool of Python workers answers at localhost:50001; "
        "start one beside the TaskManager, or name where it is as --worker-pool HOST:PORT"
    )
    assert told_of(Failure(1, NO_POOL, "10.0.0.7")) == line
    for texts, error in (
        ([NO_POOL] * 3, StageError(line)),
        ([NO_POOL, JAVA], AgainError(f"the Flink job failed: {line}")),
    ):
        with fake_flink() as there:
            entries = [{"timestamp": 1, "stacktrace": text, "endpoint": "10.0.0.7:4711"} for text in texts]
            there.answers["/jobs/a/exceptions"] = {"exceptionHistory": {"entries": entries}}
            there.answers["/jobs/a"] = {"state": "FAILED", "vertices": []}
            with pytest.raises(type(error), match=f"^{re.escape(str(error))}$"):
                follow(FlinkRest(there.address), "a", lambda *_said: None)


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
