"""A stage in a child process, under a watchdog.

Beam's embedded engine hangs when one of its worker processes is killed. So the command line runs each stage in a
child, watches the workers, and ends and restarts the stage when one is gone while a pipeline runs. Parts that have a
receipt are not made again, so that a restart costs little and the bytes are those of a run nothing happened to.
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

import psutil

from pipelines.children import children
from pipelines.errors import StageError
from pipelines.explain import LOG
from pipelines.log import keep_log
from pipelines.server_of_children import start_server
from pipelines.stages import Job

logger = logging.getLogger(__name__)

MAX_RESTARTS = 5
"""Restarts before a stage is given up: a worker that dies every time is ill, not unlucky."""

POLL_S = 0.25
"""Between two looks at the child."""

GRACE_S = 5.0
"""How long workers may be gone before a pipeline that is still running counts as hung: they go before it returns."""

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


def run_watched(job: Job, tick: Callable[[], None]) -> float:
    """Runs `job` in a child process to its commit; calls `tick` a few times a second meanwhile.

    Returns the CPU seconds that the child took, with those of its workers that had ended before it.

    Raises:
        StageError: the stage failed, or lost its workers `MAX_RESTARTS` times over.
        KeyboardInterrupt: interrupted; the child and its workers are gone when it is raised.
    """
    for _ in range(MAX_RESTARTS + 1):
        child = _start(job)
        done = False
        try:
            done = _watch(child, job, tick)
        finally:
            _end(child, patience_s=2.0 if done else 0.0)
        if done:
            return child.cpu_seconds
        logger.warning("%s: a worker process died; starting the stage again, finished parts are kept", job.stage)
    raise StageError(
        f"{job.stage}: a worker process died {MAX_RESTARTS + 1} times; see {job.folder / LOG} (out of memory?)"
    )


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


def _watch(child: _Watched, job: Job, tick: Callable[[], None]) -> bool:
    """True when the stage is done, False when it must be started again.

    Raises:
        StageError: the stage failed.
    """
    while True:
        alive = child.process.is_alive()
        while child.reports.poll(POLL_S if alive else 0):
            try:
                report = child.reports.recv()
            except EOFError:
                break
            if report[0] == "done":
                child.cpu_seconds = report[1]
                return True
            if report[0] == "failed":
                raise StageError(report[1])
            _note_pipeline(child, nursery=report[1])
        tick()
        if not alive and (child.process.exitcode or 0) > 0:  # it ended by itself; a killed one has a negative status
            raise StageError(f"{job.stage}: its process ended before it could say why; see {job.folder / LOG}")
        if not alive or _lost_a_worker(child):
            return False


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
