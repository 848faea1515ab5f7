"""How a job on a Flink cluster is followed and ended, and which failures are final."""

import re
from typing import Any

import pytest

from pipelines.errors import StageError
from pipelines.flink.failures import final_failure, full_disk, told, told_of
from pipelines.flink.jobs import AgainError, follow
from pipelines.flink.rest import Failure, FlinkJob, FlinkRest, NoAnswerError
from tests.fake_flink import entry, fake_flink

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
        there.fail(entry(1, FULL, endpoint="10.0.0.7:4711"), entry(2, JAVA))
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
{cause}
\tat org.apache.beam.vendor.grpc.v1p69p0.io.netty.channel.unix.Errors.newConnectException0(Errors.java:166)
"""
"""As Flink 1.19 and Beam's runner 2.70 tell it."""
REFUSED = NO_POOL.format(
    cause="""Caused by: io.netty.channel.AbstractChannel$AnnotatedConnectException: \
finishConnect(..) failed: Connection refused: localhost/127.0.0.1:50001
Caused by: java.net.ConnectException: finishConnect(..) failed: Connection refused"""
)
NO_ROUTE = NO_POOL.format(
    cause="""Caused by: io.netty.channel.AbstractChannel$AnnotatedNoRouteToHostException: null: /10.0.0.99:50000
Caused by: java.net.NoRouteToHostException"""
)
SILENT = NO_POOL.format(
    cause="Caused by: io.netty.channel.ConnectTimeoutException: connection timed out after 30000 ms: /10.0.0.99:50000"
)
UNKNOWN = NO_POOL.format(
    cause="""Caused by: java.lang.RuntimeException: java.net.UnknownHostException: oak: \
Temporary failure in name resolution
Caused by: java.net.UnknownHostException: oak: Temporary failure in name resolution"""
)
NOT_THERE = "start one beside the TaskManager, or name where it is as --worker-pool HOST:PORT"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (REFUSED, f"worker w1: no pool of Python workers answers at localhost:50001; {NOT_THERE}"),
        (NO_ROUTE, f"worker w1: no pool of Python workers answers at 10.0.0.99:50000; {NOT_THERE}"),
        (SILENT, f"worker w1: no pool of Python workers answers at 10.0.0.99:50000; {NOT_THERE}"),
        (
            UNKNOWN,
            "worker w1 does not know the host 'oak' of its pool of Python workers; "
            "name where it is as --worker-pool HOST:PORT",
        ),
    ],
)
def test_a_worker_without_a_pool_is_told_with_where_it_was_looked_for_and_ends_the_build(text: str, line: str):
    assert told_of(Failure(1, text, "w1")) == line
    of_the_job = entry(3, f"org.apache.flink.runtime.JobException: Recovery is suppressed\nCaused by: {text}")
    here, lost = (entry(at_ms, what, endpoint="w1:4711") for at_ms, what in ((2, text), (1, JAVA)))
    for history, error in (
        ([of_the_job, here, here], StageError(line)),
        ([of_the_job, here, lost], AgainError(f"the Flink job failed: {line}")),
    ):
        with fake_flink() as there:
            there.fail(*history, state="FAILED")
            with pytest.raises(type(error), match=f"^{re.escape(str(error))}$"):
                follow(FlinkRest(there.address), "a", lambda *_said: None)


@pytest.mark.parametrize(
    ("texts", "seconds", "is_final"),
    [
        ([REFUSED] * 6, [0, 1, 3, 5, 8, 14], False),
        ([UNKNOWN] * 8, [0, 1, 3, 5, 8, 14, 21, 32], True),
        ([REFUSED, JAVA, REFUSED, REFUSED], [0, 10, 20, 31], True),
        ([REFUSED] * 3, [0, 0, 31], False),
        ([SILENT] * 3, [0, 31, 63], True),
        ([REFUSED, REFUSED, REFUSED], [0, 3600, 3602], False),
    ],
)
def test_a_pool_that_stays_away_for_longer_than_it_takes_to_start_is_final(
    texts: list[str], seconds: list[int], is_final: bool
):
    history = [Failure(1_000 * second, text, "w1") for second, text in zip(seconds, texts, strict=True)]
    assert (final_failure(history[::-1]) is not None) == is_final
    assert all(final_failure(history[:number][::-1]) is None for number in range(len(history)))


@pytest.mark.parametrize(
    ("taskmanager", "name"),
    [
        ("w1-3020b5", "w1"),
        ("seedbed-taskmanager-1-1", "seedbed-taskmanager-1-1"),
        ("10.0.0.7:4711-3020b5", "10.0.0.7"),
        (None, "10.0.0.7"),
    ],
)
def test_a_worker_is_called_by_its_name_where_flink_knows_one(taskmanager: str | None, name: str):
    with fake_flink() as there:
        there.fail(entry(1, JAVA, endpoint="10.0.0.7:4711") | {"taskManagerId": taskmanager})
        assert [failure.host for failure in FlinkRest(there.address).failures("a")] == [name]


