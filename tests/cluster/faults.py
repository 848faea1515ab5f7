"""What happens to a cluster: processes are killed, links cut, the store stopped, disks filled."""

import signal
import subprocess
from contextlib import suppress

import psutil

from tests.cluster import services
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Cluster

_BALLAST = "/tmp/ballast"


def kill_taskmanager(cluster: Cluster, worker: str) -> None:
    """Kill a worker's TaskManager."""
    _kill(services.running(cluster, worker, "taskmanager"), f"TaskManager on {worker}")


def kill_pool(cluster: Cluster, worker: str) -> None:
    """Kill a worker's pool, but not what it has started."""
    pool = [process for process in services.running(cluster, worker, "pool") if not is_sdk(process)]
    _kill(pool, f"pool on {worker}")


def kill_sdk(cluster: Cluster, worker: str) -> None:
    """Kill the Python workers that the pool of a worker has started for jobs.

    Raises:
        ClusterError: there are none.
    """
    _kill(sdks(cluster, worker), f"Python worker on {worker}")


def kill_jobmanager(cluster: Cluster) -> None:
    """Kill the JobManager; jobs are lost."""
    _kill(services.running(cluster, "head", "jobmanager"), "JobManager")


def kill_jobserver(cluster: Cluster) -> None:
    """Kill Beam's job server; jobs that were handed in run on."""
    _kill(services.running(cluster, "head", "jobserver"), "job server")


def pause_sdk(cluster: Cluster, worker: str, is_paused: bool = True) -> None:
    """Let the Python workers of a worker hang, which live and do nothing, or go on.

    Raises:
        ClusterError: there are none.
    """
    there = sdks(cluster, worker)
    if not there:
        raise ClusterError(f"no Python worker on {worker} is there")
    for process in there:
        process.send_signal(signal.SIGSTOP if is_paused else signal.SIGCONT)


def stop_store(cluster: Cluster) -> None:
    """End the S3 server: connections are refused from now on."""
    _kill(services.running(cluster, "head", "store"), "S3 server")


def pause_store(cluster: Cluster, is_paused: bool = True) -> None:
    """Hold all answers of the S3 server back, or let it go on."""
    for process in services.running(cluster, "head", "store"):
        process.send_signal(signal.SIGSTOP if is_paused else signal.SIGCONT)


def kill_worker(cluster: Cluster, worker: str) -> None:
    """Kill everything on a worker; its disk goes with it. `services.start_worker` starts it again."""
    # What watches over the others comes first, lest it starts them again.
    _kill(
        [each for role in ("unit", "taskmanager", "pool") for each in services.running(cluster, worker, role)], worker
    )


def fill_disk(cluster: Cluster, worker: str) -> None:
    """Leave no byte free on a worker's disk."""
    inside(cluster, worker, "dd", "if=/dev/zero", f"of={_BALLAST}", "bs=1M")


def empty_disk(cluster: Cluster, worker: str) -> None:
    """Give the space back."""
    inside(cluster, worker, "rm", "-f", _BALLAST)


def inside(cluster: Cluster, worker: str, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command on a worker, with its network and its files.

    Raises:
        ClusterError: the worker does not run.
    """
    units = services.running(cluster, worker, "unit")
    if not units:
        raise ClusterError(f"{worker} does not run: nobody holds its disk")
    enter = ["nsenter", f"--target={units[0].pid}", "--mount", "--net", "--uts", "--wd=/", "--", *command]
    return subprocess.run(enter, capture_output=True, text=True, check=False)


def sdks(cluster: Cluster, worker: str) -> list[psutil.Process]:
    """The Python workers on a host."""
    return [process for process in services.running(cluster, worker, "pool") if is_sdk(process)]


def is_sdk(process: psutil.Process) -> bool:
    """Whether a process is a Python worker that a pool has started."""
    with suppress(psutil.NoSuchProcess):
        return any("SdkHarness" in part for part in process.cmdline())
    return False


def _kill(processes: list[psutil.Process], what: str) -> None:
    if not processes:
        raise ClusterError(f"no {what} is there to be killed")
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)
