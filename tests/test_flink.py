"""What is said of a Flink cluster before anything is done there, what is asked of it, and what counts as failed."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from apache_beam.internal.cloudpickle import cloudpickle

from pipelines.flink.failures import final_failure, full_disk, told
from pipelines.flink.rest import Failure, FlinkRest
from pipelines.flink.shuffled import num_steps, shuffles, shuffles_line
from pipelines.flink.trial import identity_maker, looker
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
    monkeypatch.setattr("pipelines.flink.ready.FREED_S", 0.0)
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
