"""A cluster comes up, is looked at, and goes without a trace."""

import json
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from tests.cluster import network, services
from tests.cluster.errors import ClusterError
from tests.cluster.layout import JOB_PORT, STORE_PORT, Cluster
from tests.cluster.needs import check_machine, fetch_jars
from tests.object_store import make_bucket

START_S = 120.0
BOOT_S = 15.0
"""After which a service that has no process is taken for dead."""
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def up(cluster: Cluster) -> None:
    """Start a cluster and wait until it takes jobs.

    Raises:
        ClusterError: something is missing, a cluster of that name stands already, or it does not come up.
    """
    check_machine()
    if network.namespaces(cluster.name):
        raise ClusterError(
            f"cluster {cluster.name} is there already: python -m tests.cluster down --name {cluster.name}"
        )
    fetch_jars()
    shutil.rmtree(cluster.folder, ignore_errors=True)
    try:
        _start(cluster)
    except BaseException:
        network.delete(cluster.name)  # the folder stays: its logs say why
        raise


def down(name: str) -> None:
    """End a cluster: no process, namespace, link, mount or folder of it stays."""
    network.delete(name)
    shutil.rmtree(Cluster(name).folder, ignore_errors=True)


def overview(cluster: Cluster) -> dict[str, Any]:
    """What Flink's REST interface says of the cluster, or nothing where it does not answer."""
    return ask(cluster, "/overview")


def ask(cluster: Cluster, path: str) -> dict[str, Any]:
    """An answer of Flink's REST interface, or nothing where there is none."""
    try:
        with _NO_PROXY.open(f"{cluster.rest}{path}", timeout=5) as answer:
            told: dict[str, Any] = json.load(answer)
            return told
    except (urllib.error.URLError, OSError, ValueError):
        return {}


def jobs(cluster: Cluster) -> list[dict[str, Any]]:
    """All jobs that the JobManager knows, with their tasks, in the order in which they were handed in."""
    known = sorted(ask(cluster, "/jobs/overview").get("jobs", []), key=itemgetter("start-time"))
    return [ask(cluster, f"/jobs/{job['jid']}") for job in known]


def num_workers(cluster: Cluster) -> int:
    """How many TaskManagers have registered."""
    return int(overview(cluster).get("taskmanagers", 0))


def wait_for(cluster: Cluster, is_so: Callable[[], object], what: str, timeout_s: float = START_S) -> None:
    """Wait until something holds of a cluster.

    Raises:
        ClusterError: it does not, within the time.
    """
    end = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > end:
            raise ClusterError(f"waited {timeout_s:.0f} s for {what}: the logs in {cluster.folder}/logs say why")
        time.sleep(0.2)


def wait_for_store(cluster: Cluster) -> None:
    """Wait until the S3 server takes files."""
    wait_for(cluster, lambda: answers(cluster, STORE_PORT) and make_bucket(cluster.store), "the S3 server")


def wait_for_workers(cluster: Cluster) -> None:
    """Wait until Flink knows the TaskManagers that run now, each with its pool, and no other."""

    def is_whole() -> bool:
        pools = [services.running(cluster, worker, "pool") for worker in cluster.workers]
        return all(pools) and len(ask(cluster, "/taskmanagers").get("taskmanagers", [])) == cluster.num_workers

    wait_for(cluster, is_whole, "all workers")


def answers(cluster: Cluster, port: int) -> bool:
    """Whether something listens at a port of the head."""
    with socket.socket() as asking:
        asking.settimeout(2)
        return asking.connect_ex((cluster.address("head"), port)) == 0


def _start(cluster: Cluster) -> None:
    services.write_configuration(cluster)
    network.create(cluster)
    services.start_jobmanager(cluster)
    services.start_jobserver(cluster)
    services.start_store(cluster)
    for worker in cluster.workers:
        services.start_worker(cluster, worker)
    began = time.monotonic()

    def is_whole() -> bool:
        if time.monotonic() - began > BOOT_S:
            _check_services(cluster)
        return num_workers(cluster) == cluster.num_workers and answers(cluster, JOB_PORT)

    wait_for(cluster, is_whole, f"{cluster.num_workers} workers and the job server")
    wait_for_store(cluster)


def _check_services(cluster: Cluster) -> None:
    """Look for services that have ended instead of coming up.

    Raises:
        ClusterError: one has; its log's last line is told.
    """
    services_of = [("head", role) for role in ("jobmanager", "jobserver", "store")]
    for host, role in [*services_of, *((worker, "unit") for worker in cluster.workers)]:
        if not services.running(cluster, host, role):
            log = services.log_of(cluster, host, role)
            told = log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise ClusterError(f"{role} on {host} did not come up: {told[:300]}; its log is {log}")
