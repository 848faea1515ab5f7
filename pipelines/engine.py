"""Beam, where a stage runs: the embedded engine, a job service or Flink, and the child process around it.

The engine is Beam's own `FnApiRunner`, by name: `DirectRunner` turns into another engine on machines that can fetch
one. One worker runs in memory; more run as processes, forked from this one.
"""

import contextlib
import functools
import importlib
import logging
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipelines import forked_workers
from pipelines.explain import explain
from pipelines.flink.jobs import AgainError, run_on_flink
from pipelines.flink.shuffled import shuffles_line
from pipelines.flink.trial import try_workers
from pipelines.folders import is_committed
from pipelines.guarded import guarded_pipeline
from pipelines.interruption import INTERRUPTING
from pipelines.log import print_to
from pipelines.runners import EMBEDDED, Runner
from pipelines.source_files import read_by_workers
from pipelines.stages import Job, commit, tidy
from shards.asking import RefusalError, StoreError
from shards.manifest import committed_meanwhile, read_manifest
from shards.object_path import ObjectPath

logger = logging.getLogger(__name__)

_reporter: Connection | None = None
"""Where this child process tells its parent when Beam begins and ends a pipeline; none when run in the open."""


def run_pipeline(build: Callable[[beam.Pipeline], object], workers: int, where: Runner = EMBEDDED) -> None:
    """Runs the graph that `build` adds to an empty pipeline, and returns when it is done.

    Raises:
        RuntimeError: whatever a transform raised, as Beam words it.
        StageError: on Flink, what trying again would not mend.
        AgainError: Flink lost the job, or gave it up, for a reason that may have passed.
    """
    if where.is_flink:
        _report("note", shuffles_line(run_on_flink(build, workers, where, _report)))
        return
    pipeline = _embedded(workers) if where.is_embedded else guarded_pipeline(where)
    build(pipeline)
    nursery = forked_workers.nursery if where.is_embedded else None
    _report("pipeline", nursery.pid if nursery else 0)
    pipeline.run().wait_until_finish()
    _report("pipeline", 0)


def _embedded(workers: int) -> beam.Pipeline:
    is_forking = workers > 1 and forked_workers.nursery is not None
    mode = "forked" if is_forking else "multi_processing" if workers > 1 else "in_memory"
    options = PipelineOptions(flags=[], direct_num_workers=workers, direct_running_mode=mode)
    runner = FnApiRunner(default_environment=forked_workers.ForkedWorkers() if is_forking else None)
    return beam.Pipeline(runner=runner, options=options)


def run_job(job: Job) -> None:
    """Runs a stage here and commits it."""
    commit(job, importlib.import_module(f"pipelines.{job.stage}").run(job))


def run_child(job: Job, reporter: Connection, lifeline: Connection, log: Connection) -> None:
    """The main function of a child process: runs `job` and reports how that ended.

    It reports `("done", CPU seconds)`, `("failed", message)`, or `("again", why)` where the stage should begin again.

    It leads a process group of its own, with its workers, and ends with its parent however that ended.
    """
    global _reporter  # noqa: PLW0603 - one job a process; Beam gives no way to pass it along
    os.setsid()
    for number in INTERRUPTING:  # its parent hears of it too, and ends this group
        signal.signal(number, signal.SIG_IGN)
    _reporter = reporter
    print_to(log)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", force=True)
    try:
        if job.workers > 1 and job.runner.is_embedded:
            importlib.import_module(f"pipelines.{job.stage}")  # which the workers then need not
            forked_workers.open_nursery()
        threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
        if is_committed(job.folder):  # by an earlier try, which failed behind that
            tidy(job.folder, read_manifest(job.folder))
        else:
            _work(job)
        forked_workers.close_nursery()
    except AgainError as error:
        logger.warning("%s: %s", job.stage, error)
        reporter.send(("again", str(error)))
    except BaseException as error:
        logger.exception("%s failed", job.stage)
        may_pass = job.runner.is_flink and isinstance(error, StoreError) and not isinstance(error, RefusalError)
        reporter.send(("again", str(error)) if may_pass else ("failed", _told(error, job)))
    else:
        used = os.times()  # of this process, and of those below it that have ended
        reporter.send(("done", used.user + used.system + used.children_user + used.children_system))


def _work(job: Job) -> None:
    """Runs and commits a job, on workers of a cluster that have shown that they can."""
    where = job.runner
    if where.is_flink and (not where.is_tried or read_by_workers(job.stage, job.recipe)):
        try_workers(job, functools.partial(run_on_flink, parallelism=job.workers, where=where, report=_report))
    run_job(job)


def _told(error: BaseException, job: Job) -> str:
    """What a person is told of an error; where another build was quicker, what was needed may have gone under it."""
    if isinstance(job.folder, ObjectPath) and is_committed(job.folder):
        return f"{job.stage}: {committed_meanwhile(job.folder)}"
    return explain(error, job.stage, job.folder)


def _report(*message: object) -> None:
    if _reporter is not None:
        _reporter.send(message)


def _end_with(lifeline: Connection) -> None:
    """Ends this process group when the other end of `lifeline` closes: the parent is gone."""
    with contextlib.suppress(EOFError):
        lifeline.recv()
    os.killpg(os.getpgrp(), signal.SIGKILL)
