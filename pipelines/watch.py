"""A stage in a child process, under a watchdog.

Beam's embedded engine hangs when one of its worker processes is killed. So the command line runs each stage in a
child, watches the workers, and ends and restarts the stage when one is gone while a pipeline runs. Parts that have a
receipt are not made again, so that a restart costs little and the bytes are those of a run nothing happened to.

On Flink the child follows its job, and says where it cannot be saved; however a child ends, no job of its name is left
running. A job that does not get on is seen here: so is one of a plain job service, which hangs when a worker is killed.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import psutil

from pipelines.children import children
from pipelines.errors import StageError
from pipelines.explain import LOG
from pipelines.flink.rest import HANDED_IN, FlinkRest, NoAnswerError
from pipelines.log import keep_log
from pipelines.runners import Runner
from pipelines.server_of_children import start_server
from pipelines.stages import Job

logger = logging.getLogger(__name__)

MAX_RESTARTS = 5
"""Restarts before a stage is given up: a worker that dies every time is ill, not unlucky."""

POLL_S = 0.25
"""Between two looks at the child."""

GRACE_S = 5.0
"""How long workers may be gone before a pipeline that is still running counts as hung: they go before it returns."""

BACKOFF_S = 5.0
"""Before a stage is first begun again on a cluster, twice as long each time after that, up to…"""

MAX_BACKOFF_S = 60.0
"""…so many."""

APPEAR_S = 10.0
"""How long a job may take to be listed that was just handed in, when it is to be ended."""

END_PATIENCE_S = 30.0
"""How long whoever can end jobs may be away."""

LOG_WAIT_S = 5.0
"""How long the last lines of the log are waited for, once those who printed them have been killed."""


@dataclass
class _Watched:
    """One running child and what is known of it."""

    process: BaseProcess
    reports: Connection
    lifeline: Connection
    log: threading.Thread
    nursery: int = 0
    """Process id of whoever starts the workers of the pipeline that runs; 0 where none runs, or has no workers."""
    workers: dict[int, psutil.Process] = field(default_factory=dict)
    gone_since: float | None = None
    cpu_seconds: float = 0.0
    state: str = ""
    """Of its job on a cluster, as far as the child has said."""
    standing: object = None
    """What was last known to be finished, and of the job."""
    since: float = field(default_factory=time.monotonic)
    """Since when it is no more than that."""


def run_watched(job: Job, tick: Callable[[], object], tell: Callable[[str], None]) -> float:
    """Runs `job` in a child process to its commit.

    Args:
        job: the stage's.
        tick: called a few times a second meanwhile; returns what changes when more is done.
        tell: takes lines for a person.

    Returns:
        The CPU seconds that the child took, with those of its workers that had ended before it.

    Raises:
        StageError: the stage failed, or could not go on too often.
        KeyboardInterrupt: interrupted; the child, its workers and its jobs are gone when it is raised.
    """
    retries = MAX_RESTARTS if job.runner.is_embedded else job.runner.retries
    _end_jobs(job.runner)  # of a build that was killed
    for attempt in range(retries + 1):
        trouble, cpu_seconds = _try(job, tick, tell)
        if not trouble:
            return cpu_seconds
        if attempt < retries:
            logger.warning("%s: %s; starting the stage again, finished parts are kept", job.stage, trouble)
            _wait(job.runner, attempt)
    raise StageError(f"{job.stage}: {_too_often(trouble, retries + 1)}; see {job.folder / LOG}")


def _try(job: Job, tick: Callable[[], object], tell: Callable[[str], None]) -> tuple[str, float]:
    """Why a stage must be started again, "" where it is done, and the CPU seconds that it took."""
    child, trouble = _start(job), "interrupted"
    try:
        trouble = _watch(child, job, tick, tell)
    finally:
        _end(child, patience_s=0.0 if trouble else 2.0)
        if trouble:
            _end_jobs(job.runner, may_still_come=child.state == HANDED_IN)
    return trouble, child.cpu_seconds


def _end_jobs(runner: Runner, *, may_still_come: bool = False) -> None:
    """Ends what a build has left running on a cluster, as far as that answers; warns of what it cannot end."""
    if not runner.is_flink:
        return
    rest, name = FlinkRest(runner.rest, patience_s=END_PATIENCE_S), runner.job_name
    try:
        if may_still_come or rest.is_running(name):
            logger.warning("%s: ending the Flink job '%s'", runner.rest, name)
        if may_still_come and not rest.is_running(name, APPEAR_S):
            told = (
                "%s: no job called '%s' runs yet, though one was being handed in; if it comes, the next build ends it"
            )
            logger.warning(told, runner.rest, name)
        if rest.end_jobs(name):
            logger.warning(
                "%s: a job called '%s' still runs, though told to end; the next build asks again", runner.rest, name
            )
    except NoAnswerError as error:
        logger.warning("%s; a job called '%s' may be left there: the next build ends it", error, name)


def _wait(runner: Runner, attempt: int) -> None:
    """Gives a cluster time to come to itself."""
    if runner.is_flink:
        time.sleep(min(BACKOFF_S * 2**attempt, MAX_BACKOFF_S))


def _too_often(trouble: str, times: int) -> str:
    return f"given up after {times} tries; the last: {trouble}" if times > 1 else trouble


def _start(job: Job) -> _Watched:
    """A child forked from a server that has loaded Beam: 0.2 s where a fresh process takes 3."""
    context = multiprocessing.get_context("forkserver")
    start_server(job.out)
    reports, reporter = context.Pipe(duplex=False)
    lifeline_end, lifeline = context.Pipe(duplex=False)
    printed, printer = context.Pipe(duplex=False)
    theirs = (reporter, lifeline_end, printer)
    process = context.Process(target=_child, args=(job, dict(os.environ), *theirs), name=f"seedbed-{job.stage}")
    process.start()
    for end in theirs:
        end.close()
    return _Watched(process, reports, lifeline, keep_log(printed, job.folder))


def _child(
    job: Job, environment: Mapping[str, str], reporter: Connection, lifeline: Connection, log: Connection
) -> None:
    """Runs a job in the environment of whoever asked for it: the server may have been started in another."""
    os.environ.update(environment)
    from pipelines.engine import run_child  # noqa: PLC0415 - Beam is loaded in the child only

    run_child(job, reporter, lifeline, log)


def _watch(child: _Watched, job: Job, tick: Callable[[], object], tell: Callable[[str], None]) -> str:
    """Nothing when the stage is done, or why it must be started again.

    Raises:
        StageError: the stage failed.
    """
    while True:
        alive = child.process.is_alive()
        ended = _hear(child, job, tell, wait_s=POLL_S if alive else 0.0)
        if ended is not None:
            return ended
        finished = tick()
        if not alive and (child.process.exitcode or 0) > 0:  # it ended by itself; a killed one has a negative status
            raise StageError(f"{job.stage}: its process ended before it could say why; see {job.folder / LOG}")
        if not alive:
            return "its own process, on this machine, was killed (out of memory?)"
        if _lost_a_worker(child):
            return "a worker process died (out of memory?)"
        if not job.runner.is_embedded and _is_stuck(child, finished, job.runner.stuck_s):
            state = f" ({child.state or 'not handed in'})" if job.runner.is_flink else ""
            return f"its job has got no further for {job.runner.stuck_s:g} s{state}"


def _hear(child: _Watched, job: Job, tell: Callable[[str], None], wait_s: float) -> str | None:
    """Takes in what a child reports: "" that the stage is done, why it must be started again, None while it goes on."""
    with suppress(EOFError):
        while child.reports.poll(wait_s):
            report = child.reports.recv()
            if report[0] == "done":
                child.cpu_seconds = report[1]
                return ""
            if report[0] == "failed":
                raise StageError(report[1])
            if report[0] == "again":
                return str(report[1])
            _note(child, report, job, tell)
    return None


def _note(child: _Watched, report: tuple[Any, ...], job: Job, tell: Callable[[str], None]) -> None:
    """Notes what a child says of the pipeline that it runs."""
    if report[0] == "pipeline":
        _note_pipeline(child, nursery=report[1])
    elif report[0] == "state":
        child.state = report[1]
    else:
        tell(f"{job.stage:<9} {report[1]}")


def _is_stuck(child: _Watched, finished: object, stuck_s: float) -> bool:
    """Whether nothing was finished, and no task changed its state, for too long."""
    standing, now = (finished, child.state), time.monotonic()
    if standing != child.standing:
        child.standing, child.since = standing, now
    return now - child.since > stuck_s


def _note_pipeline(child: _Watched, nursery: int) -> None:
    """Notes that Beam begins or has ended a pipeline, whose workers are its own."""
    child.nursery = nursery
    child.workers.clear()
    child.gone_since = None


def _lost_a_worker(child: _Watched) -> bool:
    """Whether a worker has been gone for longer than a pipeline that is ending would take.

    What a worker has started itself is none: it may end before the pipeline does.
    """
    if not child.nursery:
        return False
    for pid in (child.nursery, *children(child.nursery)):
        if pid not in child.workers:
            with suppress(psutil.NoSuchProcess):
                child.workers[pid] = psutil.Process(pid)
    if all(map(_lives, child.workers.values())):
        child.gone_since = None
        return False
    child.gone_since = child.gone_since or time.monotonic()
    return time.monotonic() - child.gone_since > GRACE_S


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _end(child: _Watched, patience_s: float) -> None:
    """Ends the child with its workers, if they have not ended by themselves within `patience_s`."""
    child.process.join(patience_s)
    assert child.process.pid is not None, "the child was started"
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, signal.SIGKILL)
    child.process.kill()  # it leads no group in its first moments
    child.lifeline.close()
    child.process.join()
    child.log.join(LOG_WAIT_S)
    child.reports.close()
