"""The cluster from the command line.

    python -m tests.cluster up [--workers 2] [--slots 1] [--disk-mb 512] [--source CHECKOUT]
    python -m tests.cluster status | down
    python -m tests.cluster kill taskmanager|pool|sdk|worker w1 | kill jobmanager|jobserver
    python -m tests.cluster start jobmanager|jobserver | start worker w1
    python -m tests.cluster pause sdk w1 | resume sdk w1
    python -m tests.cluster cut w1 [cluster|flink|all] | mend w1
    python -m tests.cluster store stop|start|pause|resume
    python -m tests.cluster fill w1 | empty w1
    python -m tests.cluster [--name NAME] inside w1 COMMAND …

All take --name NAME (default: seedbed); the command behind `inside` runs with the network and the files of a worker.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.cluster import faults, needs, network, running, services
from tests.cluster.errors import ClusterError
from tests.cluster.layout import ROOT, Cluster
from tests.object_store import keys

ACTIONS: dict[tuple[str, ...], Callable[[Cluster], object]] = {
    ("kill", "jobmanager"): faults.kill_jobmanager,
    ("kill", "jobserver"): faults.kill_jobserver,
    ("start", "jobmanager"): services.start_jobmanager,
    ("start", "jobserver"): services.start_jobserver,
    ("store", "stop"): faults.stop_store,
    ("store", "start"): services.start_store,
    ("store", "pause"): faults.pause_store,
    ("store", "resume"): lambda cluster: faults.pause_store(cluster, is_paused=False),
}
WORKER_ACTIONS: dict[tuple[str, ...], Callable[[Cluster, str], object]] = {
    ("kill", "taskmanager"): faults.kill_taskmanager,
    ("kill", "pool"): faults.kill_pool,
    ("kill", "sdk"): faults.kill_sdk,
    ("kill", "worker"): faults.kill_worker,
    ("start", "worker"): services.start_worker,
    ("pause", "sdk"): faults.pause_sdk,
    ("resume", "sdk"): lambda cluster, worker: faults.pause_sdk(cluster, worker, is_paused=False),
    ("cut",): network.cut,
    ("mend",): network.mend,
    ("fill",): faults.fill_disk,
    ("empty",): faults.empty_disk,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster", usage=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default=Cluster.name)
    parser.add_argument("--workers", type=int, default=Cluster.num_workers)
    parser.add_argument("--slots", type=int, default=Cluster.slots)
    parser.add_argument("--disk-mb", type=int, default=Cluster.disk_mb)
    parser.add_argument("--source", type=Path, default=ROOT)
    parser.add_argument("words", nargs="*")
    given = list(sys.argv[1:] if arguments is None else arguments)
    at = given.index("inside") if "inside" in given else len(given)
    options = parser.parse_args(given[:at])
    try:
        cluster = Cluster(options.name, options.workers, options.slots, options.disk_mb, options.source.resolve())
        if options.words[:1] not in (["up"], ["status"]):  # the one asks for more, the other for nothing
            needs.check_tools()
        return _do(cluster, [*options.words, *given[at:]])
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1


def _do(cluster: Cluster, words: list[str]) -> int:
    for word in words[:3]:
        if re.fullmatch(r"w\d+", word) and not network.is_there(cluster, word):
            raise ClusterError(f"cluster {cluster.name}: there is no {word}")
    match words:
        case ["up"]:
            running.up(cluster)
            print(_told(cluster))
        case ["down"]:
            running.down(cluster.name)
        case ["status"]:
            print(_told(cluster))
        case ["cut", worker, "cluster"]:
            network.cut(cluster, worker, (network.CLUSTER,))
        case ["cut", worker, "flink"]:
            network.cut_flink(cluster, worker)
        case ["cut", worker, "all"]:
            network.cut(cluster, worker)
        case ["inside", worker, *command]:
            done = faults.inside(cluster, worker, *command)
            sys.stderr.write(done.stderr)
            sys.stdout.write(done.stdout)
            return done.returncode
        case _ if tuple(words) in ACTIONS:
            ACTIONS[tuple(words)](cluster)
        case [*action, worker] if tuple(action) in WORKER_ACTIONS:
            WORKER_ACTIONS[tuple(action)](cluster, worker)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def _told(cluster: Cluster) -> str:
    seen = running.overview(cluster)
    if not seen:
        raise ClusterError(f"cluster {cluster.name}: the JobManager does not answer at {cluster.rest}")
    free = f"{seen['slots-available']} of {seen['slots-total']} slots free"
    return (
        f"cluster {cluster.name}: {seen['taskmanagers']} workers, {free}, {seen['jobs-running']} jobs running\n"
        f"  job server      {cluster.job_endpoint}   (Python workers: localhost:50000, on each worker)\n"
        f"  Flink's page    {cluster.rest}\n"
        f"  S3 server       {cluster.store}   (bucket: seedbed)\n"
        f"  logs            {cluster.folder}/logs\n"
        "A build there:\n"
        f"  export {' '.join(f'{name}={value}' for name, value in keys(cluster.store).items())}\n"
        "  seedbed build RECIPE --out s3://seedbed/OUT --runner flink "
        f"--flink-job-endpoint {cluster.job_endpoint}"
    )


if __name__ == "__main__":
    sys.exit(main())
