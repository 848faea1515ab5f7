"""A pipeline on a Flink cluster: handed in through Beam's job server, and followed by what the JobManager says of it.

The job server is needed for as long as it takes to hand a job in; that it goes afterwards does no harm. Flink itself
starts a job again whose worker is gone; what it cannot mend raises `AgainError`, and the stage is begun again, whose
finished parts are not made again (law 3).
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.runners.portability.portable_runner import PipelineResult
from apache_beam.runners.runner import PipelineState

from pipelines.errors import SeedbedError, StageError
from pipelines.flink.failures import final_failure, located, missing_pool, of_a_worker, told, told_of
from pipelines.flink.rest import HANDED_IN, POLL_S, Failure, FlinkRest, NoAnswerError
from pipelines.guarded import guarded_pipeline
from pipelines.runners import Runner

LOST_S = 60.0
"""How long the JobManager may be away, and a job that was handed in not be listed."""

WORKER_KEPT_MS = 60_000
"""How long a Python worker that has nothing to do is kept for the next step of its job: starting one takes seconds."""

Report = Callable[..., None]
"""Tells the parent process: `state` and a text that changes as the job gets on, or `note` and a line for a person."""


class AgainError(SeedbedError):
    """A job ended, or is lost, for a reason that may have passed; the message says which."""


def run_on_flink(
    build: Callable[[beam.Pipeline], object], parallelism: int, where: Runner, report: Report
) -> dict[str, Any]:
    """Runs the graph that `build` adds to an empty pipeline; returns its job, as Flink tells it when it is finished.

    Raises:
        RuntimeError: an error that another try would not mend, with the stack trace that Flink has of it.
        StageError: a worker's disk is full, no pool was there, or somebody else cancelled the job.
        AgainError: one that it might.
    """
    rest = FlinkRest(where.rest, patience_s=LOST_S)
    named = {"job_name": where.job_name, "parallelism": parallelism, "environment_cache_millis": WORKER_KEPT_MS}
    pipeline = guarded_pipeline(where, **named)
    build(pipeline)
    try:
        before = {job.id for job in rest.jobs(where.job_name)}
        report("state", HANDED_IN)
        job_id = _found(rest, where, _handed_in(pipeline, where), before)
        return follow(rest, job_id, report)
    except NoAnswerError as error:
        raise AgainError(str(error)) from error


def _handed_in(pipeline: beam.Pipeline, where: Runner) -> PipelineResult:
    try:
        return pipeline.run()
    except (grpc.RpcError, grpc.FutureTimeoutError) as error:
        raise AgainError(f"{where.job_service}: the job server does not take the job ({_grpc(error)})") from error


def _found(rest: FlinkRest, where: Runner, result: PipelineResult, before: set[str]) -> str:
    """The number of a job that the job server was given, once Flink lists it."""
    began = time.monotonic()
    while True:
        new = [job.id for job in rest.jobs(where.job_name) if job.id not in before]
        if new:
            return new[0]
        try:
            state = result.state
        except grpc.RpcError as error:
            raise AgainError(f"{where.job_service}: the job server is lost ({_grpc(error)})") from error
        if state in (PipelineState.FAILED, PipelineState.CANCELLED) or time.monotonic() - began > LOST_S:
            raise AgainError(f"{where.job_service}: the job server could not hand the job on ({_last_words(result)})")
        time.sleep(POLL_S)


def _last_words(result: PipelineResult) -> str:
    """Why the job server failed, where it says so."""
    try:
        result.wait_until_finish(duration=1_000)
    except (RuntimeError, grpc.RpcError) as error:
        return told(str(error))
    return "it does not say why"


def follow(rest: FlinkRest, job_id: str, report: Report) -> dict[str, Any]:
    """Returns a job when it is finished; reports its states, and what failed that Flink mends by itself.

    A job that still runs when this raises is ended by whoever watches the stage.
    """
    told_ms = 0
    while True:
        job, failures = rest.job(job_id), rest.failures(job_id)
        if job is None:
            raise AgainError("Flink's JobManager has lost the job: it was started anew")
        report("state", _standing(job))
        final = final_failure(failures)
        if job["state"] == "FINISHED":
            return job
        if final is not None:
            worded = of_a_worker(located(final, failures))
            raise StageError(worded) if worded else RuntimeError(final.text)
        if job["state"] == "FAILED":
            raise _given_up(failures)
        if job["state"] == "CANCELED":
            raise StageError("somebody else cancelled its Flink job; run again and it carries on")
        if failures and failures[0].at_ms > told_ms:
            report("note", f"a Flink task failed, and is started again: {told_of(failures[0])}")
            told_ms = failures[0].at_ms
        time.sleep(POLL_S)


def _given_up(failures: Sequence[Failure]) -> SeedbedError:
    """What to raise of a job that Flink starts no more; where a pool has never answered, another would end the same."""
    latest = told_of(located(failures[0], failures)) if failures else "it does not say why"
    if failures and all(map(missing_pool, failures)):
        return StageError(latest)
    return AgainError(f"the Flink job failed: {latest}")


def _standing(job: dict[str, Any]) -> str:
    """What changes when a task of a job changes its state, takes a record or gives one."""
    tasks = Counter(vertex["status"] for vertex in job["vertices"])
    records = sum(vertex["metrics"][which] for vertex in job["vertices"] for which in ("read-records", "write-records"))
    told = ", ".join(f"{number} {status.lower()}" for status, number in sorted(tasks.items()))
    return f"{job['state']}: {told}; {records} records"


def _grpc(error: Exception) -> str:
    """What a failed call says, in one line."""
    code = error.code() if isinstance(error, grpc.Call) else None
    return code.name.lower().replace("_", " ") if code is not None else type(error).__name__