def test_what_fails_at_once_in_many_tasks_is_one_accident():
    with fake_flink() as there:
        for num_times, is_final in ((1, False), (2, False), (3, True)):
            there.fail(*(entry(10 * number, BUG, BUG, JAVA, BUG, BUG) for number in range(num_times, 0, -1)))
            failures = FlinkRest(there.address).failures("a")
            assert len(failures) == 5 * num_times
            assert (final_failure(failures) is not None) == is_final


@pytest.mark.parametrize(("text", "error"), [(STAGE, RuntimeError), (FULL, StageError)])
def test_what_is_final_is_told_of_a_job_that_has_ended_by_itself(text: str, error: type[Exception]):
    """A job that has ended cannot be ended, and Flink says so."""
    with fake_flink() as there:
        there.fail(entry(1, text), state="FAILED")
        there.list_jobs(("a", "seedbed x", "FAILED"))
        with pytest.raises(error, match=re.escape(told(text).partition(": ")[2])):
            follow(FlinkRest(there.address), "a", lambda *_said: None)


def test_each_failure_that_flink_mends_is_told_once_however_short_its_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipelines.flink.jobs.POLL_S", 0.0)
    with fake_flink() as there:
        notes: list[str] = []
        to_come = iter([1, 2, 2, 3])

        def report(kind: str, text: str) -> None:
            if kind == "note":
                notes.append(text)
            else:
                newest = next(to_come, None)
                there.fail(*remembered(newest or 3), state="RUNNING" if newest else "FINISHED")

        there.fail(*remembered(1))
        follow(FlinkRest(there.address), "a", report)
    told = "a Flink task failed, and is started again: IOException"
    assert notes == [f"{told}: accident 1", f"{told}: accident 2", f"{told}: accident 3"]


def remembered(newest: int) -> list[dict[str, Any]]:
    """The last two of many failures, which is all that is remembered."""
    return [entry(number, f"java.io.IOException: accident {number}") for number in (newest, newest - 1)]


def test_jobs_of_a_name_are_ended_and_no_others():
    with fake_flink() as there:
        jobs = there.list_jobs(
            ("a", "seedbed x", "RUNNING"), ("b", "seedbed y", "RUNNING"), ("c", "seedbed x", "FAILED")
        )
        assert FlinkRest(there.address).end_jobs("seedbed x") == []
        assert [job["state"] for job in jobs] == ["CANCELED", "RUNNING", "FAILED"]
        assert [each for each in there.asked if each.startswith("PATCH")] == ["PATCH /jobs/a?mode=cancel"]


@pytest.mark.parametrize("meanwhile", ["FINISHED", "FAILED", "CANCELED"])
def test_a_job_that_ends_before_it_can_be_ended_has_ended(meanwhile: str):
    with fake_flink() as there:
        there.list_jobs(("a", "seedbed x", "RUNNING"), meanwhile=meanwhile)
        assert FlinkRest(there.address).end_jobs("seedbed x") == []
        assert there.asked.count("PATCH /jobs/a?mode=cancel") == 1


def test_a_job_that_does_not_end_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pipelines.flink.rest.END_S", 0.1)
    with fake_flink() as there:
        there.list_jobs(("a", "seedbed x", "RUNNING"), then="CANCELLING")
        assert FlinkRest(there.address).end_jobs("seedbed x") == [FlinkJob("a", "CANCELLING")]


@pytest.mark.parametrize("answer", [{}, [], None, {"jobs": [{}]}])
def test_an_answer_that_is_not_flinks_is_told_as_such(answer: object):
    with fake_flink() as there:
        there.answers.update(dict.fromkeys(("/overview", "/jobs/overview"), answer))
        rest = FlinkRest(there.address)
        with pytest.raises(NoAnswerError, match=f"^{there.address}: who answers there is not Flink's REST interface$"):
            rest.room()
        with pytest.raises(NoAnswerError, match=f"^{there.address}: who answers there is not Flink's REST interface$"):
            rest.end_jobs("seedbed x")


@pytest.mark.parametrize("answer", [[1], {"exceptionHistory": {"entries": [{}]}}])
def test_a_history_that_is_not_flinks_is_told_as_such(answer: object):
    with fake_flink() as there:
        there.answers["/jobs/a/exceptions"] = answer
        with pytest.raises(NoAnswerError, match="who answers there is not Flink's REST interface"):
            FlinkRest(there.address).failures("a")
