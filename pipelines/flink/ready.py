"""Whether a Flink cluster can take a build, asked before any work is done."""

import time
from dataclasses import replace

from pipelines.errors import StageError
from pipelines.flink.rest import POLL_S, FlinkRest, NoAnswerError, Room, is_answered
from pipelines.runners import Runner
from shards.object_path import AnyPath

FREED_S = 5.0
"""How long the slots of a job that has ended may count as taken."""


def ready(runner: Runner, out: AnyPath, workers: int) -> tuple[Runner, int]:
    """The runner with a name for the build's jobs, and how many tasks are to run side by side.

    Args:
        runner: a Flink cluster.
        out: the build's folder.
        workers: tasks side by side; 0 is one for each free slot.

    Raises:
        StageError: nobody answers, or the cluster has no room.
    """
    if not is_answered(runner.job_service):
        raise StageError(
            f"{runner.job_service}: no job server answers; start Beam's there, or give another --flink-job-endpoint"
        )
    named = replace(runner, job_name=f"seedbed {out}")
    try:
        room = _room(named, max(workers, 1))
    except NoAnswerError as error:
        raise StageError(f"{error}; give its JobManager's as --flink-rest HOST:PORT") from error
    if room.free < max(workers, 1):
        asked = f", and {workers} are asked for: give fewer --workers, or add TaskManagers" if room.free else ""
        told = asked or ": wait for the jobs that run there, or add TaskManagers"
        raise StageError(f"{runner.rest}: of the Flink cluster's {room.slots} task slots {room.free} are free{told}")
    return named, workers or room.free


def _room(runner: Runner, wanted: int) -> Room:
    """What the cluster has room for, once what a killed build has left there is ended."""
    rest, began = FlinkRest(runner.rest), time.monotonic()
    rest.end_jobs(runner.job_name)
    while (room := rest.room()).free < wanted and time.monotonic() - began < FREED_S:
        time.sleep(POLL_S)
    return room
