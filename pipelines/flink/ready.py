"""Whether a Flink cluster can take a build, asked before any work is done."""

import time
from dataclasses import replace

from pipelines.errors import StageError
from pipelines.flink.rest import ANSWER_S, POLL_S, FlinkRest, NoAnswerError, Room, is_answered
from pipelines.runners import Runner
from shards.object_path import AnyPath

FREED_S = 5.0
"""How long the slots of a job that has ended may count as taken."""

_DESCRIBE = "/org.apache.beam.model.job_management.v1.JobService/DescribePipelineOptions"
"""What every job server answers, and is first asked when a job is handed in. Source: Beam, beam_job_api.proto."""


def ready(runner: Runner, out: AnyPath, workers: int) -> tuple[Runner, int]:
    """The runner with a name for the build's jobs, and how many tasks are to run side by side.

    Ends what runs under that name: a build that was killed has left it there, and takes slots.

    Args:
        runner: a Flink cluster.
        out: the build's folder.
        workers: tasks side by side; 0 is one for each free slot.

    Raises:
        StageError: its REST interface does not answer, or it has no room.
    """
    named = replace(runner, job_name=f"seedbed {out}")
    rest = FlinkRest(runner.rest)
    try:
        rest.end_jobs(named.job_name)
        room = _room(rest, max(workers, 1))
    except NoAnswerError as error:
        raise StageError(f"{error}; give its JobManager's as --flink-rest HOST:PORT") from error
    if room.free < max(workers, 1):
        told = f"of the Flink cluster's {room.slots} task slots {room.free} are free"
        raise StageError(f"{runner.rest}: {told}{_would_do(room, workers)}")
    return named, workers or room.free


def check_job_server(runner: Runner) -> None:
    """Asks whether a job server answers where pipelines are to be handed in, a cluster's or another.

    Raises:
        StageError: nobody does, or somebody else; Beam would ask for five minutes.
    """
    address, option = runner.job_service, "--flink-job-endpoint" if runner.is_flink else "--runner"
    if not is_answered(address):
        raise StageError(f"{address}: no job server answers; start Beam's there, or give another {option}")
    if not _is_job_server(address):
        told = "what listens there is no job server of Beam's; name one (its port is 8099 unless it was told another)"
        raise StageError(f"{address}: {told} as {option}")


def _is_job_server(address: str) -> bool:
    """Whether a job server answers; asked without Beam, which takes seconds to load."""
    import grpc  # noqa: PLC0415 - only who goes to a cluster needs it

    with grpc.insecure_channel(address) as channel:
        try:
            channel.unary_unary(_DESCRIBE)(b"", timeout=ANSWER_S)
        except grpc.RpcError:
            return False
    return True


def _would_do(room: Room, workers: int) -> str:
    if room.free:
        return f", and {workers} are asked for: give fewer --workers, or add TaskManagers"
    if not room.slots:
        return ": no TaskManager is there; start some"
    return ": wait for the jobs that run there, or add TaskManagers"


def _room(rest: FlinkRest, wanted: int) -> Room:
    """What the cluster has room for, once the slots of jobs that have just ended are free."""
    began = time.monotonic()
    while (room := rest.room()).free < wanted and time.monotonic() - began < FREED_S:
        time.sleep(POLL_S)
    return room
